"""Every example of README.md and docs/*.md runs, in order, in one folder a document.

The folder has what a reader has: `data/`, here a slice of the packaged sample, and `.venv`. A line `$ COMMAND` of a
`console` block runs in bash and ends with 0, or with a code that a comment behind it names (`# exit code 3`). The lines
below a command are what it prints: each has to occur in its output, numbers and spacing aside; `…` stands for what was
left out up to the end of a line, or of whole lines. A `python` block runs by itself; a `yaml` block that begins with
`# NAME.yaml` is that file. `make` is only asked whether it knows the target; `git` is not run.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MINUTES = ("guide.md", "training.md", "vocabulary.md")
"""What takes minutes to run, and is run by `make test-long`."""

SLICED = ("declarations", "handbooks", "mail", "mirrors")
RECORDS = 120
"""Records of each file of the sample that stand in `data/`, besides those whose id a document names."""

_BLOCK = re.compile(r"^```(console|python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODES = re.compile(r"#.*\bexit code (.+)$")
_HASH = re.compile(r"\b[0-9a-f]{16,}\b")
_SIZE = re.compile(r"\b\d+(?:\.\d+)? [kMG]?B\b")
_NUMBER = re.compile(r"-?\d[\d,.]*%?")


@dataclass(frozen=True)
class Example:
    """A command of a console block with what is shown below it, or a whole block of Python or YAML."""

    line: int
    language: str
    source: str
    shown: tuple[str, ...] = ()

    @property
    def codes(self) -> set[int]:
        found = _EXIT_CODES.search(self.source)
        return {int(code) for code in re.findall(r"\d+", found[1])} if found else {0}


def examples(text: str) -> list[Example]:
    found = []
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] != "console":
            found.append(Example(line, block[1], block[2]))
            continue
        assert block[2].startswith("$ "), f"line {line}: a console block begins with `$ `"
        for part in re.split(r"^(?=\$ )", block[2], flags=re.MULTILINE)[1:]:
            source, *shown = part.splitlines()
            found.append(Example(line, "console", source.removeprefix("$ "), tuple(shown)))
            line += len(shown) + 1
    return found


def essence(line: str) -> str:
    """A line with its numbers, sizes and hashes replaced by one word each, and single spaces."""
    line = _NUMBER.sub("N", _SIZE.sub("SIZE", _HASH.sub("HASH", line)))
    return " ".join(line.split())


def write_data(folder: Path, text: str) -> None:
    """A slice of the sample: the first records of each file, and every record that `text` names."""
    folder.mkdir()
    named = set(re.findall(r"[\w/.-]+", text))
    for name in SLICED:
        packed = (importlib.resources.files("pipelines") / "sample" / f"{name}.jsonl.zst").read_bytes()
        lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read().splitlines(keepends=True)
        kept = [line for number, line in enumerate(lines) if number < RECORDS or json.loads(line)["id"] in named]
        (folder / f"{name}.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(b"".join(kept)))


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def check(example: Example, folder: Path) -> None:
    if example.language == "yaml":
        name = re.match(r"# ([\w-]+\.yaml)\n", example.source)
        if name:
            (folder / name[1]).write_text(example.source, encoding="utf-8")
        return
    if example.language == "python":
        done = run([sys.executable, "-W", "error", "-c", example.source], folder)
    elif example.source.startswith("make "):
        target = example.source.split("#")[0].split()[1:]
        done = run(["make", "--dry-run", "--directory", str(ROOT), *target], folder)
        assert done.returncode == 0, done.stderr
        return
    elif example.source.startswith("git "):
        return
    else:
        done = run(["bash", "-o", "pipefail", "-c", example.source], folder)
    assert done.returncode in example.codes, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    printed = [essence(line) for line in (done.stdout + done.stderr).splitlines()]
    for line in example.shown:
        begin, cut, _ = line.partition("…")
        same = any(found.startswith(essence(begin)) if cut else found == essence(line) for found in printed)
        assert same or line == "…", f"{line!r} is not printed, but\n{done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(each, marks=pytest.mark.long if each.name in MINUTES else ())
        for each in DOCUMENTS
        if examples(each.read_text(encoding="utf-8"))
    ],
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_every_example_runs_and_prints_what_stands_below_it(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8")
    found = examples(text)
    write_data(tmp_path / "data", text)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for example in found:
        try:
            check(example, tmp_path)
        except AssertionError as error:
            error.add_note(f"{document.relative_to(ROOT)}, line {example.line}: {example.source}")
            raise


def test_the_readme_has_examples_in_both_languages() -> None:
    languages = {example.language for example in examples((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert languages == {"console", "python"}


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda document: document.name)
def test_every_make_target_and_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_numbers_are_no_part_of_what_is_compared() -> None:
    assert essence("  dedup.exact   drop  -1,173  -38,916") == essence("dedup.exact drop -2 -7")
    assert essence("11.6 MB of text in 4.0 s") == essence("9 kB of text in 12.5 s")
    assert essence("kept 5") != essence("dropped 5")
