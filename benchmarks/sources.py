"""What it costs that each document names a source of its own, as one with the address of its page does.

    python benchmarks/sources.py CORPUS.jsonl[.zst] [--documents 40000] [--recipe web]

The same documents with their sources and with one each, in turn, two workers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from pipeline import first_lines, run


def main() -> None:
    """Print CPU seconds, peak memory and the size of the manifest of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=40_000)
    parser.add_argument("--recipe", default="web")
    arguments = parser.parse_args()
    options = argparse.Namespace(recipe=arguments.recipe, workers=2, memory="4GB")
    records = [json.loads(line) for line in first_lines(arguments.corpus, arguments.documents)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, label in enumerate(("as they are", "one each")):
            corpus = root / f"{number}.jsonl"
            with corpus.open("w", encoding="utf-8") as file:
                for place, record in enumerate(records):
                    source = {"source": f"site{place}.example"} if number else {}
                    file.write(json.dumps({**record, **source}, ensure_ascii=False) + "\n")
            done = run(options, corpus, root, number)
            manifest = (root / f"run-{number}" / "manifest.json").stat().st_size
            print(
                f"sources {label}: {len(records):,} documents, {done.cpu_s:.1f} CPU s, "
                f"{done.peak_bytes / 1e6:.0f} MB at most, manifest {manifest / 1e6:.1f} MB"
            )


if __name__ == "__main__":
    main()
