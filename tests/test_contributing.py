"""The filter of CONTRIBUTING.md: one file, found by entry point, run by a recipe."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import rows, write_jsonl

ROOT = Path(__file__).parents[1]


def block(language: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return "".join(re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL))


@pytest.mark.slow
def test_a_filter_is_one_file_and_one_entry_point(tmp_path: Path) -> None:
    (tmp_path / "wordlength.py").write_text(block("python"))
    info = tmp_path / "wordlength-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wordlength\nVersion: 0.1\n")
    entry = block("toml").splitlines()[1].replace('"', "")
    (info / "entry_points.txt").write_text(f"[curator.stages]\n{entry}\n")
    (tmp_path / "mine.yaml").write_text(block("yaml"))
    documents = [
        {"id": "plain", "text": "these words are as long as words are"},
        {"id": "long", "text": "donaudampfschifffahrtsgesellschaft rindfleischetikettierungsüberwachung"},
    ]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "curator"]
    arguments = ["process", str(file), "-o", str(tmp_path / "run"), "-r", str(tmp_path / "mine.yaml")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == ["plain"]
    (decision,) = rows(tmp_path / "run", "decisions")
    assert (decision["id"], decision["rule"], decision["threshold"]) == ("long", "wordlength.long", 9.0)
    assert "wordlength.mean" in (tmp_path / "run" / "report.html").read_text()
    told = subprocess.run(
        [*command, "explain", str(tmp_path / "run"), "long"], capture_output=True, text=True, env=environment
    )
    assert "wordlength dropped it: its words have" in told.stdout
