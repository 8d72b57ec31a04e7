"""docs/reference.md says what the code does: columns and types, keys and parameters with defaults, rules, codes."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from curator.cli.main import app
from curator.errors import CuratorError, UserError
from curator.readers.detect import EXTENSIONS
from curator.readers.registry import reader_names
from curator.recipe import load_recipe, load_recipe_text
from curator.recipe.model import Recipe
from curator.recipe.overlay import Calibration, Fitted
from curator.registry import MASKS, READERS, RECOGNISERS, STAGES, TRANSLATORS, stage_class
from curator.run.failures import MEANINGS
from curator.run.memory import DRIVER_BYTES, SERVER_BYTES, WORKER_BYTES, workers_within
from curator.run.notes import NOTED
from curator.sizes import format_size
from stages.augmentation.apertium import ApertiumOptions
from tests.runs import make_texts, run_stages, write_jsonl

ROOT = Path(__file__).parents[1]
OPTIONAL = {"pii": ("boilerplate", "substrings")}
"""Stages that no packaged recipe names, before the one that they stand in front of."""
SHIPPED = [name for entry in load_recipe("web").stages for name in (*OPTIONAL.get(entry.name, ()), entry.name)]
KINDS = ("shards", "scores", "decisions", "failed")
DERIVED = "augmentation.back-translation"
"""The rule of children: the core writes it, no stage declares it."""


def tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading, up to the next, as rows of cells without their headings."""
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert section, f"there is no section {heading!r}"
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", section[1], flags=re.MULTILINE):
        lines = block.splitlines()
        assert set(lines[1]) <= set("| -"), lines[1]
        found.append([[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]])
    return found


def column(heading: str, number: int = 0) -> list[str]:
    return [row[number].strip("`") for row in tables(heading)[0]]


