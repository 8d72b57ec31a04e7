"""Deduplication by data-juicer: document_minhash_deduplicator in the default executor, two processes.

python juicer_dedup.py CORPUS.jsonl KEPT.txt
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = """
dataset_path: {corpus}
export_path: {kept}
np: 2
process:
  - document_minhash_deduplicator:
      {{tokenization: space, window_size: 5, num_permutations: 128, jaccard_threshold: 0.8}}
"""


def main() -> None:
    """Write the ids of the documents that stay, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "out" / "kept.jsonl"
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(corpus=Path(sys.argv[1]).absolute(), kept=kept))
        program = Path(sys.executable).with_name("dj-process")
        subprocess.run([str(program), "--config", str(config)], check=True, cwd=folder)
        ids = [json.loads(line)["id"] for line in kept.open(encoding="utf-8")]
    Path(sys.argv[2]).write_text("\n".join(ids) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
