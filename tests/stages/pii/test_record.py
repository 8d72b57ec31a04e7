"""No file of a run but its shards has personal data of its input, wherever in the input it stood; nor has the log."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command import curator

pytestmark = pytest.mark.slow

VALUES = ("zora.quent@example.net", "+49 30 901820", "4111 1111 1111 1111", "Zora Miller")


def strings(path: Path) -> str:
    """All that a file of a run says, Parquet decoded."""
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=repr)
    return path.read_bytes().decode("utf-8", "replace")


def test_failed_records_decisions_events_and_the_log_have_kinds_and_places_only(tmp_path: Path) -> None:
    sentence = "Mrs Zora Miller, zora.quent@example.net, +49 30 901820, card 4111 1111 1111 1111."
    good = [json.dumps({"text": f"{number} {sentence}", "lang": "en"}) for number in range(20)]
    broken = [
        f'{{"text": "{sentence}',
        json.dumps({"text": [sentence]}),
        json.dumps({"txet": sentence}),
        json.dumps({"text": sentence, "lang": 7}),
        f"{sentence} " * 3,
        f'{{"text": "\\ud800 {sentence}"}}',
        '{"text": "' + "[" * 10_000 + sentence + '"',
    ]
    source = tmp_path / "in.jsonl"
    source.write_bytes("\n".join([*good, *broken]).encode() + b'\n{"text": "\xff\xfe ' + sentence.encode() + b"\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nstages:\n  - pii: {actions: {phone: flag, card: drop}}\nmax_error_rate: 1.0\n")
    done = curator("process", source, "-o", tmp_path / "run", "-r", recipe, "--workers", "1")
    assert done.returncode == 0, done.stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and "shards" not in path.parts]
    assert {"failed", "decisions", "scores", "events"} <= {path.parent.name for path in files}
    failed = [row for path in files if path.parent.name == "failed" for row in pq.read_table(path).to_pylist()]
    assert len(failed) >= 5
    told = {str(path.relative_to(tmp_path)): strings(path) for path in files} | {"log": done.stdout + done.stderr}
    assert [(name, value) for name, text in told.items() for value in VALUES if value in text] == []
