"""What it costs that documents lie in files of their own: the same documents, one a file and all in one file.

    python benchmarks/small_files.py CORPUS.jsonl.zst [--documents 5000] [--recipe web] [--repeat 3]

Each file holds one record of JSONL. One process, in turn; medians of CPU seconds. What is kept differs a little: by
their keys, which follow files, documents are sampled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from measure import Measured
from pipeline import first_lines, run

FOLDER_FILES = 1000


def main() -> None:
    """Print CPU seconds of both, and the difference for a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--recipe", default="web")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    options = argparse.Namespace(recipe=arguments.recipe, workers=1, memory="4GB")
    records = first_lines(arguments.corpus, arguments.documents)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        together, apart = root / "together.jsonl", root / "apart"
        together.write_bytes(b"".join(records))
        for number, record in enumerate(records):
            path = apart / f"{number // FOLDER_FILES:04d}" / f"{number:08d}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record)
        one, many = [], []
        for number in range(arguments.repeat):
            one.append(run(options, together, root, 2 * number))
            many.append(run(options, apart, root, 2 * number + 1))
        read = {documents_read(done) for done in (*one, *many)}
        if read != {len(records)}:
            sys.exit(f"not every document was read: {sorted(read)}")
    in_one, in_many = (statistics.median(done.cpu_s for done in runs) for runs in (one, many))
    print(
        f"{len(records):,} documents, {sum(map(len, records)) / 1e6:.1f} MB: {in_one:.2f} CPU s in one file, "
        f"{in_many:.2f} in as many files, {1e3 * (in_many - in_one) / len(records):.2f} ms a file"
    )


def documents_read(done: Measured) -> int:
    """How many documents a run read."""
    count: int = json.loads(done.stdout)["funnel"]["all"]["in"]["documents"]
    return count


if __name__ == "__main__":
    main()
