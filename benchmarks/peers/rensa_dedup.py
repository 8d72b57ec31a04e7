"""Deduplication by rensa, as its users write it: word 5-grams, RMinHash, RMinHashLSH, and a check of signatures.

python rensa_dedup.py CORPUS.jsonl KEPT.txt
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from rensa import RMinHash, RMinHashLSH

PERMUTATIONS, BANDS, THRESHOLD, SHINGLE = 128, 16, 0.8, 5
WORD = re.compile(r"\w+")


def main() -> None:
    """Write the ids of the documents that stay, a line each."""
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    signatures: list[RMinHash] = []
    kept: list[str] = []
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            words = WORD.findall(record["text"].lower())
            count = max(len(words) - SHINGLE + 1, 1)
            signature = RMinHash(num_perm=PERMUTATIONS, seed=42)
            signature.update({" ".join(words[place : place + SHINGLE]) for place in range(count)})
            if any(signature.jaccard(signatures[other]) >= THRESHOLD for other in index.query(signature)):
                continue
            index.insert(len(signatures), signature)
            signatures.append(signature)
            kept.append(record["id"])
    Path(sys.argv[2]).write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
