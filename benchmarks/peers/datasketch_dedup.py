"""Deduplication by datasketch: word 5-grams, MinHash.update_batch, MinHashLSH.

python datasketch_dedup.py CORPUS.jsonl KEPT.txt
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from datasketch import MinHash, MinHashLSH

PERMUTATIONS, THRESHOLD, SHINGLE = 128, 0.8, 5
WORD = re.compile(r"\w+")


def main() -> None:
    """Write the ids of the documents that stay, a line each."""
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    kept: list[str] = []
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            words = WORD.findall(record["text"].lower())
            count = max(len(words) - SHINGLE + 1, 1)
            signature = MinHash(num_perm=PERMUTATIONS)
            shingles = {" ".join(words[place : place + SHINGLE]) for place in range(count)}
            signature.update_batch([shingle.encode() for shingle in shingles])
            if not index.query(signature):
                index.insert(len(kept), signature)
                kept.append(record["id"])
    Path(sys.argv[2]).write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
