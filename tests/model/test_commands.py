"""The commands of the model as people run them: what they print, where they refuse, and that nothing is overwritten."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from curator.cli.output import printable
from tests.command import EXECUTABLE, curator, json_of, told, unprivileged
from tests.model.corpora import make_documents, tiny_config, write_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("commands") / "run", make_documents(200))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(json.dumps(tiny_config().model_dump(mode="json")))
    return path


@pytest.fixture(scope="module")
def model(run: str, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that a SIGTERM stopped and `--resume` brought to its end."""
    output = tmp_path_factory.mktemp("model") / "model"
    arguments = ["train", run, "-o", str(output), "-c", str(config), "--steps", "400"]
    process = subprocess.Popen([EXECUTABLE, *arguments], stderr=subprocess.PIPE, text=True)
    while not list(output.glob("checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, notes = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, notes
    assert "to go on, run the same command with --resume" in notes
    told = [line.partition(" ")[0] for line in notes.splitlines() if line.startswith("[")]
    assert told == ["[tokenizer]", "[train]"]
    reached = max(int(path.name.removeprefix("step-")) for path in output.glob("checkpoints/step-*"))
    done = curator(*arguments[:-1], str(reached + 2), "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert json_of(done)["step"] == reached + 2
    return output


def test_a_model_writes_text(model: Path) -> None:
    done = curator("generate", model, "the house", "--tokens", "12", "--top-k", "5", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the house")
    again = curator("generate", model, "the house", "--tokens", "12", "--top-k", "5", "--seed", "3", "--json")
    assert printable(str(json_of(again)["text"])) == done.stdout.removesuffix("\n")


def test_a_model_is_asked_about_its_run_and_about_files(model: Path, run: str, tmp_path: Path) -> None:
    scores = json_of(curator("eval", model, "--on", run, "--json"))["scores"]
    assert isinstance(scores, list)
    assert 5 < scores[0]["documents"] < 60  # what it was not taught
    assert json_of(curator("eval", model, "--json"))["scores"] == scores
    (tmp_path / "text.jsonl").write_text('{"text": "the house", "lang": "en"}\n{"text": "le chat", "lang": "fr"}\n{\n')
    done = curator("eval", model, "--on", tmp_path / "text.jsonl", "--lang", "fr")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["lang", "all", "fr"]
    unread = "1 record could not be read: text.jsonl in line 3: the line is not valid JSON; the rest is asked about"
    assert done.stderr == f"curator: {unread}\n"


def test_what_may_not_be_read_or_written_is_one_line_and_no_reason_to_remove_a_checkpoint(
    model: Path, run: str, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "model"))
    for name in ("training.json", "checkpoints/*/state.json", "checkpoints/*/model.safetensors", "tokenizer.model"):
        path = max(copy.glob(name))
        path.chmod(0)
        done = unprivileged("generate", copy, "the house")
        assert told(done) == f"curator: {path}: cannot be opened: Permission denied (check its permissions)"
        assert done.returncode == 2
        path.chmod(0o644)
    shard = min(Path(shutil.copytree(run, tmp_path / "run")).glob("shards/*.parquet"))
    shard.chmod(0)
    done = unprivileged("eval", copy, "--on", tmp_path / "run")
    assert told(done) == f"curator: {shard}: cannot be opened: Permission denied (check its permissions)"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    done = unprivileged("export", copy, "-o", closed / "mixtral")
    assert told(done) == (f"curator: {closed / 'mixtral'}: cannot be written: Permission denied (choose another place)")
    assert done.returncode == 2


@pytest.mark.long
def test_a_model_is_exported_and_imported(model: Path, run: str, tmp_path: Path) -> None:
    assert curator("export", model, "-o", tmp_path / "mixtral").returncode == 0
    assert curator("import", tmp_path / "mixtral", "-o", tmp_path / "back").returncode == 0
    ours, theirs = (
        json_of(curator("eval", each, "--on", run, "--documents", "3", "--json")) for each in (model, tmp_path / "back")
    )
    assert isinstance(ours["scores"], list)
    assert isinstance(theirs["scores"], list)
    # The one that came back does not know what it was taught.
    assert {score["language"] for score in ours["scores"]} <= {score["language"] for score in theirs["scores"]}


def test_a_tokenizer_is_trained_and_used(run: str, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokenizers" / "mine.model"
    done = curator("tokenizer", "train", run, "-o", file, "--vocabulary", "380", "--sample", "50kB", "--json")
    assert done.returncode == 0, done.stderr
    assert json_of(done)["vocabulary"] == 380
    command = ("train", run, "-o", tmp_path / "model", "-c", config, "--tokenizer", file, "--json")
    done = curator(*command, "--steps", "1", "--set", "schedule.warmup=1")
    assert done.returncode == 0, done.stderr
    assert "the learning rate is not reached: its warm-up takes 1 step, the training 1 (schedule.warmup)" in done.stderr
    assert (tmp_path / "model" / "tokenizer.model").read_bytes() == file.read_bytes()
    assert "is there already" in told(curator("tokenizer", "train", run, "-o", file))


Case = tuple[list[str], int, str]

REFUSED: list[Case] = [
    (["train", "{empty}", "-o", "{new}"], 2, "there is no manifest.json"),
    (["train", "{changed}", "-o", "{new}", "-c", "{config}"], 3, "a shard is not as its run wrote it"),
    (["train", "{run}", "-o", "{new}", "--set", "model.sise=tiny"], 2, "'model.sise' (did you mean 'size'?)"),
    (["eval", "{model}", "--on", "{run}", "--lang", "xx"], 2, "there is no document in xx"),
    (["eval", "{moved}"], 2, "is not the run that the model was trained on (name it, or text, with --on)"),
    (["eval", "{foreign}"], 2, "the model does not say on which runs it was trained (name text, or a run, with --on)"),
]
REFUSED_TOO: list[Case] = [
    (["train", "{run}", "-o", "s3://b/m"], 2, "cannot be written to object storage"),
    (["train", "{run}", "-o", "{full}"], 2, "the output is not empty"),
    (["train", "{run}", "-o", "{notes}"], 2, "is a file, not a folder"),
    (["train", "{run}", "-o", "{new}", "-c", "{notes}"], 2, "is not a mapping"),
    (["train", "{run}", "-o", "{new}", "--set", "data.batch=8", "--set", "accumulation=3"], 2, "does not divide"),
    (["train", "{run}", "-o", "{new}", "--tokenizer", "{notes}"], 2, "is no tokenizer"),
    (["train", "{run}", "-o", "{new}", "--device", "tpu"], 2, "there is no device tpu"),
    (["generate", "{empty}"], 2, "there is no training.json"),
    (["generate", "{model}", "--top-p", "2"], 2, "top_p is above 0"),
    (["generate", "{model}", "--tokens", str(10**12)], 2, "out of memory"),
    (["generate", "{model}", "--temperature", "inf"], 2, "temperature and top_k"),
    (["export", "{model}", "-o", "{full}"], 2, "the output is not empty"),
    (["import", "{empty}", "-o", "{new}"], 2, "has no config.json"),
    (["ablate", "web", "--on", "{run}", "-o", "{new}", "--held-out", "2"], 2, "cannot hold out 2"),
]


def of_other_runs(model: Path, copy: Path, sources: list[dict[str, str]]) -> Path:
    """A copy of a model that says it was trained on these runs."""
    shutil.copytree(model, copy)
    description = json.loads((copy / "training.json").read_bytes())
    (copy / "training.json").write_text(json.dumps(description | {"sources": sources}))
    return copy


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [*REFUSED, *(pytest.param(*case, marks=pytest.mark.long) for case in REFUSED_TOO)],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, run: str, config: Path, model: Path, arguments: list[str], code: int, line: str
) -> None:
    full, empty, notes = tmp_path / "full", tmp_path / "empty", tmp_path / "notes.yaml"
    full.mkdir()
    empty.mkdir()
    (full / "mine.txt").write_text("mine")
    notes.write_text("mine")
    changed = write_run(tmp_path / "changed", make_documents(40), shards=1)
    shard = next((Path(changed) / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    places = {
        "foreign": of_other_runs(model, tmp_path / "foreign", []),
        "moved": of_other_runs(
            model, tmp_path / "moved", [{"place": run, "recipe": "x", "fingerprint": "", "shards": ""}]
        ),
        "empty": empty,
        "full": full,
        "notes": notes,
        "new": tmp_path / "new",
        "changed": changed,
        "run": run,
        "config": config,
        "model": model,
    }
    done = curator(*(argument.format(**places) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert line in told(done)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    assert notes.read_text() == "mine"


@pytest.mark.long
def test_two_trainings_in_one_folder_are_refused(run: str, config: Path, tmp_path: Path) -> None:
    arguments = ["train", run, "-o", str(tmp_path / "model"), "-c", str(config), "--steps", "100000"]
    process = subprocess.Popen([EXECUTABLE, *arguments], stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("model/checkpoints/step-*")):
            assert process.poll() is None
            time.sleep(0.05)
        done = curator(*arguments, "--resume")
        assert done.returncode == 2
        assert "another process is working" in told(done)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def test_recipes_are_compared(tmp_path: Path, config: Path) -> None:
    lines = [json.dumps(document, ensure_ascii=False) for document in make_documents(120, units=(30, 60))]
    (tmp_path / "raw.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine.yaml").write_text("name: mine\nstages:\n  - dedup: {}\n")
    done = curator(
        "ablate", tmp_path / "mine.yaml", "--on", tmp_path / "raw.jsonl", "-o", tmp_path / "out", "--tokens", "300",
        "-c", config, "--held-out", "0.02", "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "documents held out, of which every recipe keeps" in done.stdout
    rows = [line for line in done.stdout.splitlines() if " whole " in line]
    assert {row.split()[0] for row in rows} == {"raw", "mine"}
    assert len(rows) == 2 * 6
    # Of each language one document is held out.
    assert all((" to " in row) == (" all " in row) for row in rows)
    assert "take --seeds 3" in done.stdout