def described(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each key with its default as JSON has it: `REQUIRED`, and `MAPPING` where keys below it have the defaults."""
    for name, field in model.model_fields.items():
        inner = [kind for kind in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_model(kind)]
        if inner and not field.is_required() and isinstance(field.get_default(), BaseModel):
            yield prefix + name, "MAPPING"
            yield from described(inner[0], f"{prefix}{name}.")
            continue
        yield prefix + name, "REQUIRED" if field.is_required() else _plain(field.get_default(call_default_factory=True))
        if name == "translators":
            yield from described(inner[0], f"{prefix}{name}.")


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=str))


def written(rows: list[list[str]]) -> dict[str, object]:
    """Keys and defaults as a table has them."""
    found: dict[str, object] = {}
    for name, default, *_ in rows:
        words = {"required": "REQUIRED", "": "MAPPING"}
        found[name.strip("`")] = words[default] if default in words else yaml.safe_load(default.strip("`"))
    return found


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    file = write_jsonl(folder / "in.jsonl", make_texts(60))
    file.write_text(file.read_text() + "{broken\n")
    run_stages([file], folder / "run", *SHIPPED)
    return folder / "run"


def fields(schema: pa.Schema) -> Iterator[tuple[str, str, str]]:
    """(name, type, whether null) of each column, those of structs behind their struct."""
    for field in schema:
        nested = pa.types.is_struct(field.type)
        yield field.name, "struct" if nested else str(field.type), "yes" if field.nullable else "no"
        for inner in field.type if nested else ():
            yield f"{field.name}.{inner.name}", str(inner.type), "yes" if inner.nullable else "no"


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_of_a_run_are_those_of_the_reference(run_directory: Path, kind: str) -> None:
    (path,) = (run_directory / kind).glob("*.parquet")
    told = [(name.strip("`"), type_.strip("`"), null) for name, type_, null, _ in tables(kind)[0]]
    assert told == list(fields(pq.read_schema(path)))


def test_what_lies_in_a_run_is_in_the_reference(run_directory: Path) -> None:
    told = {cell.split("`")[1].split("/")[0] for cell, _ in tables("The run directory")[0]}
    assert {path.name for path in run_directory.iterdir()} == told - {"work", "index", "heldout"}


@pytest.mark.slow
def test_the_files_of_an_index_are_those_of_the_reference(tmp_path: Path) -> None:
    stage = "dedup: {index: true, url_field: url}"
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    run_stages([file], tmp_path / "run", stage, input={"metadata": ["url"]})
    told = {name for row in tables("index")[0] for name in re.findall(r"`([\w.]+)`", row[0])}
    assert {path.name for path in (tmp_path / "run" / "index").iterdir()} == told


def test_the_keys_of_the_manifest_are_in_the_reference(run_directory: Path) -> None:
    manifest = json.loads((run_directory / "manifest.json").read_bytes())
    assert sorted(column("manifest.json")) == sorted(manifest)
    assert {tuple(sorted(entry)) for entry in manifest["files"]} == {
        ("bytes", "path", "rows", "sha256"),
        ("bytes", "path", "rows", "sha256", "tokens"),
    }
    assert {tuple(sorted(entry)) for entry in manifest["input"]} == {("bytes", "digest", "name")}
    assert {row[0] for row in manifest["funnel"]} == {"all", "lang", "source", "file"}


def test_the_events_of_a_run_have_the_fields_of_the_reference(run_directory: Path) -> None:
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in tables("Events")[0]}
    seen: dict[str, set[str]] = {}
    for piece in (run_directory / "events").glob("*.jsonl"):
        for event in map(json.loads, piece.read_text().splitlines()):
            seen[event["kind"]] = set(event) - {"attempt", "seq", "time", "kind"}
    assert seen == {kind: names for kind, names in told.items() if kind != "run.stopped"}


def test_every_key_of_a_recipe_has_its_default_in_the_reference() -> None:
    assert written(tables("Recipe")[0]) == dict(described(Recipe))


@pytest.mark.parametrize("stage", SHIPPED)
def test_every_parameter_of_a_stage_has_its_default_in_the_reference(stage: str) -> None:
    assert written(tables(stage)[0]) == dict(described(stage_class(stage).parameters_type))


def test_the_guide_counts_the_memory_that_the_code_counts() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    least = format_size(WORKER_BYTES + DRIVER_BYTES // 2)
    counts = f"counts {format_size(DRIVER_BYTES)} for itself and {format_size(WORKER_BYTES)} for each worker"
    assert f"{counts}, and {format_size(SERVER_BYTES)} for what they share" in guide
    assert f"It refuses less than {least}" in guide
    assert workers_within(2, DRIVER_BYTES + SERVER_BYTES + 2 * WORKER_BYTES, 1) == 2
    assert workers_within(2, DRIVER_BYTES + SERVER_BYTES + 2 * WORKER_BYTES - 1, 1) == 1
    assert workers_within(1, WORKER_BYTES + DRIVER_BYTES // 2, 1) == 1
    with pytest.raises(UserError):
        workers_within(1, WORKER_BYTES + DRIVER_BYTES // 2 - 1, 1)


def test_every_option_of_apertium_has_its_default_in_the_reference() -> None:
    assert written(tables("augmentation")[1]) == dict(described(ApertiumOptions))


def test_the_rules_of_the_reference_are_those_of_the_stages() -> None:
    rules = [rule for stage in SHIPPED for rule in stage_class(stage).rules]
    assert column("Rules") == [*rules, DERIVED]


def test_the_keys_of_an_overlay_and_the_options_of_calibrate_are_in_the_reference() -> None:
    keys, options = tables("Overlay")
    fields = [f"calibration.{name}" for name in Calibration.model_fields]
    assert [row[0].strip("`") for row in keys] == ["stages", "calibration", *fields]
    (fitted,) = (row[1] for row in keys if row[0] == "`calibration.fitted`")
    assert set(re.findall(r"`(\w+)`", fitted)) - {"confidence"} == set(Fitted.model_fields)
    parameters = {option for parameter in get_command(app).commands["calibrate"].params for option in parameter.opts}  # type: ignore[attr-defined]
    told = {name for row in options for name in re.findall(r"`(-[\w-]+)`", row[0])}
    assert told == {option for option in parameters if option.startswith("-")}


def test_the_failure_codes_of_the_reference_are_those_of_the_readers() -> None:
    assert sorted(column("Failure codes")) == sorted(MEANINGS)


def test_the_notes_of_the_reference_are_those_of_the_readers() -> None:
    assert sorted(column("Notes")) == sorted(NOTED)


def test_the_exit_codes_of_the_reference_are_those_of_the_errors() -> None:
    errors = {kind.__name__: str(kind.exit_code) for kind in CuratorError.__subclasses__()}
    told = {name: row[0] for row in tables("Exit codes")[0] for name in re.findall(r"`(\w+Error|Stopped|Bug)`", row[1])}
    assert told == errors
    assert set(column("Exit codes")) == {"0", *errors.values()}


def test_the_formats_of_the_reference_are_those_of_the_readers() -> None:
    assert tuple(column("Input")) == reader_names()
    told = {end: row[0].strip("`") for row in tables("Input")[0] for end in re.findall(r"`(\.\w+)`", row[1])}
    assert told == dict(EXTENSIONS)


def test_the_entry_points_of_the_reference_can_be_used() -> None:
    assert column("Entry points") == [STAGES, READERS, TRANSLATORS, RECOGNISERS, MASKS]
    for name in re.findall(r"`((?:curator|stages)\.[\w.]+\.[A-Z]\w+)`", (ROOT / "docs" / "reference.md").read_text()):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_a_recipe_of_all_keys_and_defaults_of_the_reference_is_the_recipe_of_none() -> None:
    keys: dict[str, object] = {"name": "all", "stages": list(SHIPPED)}
    for path, default in written(tables("Recipe")[0]).items():
        if default not in ("REQUIRED", "MAPPING"):
            nest(keys, path, default)
    plain = {"name": "all", "stages": list(SHIPPED)}
    assert load_recipe_text(json.dumps(keys), "all") == load_recipe_text(json.dumps(plain), "plain")


def nest(target: dict[str, object], path: str, value: object) -> None:
    *outer, last = path.split(".")
    for name in outer:
        inner = target.setdefault(name, {})
        assert isinstance(inner, dict)
        target = inner
    target[last] = value


@pytest.mark.slow
def test_the_rows_of_the_funnel_balance_as_the_reference_says(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(60))
    file.write_text(file.read_text() + "{broken\n")
    run_stages([file], tmp_path / "run", *SHIPPED, holdout={"share": 0.3})
    funnel = json.loads((tmp_path / "run" / "manifest.json").read_bytes())["funnel"]
    told = " ".join((ROOT / "docs" / "reference.md").read_text(encoding="utf-8").split())
    events, came, went = (
        re.findall("`([a-z ]+)`", found[1])
        for found in (
            re.search(r"Events are (.*?), and `STAGE/ACTION/RULE`", told),
            re.search(r"For every name, (.*?) = ", told),
            re.search(r"For every name, .*? = (.*?) \+ the documents of all `drop` events", told),
        )
        if found
    )
    assert {row[2] for row in funnel if "/" not in row[2]} | {"created", "erased"} == set(events)
    assert any(row[2] == "held out" for row in funnel)
    for dimension, name in {(row[0], row[1]) for row in funnel}:
        counts = {event: documents for *place, event, documents, _, _ in funnel if place == [dimension, name]}
        dropped = sum(count for event, count in counts.items() if event.split("/")[1:2] == ["drop"])
        assert sum(counts.get(event, 0) for event in came) == sum(counts.get(event, 0) for event in went) + dropped
    assert {row[0] for row in funnel if row[2] == "failed"} == {"all", "file"}
