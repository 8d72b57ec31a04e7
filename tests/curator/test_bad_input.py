"""Input, output and options that are wrong, through the executable: one clear line, the right exit code, nothing
lost."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curator.run.directory import RunDirectory
from curator.run.failures import MEANINGS
from curator.run.verify import verify
from tests.command import EXECUTABLE, curator, told, write_package
from tests.runs import hashes, make_texts, recipe_text, rows, write_jsonl

pytestmark = pytest.mark.slow

GOOD = [{"id": f"good{n}", "text": f"document number {n} tells of {7 * n} things that are good"} for n in range(200)]
LINES = [json.dumps(document).encode() + b"\n" for document in GOOD]
DATA = b"".join(LINES)
RECIPE = recipe_text("dedup", language="off")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def process(
    *inputs: str | Path, output: str | Path, recipe: str | Path, options: tuple[str, ...] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    return curator("process", *inputs, "-o", output, "-r", recipe, *options, env=env)


def kept(run: Path) -> list[object]:
    return [row["id"] for row in rows(run, "shards")]


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0x55 for byte in data[middle : middle + 40]) + data[middle + 40 :]


def between(line: bytes) -> bytes:
    """The line in the middle of good ones."""
    return b"".join(LINES[:100]) + line + b"\n" + b"".join(LINES[100:])


DAMAGED: dict[str, tuple[bytes, str, int]] = {
    # name: content, the code of its one failure, how many documents are read at least
    "truncated.jsonl.gz": (truncate(gzip.compress(DATA)), "stream.truncated", 50),
    "damaged.jsonl.bz2": (truncate(bz2.compress(DATA)), "stream.truncated", 0),
    "damaged.jsonl.zst": (damage(zstandard.ZstdCompressor(write_checksum=True).compress(DATA)), "stream.corrupt", 0),
    "followed.jsonl.gz": (gzip.compress(DATA) + b"what a download left behind it", "stream.corrupt", 200),
    "latin1.jsonl": (between(b'{"id": "x", "text": "caf\xe9 \xff\xfe\x81"}'), "encoding.invalid_utf8", 200),
    "prose.jsonl": (between(b"This is no JSON."), "json.invalid", 200),
    "list.jsonl": (between(b'["text"]'), "json.not_object", 200),
    "without.jsonl": (between(b'{"id": "x", "body": "a text"}'), "field.missing", 200),
    "number.jsonl": (between(b'{"id": "x", "text": 5}'), "field.type", 200),
    "row.csv": (b"id,text\n1,first text\n2,too,many\n3,last text\n", "csv.columns", 2),
    "magic.parquet": (b"PAR1 and nothing that belongs to it", "parquet.invalid", 0),
    "longline.txt": (b"short\n" + b"long " * 2_000_000 + b"\nshort too\n", "document.too_large", 2),
}


@pytest.mark.parametrize(
    "name",
    ["truncated.jsonl.gz", "followed.jsonl.gz", "latin1.jsonl", "prose.jsonl", "without.jsonl", "magic.parquet"],
)
def test_what_can_be_read_is_processed_and_the_rest_is_told_and_counted(
    name: str, tmp_path: Path, recipe: Path
) -> None:
    content, code, least = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    run = tmp_path / "run"
    done = process(tmp_path / name, output=run, recipe=recipe, options=("--set", "input.max_document_bytes=5MB"))
    assert done.returncode == 0
    line = told(done)
    assert line.startswith(f"curator: 1 record could not be read: {name} ")
    assert MEANINGS[code].words in line
    assert str(run / "failed") in line
    (failed,) = rows(run, "failed")
    assert (failed["file"], failed["code"]) == (name, code)
    assert "could not be read" in done.stdout
    assert verify(RunDirectory(run)).problems == []
    assert len(rows(run, "scores")) >= least
    if name.endswith(".jsonl") or least == len(GOOD):
        assert kept(run) == [document["id"] for document in GOOD]


def test_a_directory_of_good_and_bad_files_is_read_as_far_as_it_can_be(tmp_path: Path, recipe: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, (content, _, _) in DAMAGED.items():
        (folder / name).write_bytes(content)
    (folder / "good.jsonl").write_bytes(DATA)
    run = tmp_path / "run"
    done = process(folder, output=run, recipe=recipe, options=("--set", "input.max_document_bytes=5MB"))
    assert done.returncode == 0
    assert f"{len(DAMAGED)} records could not be read: " in told(done)
    assert f"and {len(DAMAGED) - 3} more kinds" in told(done)
    assert {str(row["file"]): row["code"] for row in rows(run, "failed")} == {
        name: code for name, (_, code, _) in DAMAGED.items()
    }
    assert set(kept(run)) >= {document["id"] for document in GOOD}
    assert verify(RunDirectory(run)).problems == []


def test_every_line_that_fails_in_the_same_way_is_told_once(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(DATA + b"broken\n" * 60)
    done = process(tmp_path / "in.jsonl", output=tmp_path / "run", recipe=recipe)
    assert "60 records could not be read: 60 in in.jsonl, the first in line 201: " in told(done)


def test_too_many_failures_stop_the_run_and_say_how_to_go_on(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(DATA.replace(b'"text"', b'"body"'))
    run = tmp_path / "run"
    done = process(tmp_path / "in.jsonl", output=run, recipe=recipe)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "200 of 200 records could not be read (100.00%, allowed 0.10%)" in told(done)
    assert "there is no text field (say where the text is with --set input.fields.text=NAME; or" in told(done)
    done = process(
        tmp_path / "in.jsonl", output=tmp_path / "other", recipe=recipe, options=("--set", "input.fields.text=body")
    )
    assert (done.returncode, len(kept(tmp_path / "other"))) == (0, 200)


def test_an_empty_file_is_an_empty_run(tmp_path: Path, recipe: Path) -> None:
    for name in ("in.jsonl", "in.parquet", "in.csv", "in.txt", "in.html", "in.warc"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    done = process(tmp_path / "in", output=tmp_path / "run", recipe=recipe)
    assert done.returncode == 0
    assert all(line.startswith("[") for line in done.stderr.splitlines())
    assert verify(RunDirectory(tmp_path / "run")).problems == []


Refusal = tuple[Callable[[Path], tuple[str | Path, ...]], str]


def file(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder(path: Path, *names: str | bytes) -> Path:
    path.mkdir()
    for name in names:
        (path / os.fsdecode(name)).write_bytes(DATA)
    return path


def linked(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def parquet(path: Path) -> Path:
    pq.write_table(pa.table({"id": ["a"], "body": ["a text"]}), path)
    return path


INPUTS: dict[str, Refusal] = {
    "absent": (lambda at: (at / "nowhere" / "in.jsonl",), "in.jsonl: does not exist (the last directory"),
    "no match": (lambda at: (at / "*.jsonl.zst",), "matches no file"),
    "empty directory": (lambda at: (folder(at / "empty"),), "is an empty directory"),
    "nothing known": (lambda at: (file(at / "odd" / "a.docx", b"\0\1").parent,), "extensions seen: .docx (1)"),
    "twice": (
        lambda at: (file(at / "in.jsonl"), at / "." / "in.jsonl"),
        "is given twice (as 'in.jsonl' and as 'in.jsonl': leave one out)",
    ),
    "twice by a directory": (
        lambda at: (folder(at / "in", "a.jsonl"), at / "in" / "a.jsonl"),
        "a.jsonl': leave one out)",
    ),
    "one name": (lambda at: (file(at / "a" / "x.jsonl"), file(at / "b" / "x.jsonl")), "would both be called 'x.jsonl'"),
    "a pipe": (lambda at: (fifo(at / "in.jsonl"),), "is not a regular file"),
    "a device": (lambda at: ("/dev/zero",), "is not a regular file"),
    "unreadable": (lambda at: ("/proc/self/mem",), "cannot be read: "),
    "a link to nothing": (lambda at: (linked(at / "in.jsonl", "nowhere"),), "is a link to nothing"),
    "a link to itself": (lambda at: (linked(at / "in.jsonl", "in.jsonl"),), "Too many levels of symbolic links"),
    "a name in no encoding": (lambda at: (folder(at / "in", b"\xff.jsonl"),), "has a name that is not UTF-8"),
    "an array": (lambda at: (file(at / "in.json", b'[{"text": "a"}]'),), "is a JSON array"),
    "UTF-16": (lambda at: (file(at / "in.jsonl", DATA.decode().encode("utf-16")),), "is UTF-16, not UTF-8"),
    "an archive": (lambda at: (file(at / "in.zip", b"PK\x03\x04 and so on"),), "is a ZIP archive"),
    "no text column in Parquet": (
        lambda at: (parquet(at / "in.parquet"),),
        "it has 'id', 'body' (name one with --set input.fields.text=NAME)",
    ),
    "no text column in CSV": (
        lambda at: (file(at / "in.csv", b"id,body\n1,a\n"),),
        "it has 'id', 'body' (name one with --set input.fields.text=NAME)",
    ),
    "a URL": (lambda at: ("https://example.org/in.jsonl",), "is a URL"),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_input_that_cannot_be_meant_is_refused_in_one_line(kind: str, tmp_path: Path, recipe: Path) -> None:
    make, words = INPUTS[kind]
    run = tmp_path / "run"
    done = process(*make(tmp_path), output=run, recipe=recipe)
    assert done.returncode == 2
    assert words in told(done)
    assert done.stdout == ""
    assert not run.exists() or list(run.iterdir()) == []


def test_an_output_that_a_refused_run_left_is_taken_by_the_next(tmp_path: Path, recipe: Path) -> None:
    assert process(parquet(tmp_path / "in.parquet"), output=tmp_path / "run", recipe=recipe).returncode == 2
    done = process(
        tmp_path / "in.parquet", output=tmp_path / "run", recipe=recipe, options=("--set", "input.fields.text=body")
    )
    assert done.returncode == 0
    assert kept(tmp_path / "run") == ["a"]


def test_names_of_all_kinds_are_read_and_told_in_one_line(tmp_path: Path, recipe: Path) -> None:
    names = [
        "a b.jsonl",
        "new\nline.jsonl",
        "ünï.jsonl",
        "-o.jsonl",
        "[x]*.jsonl",
        "quo'te\".jsonl",
        "esc\x1b[31m.jsonl",
    ]
    source = tmp_path / "in"
    for number, name in enumerate(names):
        write_jsonl(source / name, [{"text": f"a text of its own, of which there are {number}"}])
    with (source / "new\nline.jsonl").open("a") as broken:
        broken.write("broken\n")
    (source / "loop").symlink_to(".")
    os.mkfifo(source / "pipe.jsonl")
    done = process(source, output=tmp_path / "run", recipe=recipe)
    assert done.returncode == 0
    skipped, failed = (line for line in done.stderr.splitlines() if line.startswith("curator: "))
    assert skipped == f"curator: 1 file is not read: {source / 'pipe.jsonl'}; it is not a regular file"
    assert failed.startswith("curator: 1 record could not be read: new\\nline.jsonl in line 2: ")
    assert {row["provenance"]["file"] for row in rows(tmp_path / "run", "shards")} == set(names)  # type: ignore[index]


OUTPUTS: dict[str, tuple[Callable[[Path], str | Path], str]] = {
    "a file": (lambda at: file(at / "out", b""), "is not a directory"),
    "below a file": (lambda at: file(at / "out", b"") / "run", "a file is in the way"),
    "an input": (lambda at: at / "in" / "in.jsonl", "is not a directory"),
    "the input": (lambda at: at / "in", "the output lies in the input"),
    "in the input": (lambda at: at / "in" / "below" / "run", "the output lies in the input"),
    "in the input by a link": (lambda at: linked(at / "link", "in") / "run", "the output lies in the input"),
    "in use": (lambda at: file(at / "used" / "letter.txt").parent, "the output is not empty"),
    "where nothing can be": (lambda at: "/proc/run", "/proc/run: cannot be made a folder"),
    "in no encoding": (lambda at: at / os.fsdecode(b"\xff"), "is not UTF-8"),
    "too long": (lambda at: at / ("long" * 100), "File name too long"),
    "a link to itself": (lambda at: linked(at / "loop", "loop") / "run", "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_an_output_that_cannot_be_written_is_refused_in_one_line(kind: str, tmp_path: Path, recipe: Path) -> None:
    source = file(tmp_path / "in" / "in.jsonl")
    make, words = OUTPUTS[kind]
    done = process(source.parent, output=make(tmp_path), recipe=recipe)
    assert done.returncode == 2
    assert words in told(done)
    assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]
    assert source.read_bytes() == DATA


RECIPES: dict[str, tuple[str, str]] = {
    "a misspelled key": ("nmae: a\nname: a\nstages: [dedup]\n", "line 1: unknown key 'nmae' (did you mean 'name'?)"),
    "a misspelled stage": ("name: a\nstages:\n  - dedupe: {}\n", "line 3: no stage is named 'dedupe' (did you mean"),
    "a misspelled parameter": (
        "name: a\nstages:\n  - dedup:\n      treshold: 0.9\n",
        "line 4: unknown key 'treshold' (did you mean 'threshold'?)",
    ),
    "a misspelled field": (
        "name: a\ninput:\n  fields:\n    txt: body\nstages: [dedup]\n",
        "line 4: unknown key 'input.fields.txt' (did you mean 'text'?)",
    ),
    "a wrong type": ("name: a\nstages:\n  - dedup: {threshold: high}\n", "threshold: expected a number"),
    "a wrong mapping": ("name: a\ninput: [body]\nstages: [dedup]\n", "line 2: input is not a mapping ("),
    "no YAML": ("name: [a\nstages: b\n", "not valid YAML"),
    "empty": ("# nothing yet\n", "the recipe is empty"),
    "a control character": ("name: \x00", "not valid YAML"),
    "itself": ("name: &a [*a]\nstages: [dedup]\n", "nested too deeply, for a recipe"),
    "too deep": (f"name: {'[' * 3000}", "nested too deeply for a recipe"),
}


@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe_that_is_wrong_is_refused_with_its_line(kind: str, tmp_path: Path) -> None:
    text, words = RECIPES[kind]
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(text)
    done = curator("recipe", "validate", recipe)
    assert done.returncode == 2
    assert f"{recipe}: " in told(done)
    assert words in told(done)


def test_a_wrong_recipe_stops_a_run_before_it_begins(tmp_path: Path, recipe: Path) -> None:
    for wrong, words in (("treshold: 0.9", "did you mean 'threshold'?"), ("threshold: high", "expected a number")):
        recipe.write_text(f"name: a\nstages:\n  - dedup: {{{wrong}}}\n")
        done = process(file(tmp_path / "in.jsonl"), output=tmp_path / "run", recipe=recipe)
        assert done.returncode == 2
        assert words in told(done)
        assert not (tmp_path / "run").exists()


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "no memory": (("--memory", "0"), "--memory 0 B is too little (at least "),
    "too little memory": (("--memory", "10MB"), "--memory 10 MB is too little (at least "),
    "memory that is no size": (("--memory", "lots"), "--memory lots: expected a size"),
    "documents beyond the memory": (
        ("--memory", "1GB", "--set", "input.max_document_bytes=500MB"),
        "with documents of up to 500 MB (input.max_document_bytes)",
    ),
    "an unknown format": (("--set", "input.format=docx"), "input.format is 'docx' (one of auto"),
    "an override of nothing": (("--set", "toxicity.threshold=1"), "has no stage 'toxicity'"),
    "an override without value": (("--set", "dedup.threshold"), "is not of the form stage.param=value"),
    "an override of a wrong type": (("--set", "dedup.threshold=high"), "threshold: expected a number"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_option_that_is_wrong_is_refused_in_one_line(kind: str, tmp_path: Path, recipe: Path) -> None:
    options, words = OPTIONS[kind]
    done = process(file(tmp_path / "in.jsonl"), output=tmp_path / "run", recipe=recipe, options=options)
    assert done.returncode == 2
    assert words in told(done)
    assert not (tmp_path / "run").exists()


def test_workers_are_none_for_all_cores_and_never_fewer(tmp_path: Path, recipe: Path) -> None:
    source = file(tmp_path / "in.jsonl")
    assert process(source, output=tmp_path / "all", recipe=recipe, options=("--workers", "0")).returncode == 0
    done = process(source, output=tmp_path / "run", recipe=recipe, options=("--workers", "-1"))
    assert done.returncode == 2
    assert "--workers" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_input_that_grew_is_refused_on_resume_until_it_is_as_it_was(tmp_path: Path, recipe: Path) -> None:
    source = file(tmp_path / "in.jsonl", DATA + b"broken\n" * 150)
    run = tmp_path / "run"
    assert process(source, output=run, recipe=recipe).returncode == 3
    about = source.stat()
    with source.open("ab") as grown:
        grown.write(LINES[0])
    resume = ("--resume", "--set", "max_error_rate=0.5")
    done = process(source, output=run, recipe=recipe, options=resume)
    assert done.returncode == 2
    assert "input.in.jsonl changed (size or modification time) (undo the change" in told(done)
    os.truncate(source, about.st_size)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))
    done = process(source, output=run, recipe=recipe, options=resume)
    assert done.returncode == 0
    assert kept(run) == [document["id"] for document in GOOD]


def test_input_that_shrinks_while_it_is_read_stops_the_run(tmp_path: Path) -> None:
    shrinking = """
        import os
        import pyarrow as pa
        from curator.stage import Column, Parameters, Stage

        class Shrinker(Stage):
            name, about, parameters_type = "shrinker", "cuts the input while it is read", Parameters
            columns = (Column("shrinker.seen", pa.bool_(), "whether it was seen"),)

            def annotate(self, batch):
                os.truncate(os.environ["SHRINKING"], 100)
                return {"shrinker.seen": pa.repeat(True, len(batch))}
    """
    env = write_package(tmp_path / "site", "shrinker", "curator.stages", "shrinker = shrinker:Shrinker", shrinking)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("shrinker", language="off"))
    source = file(tmp_path / "in.jsonl", DATA * 400)
    assert source.stat().st_size > 5_000_000
    options = ("--workers", "1")
    done = process(source, output=tmp_path / "run", recipe=recipe, options=options, **env, SHRINKING=str(source))
    assert done.returncode == 3
    assert "in.jsonl: is shorter than when the run began (input must not change in a run)" in told(done)
    assert not (tmp_path / "run" / "manifest.json").exists()


MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""


def measure(command: list[str]) -> tuple[int, int, str]:
    """Exit code, peak memory in bytes and standard error of a command that works in one process. It is started by a
    small process: Linux counts to a child what its parent held when it was forked."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True)
    return done.returncode, int(done.stdout), done.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_a_document_of_200_mb_fails_alone_and_memory_stays_bounded(packed: bool, tmp_path: Path, recipe: Path) -> None:
    piece = ("a word that comes again " * 40_000).encode()
    source = tmp_path / ("in.jsonl.gz" if packed else "in.jsonl")
    with gzip.open(source, "wb", compresslevel=1) if packed else source.open("wb") as out:
        out.write(b"".join(LINES[:100]) + b'{"id": "giant", "text": "')
        for _ in range(200_000_000 // len(piece) + 1):
            out.write(piece)
        out.write(b'"}\n' + b"".join(LINES[100:]))
    command = [EXECUTABLE, "process", str(source), "-o", str(tmp_path / "run"), "-r", str(recipe)]
    code, peak, errors = measure([*command, "--memory", "500MB", "--workers", "1"])
    assert code == 0
    assert f"{source.name} in line 101: the document is longer than input.max_document_bytes" in errors
    assert peak < 400_000_000
    assert kept(tmp_path / "run") == [document["id"] for document in GOOD]
    assert len(rows(tmp_path / "run", "failed")) == 1


def test_a_document_as_large_as_is_allowed_stays_within_the_memory(tmp_path: Path) -> None:
    texts = [document["text"] for document in make_texts(400, seed=2)]
    text = " ".join(texts).encode()
    giant = (text + b" ") * (8_000_000 // len(text))
    source = write_jsonl(tmp_path / "in.jsonl", [*GOOD[:5], {"id": "giant", "text": giant.decode()}])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("dedup", "entropy: {max_repetition: null, min_compression: null}", "pii"))
    first = write_jsonl(tmp_path / "first.jsonl", GOOD)
    # Kernels that this machine has not compiled yet are compiled now: the compiler's memory is not what is measured.
    warm = [EXECUTABLE, "process", str(first), "-o", str(tmp_path / "warm"), "-r", str(recipe), "--workers", "1"]
    assert subprocess.run(warm, capture_output=True).returncode == 0
    command = [EXECUTABLE, "process", str(source), "-o", str(tmp_path / "run"), "-r", str(recipe)]
    code, peak, _ = measure([*command, "--memory", "500MB", "--workers", "1"])
    assert code == 0
    assert "giant" in kept(tmp_path / "run")
    assert peak < 500_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk, made or changed by calling it with mount options; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        wanted = f"remount,{options}" if mounted else options
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", wanted, "none", str(place)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        mounted = True
        return place

    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


@dataclass(frozen=True)
class Undisturbed:
    """A run that had all the disk that it needed."""

    source: Path
    recipe: Path
    needed_bytes: int
    hashes: dict[str, str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    at = tmp_path_factory.mktemp("undisturbed")
    for number in range(2):
        write_jsonl(at / "in" / f"{number}.jsonl", make_texts(900, seed=number))
    recipe = at / "recipe.yaml"
    recipe.write_text(recipe_text("dedup: {permutations: 64}", language="off"))
    done = process(at / "in", output=at / "run", recipe=recipe, options=("--keep-work",))
    assert done.returncode == 0
    needed = sum(path.stat().st_blocks * 512 for path in (at / "run").rglob("*"))
    return Undisturbed(at / "in", recipe, needed, hashes(at / "run"))


@pytest.mark.parametrize(("share", "workers"), [(0.02, 1), (0.6, 2), (0.8, 1), (0.95, 2)])
def test_a_run_that_filled_the_disk_goes_on_to_the_same_bytes(
    disk: Callable[[str], Path], undisturbed: Undisturbed, share: float, workers: int
) -> None:
    options = ("--workers", str(workers))
    run = disk(f"size={int(share * undisturbed.needed_bytes) >> 10}k") / "run"
    done = process(undisturbed.source, output=run, recipe=undisturbed.recipe, options=options)
    assert done.returncode == 75
    line = told(done)
    assert "cannot be written: " in line
    assert "No space left on device" in line or "the disk takes no more" in line
    assert "(free some space, then run the same command with --resume)" in line
    assert not (run / "manifest.json").exists()
    disk("size=64m")
    done = process(undisturbed.source, output=run, recipe=undisturbed.recipe, options=(*options, "--resume"))
    assert done.returncode == 0, done.stderr
    assert hashes(run) == undisturbed.hashes


def test_a_disk_that_is_read_only_is_refused_in_one_line(
    disk: Callable[[str], Path], tmp_path: Path, recipe: Path
) -> None:
    source = file(tmp_path / "in.jsonl")
    place = disk("size=1m")
    (place / "empty").mkdir()
    disk("ro")
    for name in ("run", "empty"):
        done = process(source, output=place / name, recipe=recipe)
        assert done.returncode == 2
        assert f"{place / name}: cannot be written: " in told(done)
