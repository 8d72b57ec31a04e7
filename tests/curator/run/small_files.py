"""Small files of every format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.runs import make_texts

LEAST_WEIGHT = 1 << 12
"""What a split counts for at least, where a test wants small files to be read together."""


def write_small_files(folder: Path) -> Path:
    """Small files of every format, among them broken records, empty files, notes, and ids that repeat."""
    documents = make_texts(260, seed=5, units=(10, 40))
    folder.mkdir()
    texts = [document["text"] for document in documents]
    for number in range(60):
        (folder / f"a{number:03d}.txt").write_text(texts[number] + "\n")
    (folder / "b-empty.txt").write_bytes(b"")
    for number in range(10):
        lines = [json.dumps(document, ensure_ascii=False) for document in documents[60 + 10 * number :][:10]]
        lines.insert(number, "broken")
        if number == 4:
            lines.append('{"id": "half", "text": "an emoji cut in two \\ud83d is one character of no text"}')
        data = "\n".join(lines).encode()
        plain = number % 2 == 0
        (folder / f"c{number}.jsonl{'' if plain else '.gz'}").write_bytes(data if plain else gzip.compress(data))
    for number in range(20):
        (folder / f"d{number:02d}.html").write_text(f"<html><body><p>{texts[160 + number]}</p></body></html>")
    for number in range(20):
        pq.write_table(pa.table({"text": [texts[180 + number]], "id": [number]}), folder / f"e{number:02d}.parquet")
    (folder / "e-broken.parquet").write_bytes(b"PAR1 this is none PAR1")
    (folder / "f.csv").write_text("id,text\n" + "".join(f'{n},"{texts[200 + n]}"\n' for n in range(20)) + "1,2,3\n")
    (folder / "g.txt").write_bytes(b"not \xff\xfe\xfd UTF-8 \xc3\x28 at all \x80\x81\n")
    return folder
