"""Deduplication by text-dedup: its MinHash command, two processes.

python textdedup_dedup.py CORPUS.jsonl KEPT.txt
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import datasets


def main() -> None:
    """Write the ids of the documents that stay, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "kept")
        source = ["--path", "json", "--data_files", sys.argv[1], "--split", "train", "--column", "text"]
        places = ["--cache_dir", str(Path(folder) / "cache"), "--output", output]
        settings = ["--num_perm", "128", "--ngram", "5", "--threshold", "0.8", "--num_proc", "2"]
        command = [sys.executable, "-m", "text_dedup.minhash", *source, *places, *settings]
        subprocess.run(command, check=True, cwd=folder)
        ids = datasets.load_from_disk(output)["id"]
    Path(sys.argv[2]).write_text("\n".join(ids) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
