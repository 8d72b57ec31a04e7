"""The phase that writes: no file without rows, no text read for an example that is not wanted."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from curator.recipe import load_recipe_text
from curator.run.driver import Request, run
from curator.run.part import JUDGED_SCHEMA, Part
from curator.run.phases.write import EXAMPLES_PER_RULE, _examples_of
from curator.run.pipeline import make_pipeline
from curator.storage.ipc import write_table
from tests.runs import make_texts, recipe_text, rows, write_jsonl, write_part


def test_a_kind_without_rows_has_no_file(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", make_texts(50, seed=1))
    recipe = load_recipe_text(recipe_text("dedup"), "test.yaml")
    run(Request((str(source),), tmp_path / "run", recipe, keep_work=True))
    left = {path.suffix for path in (tmp_path / "run" / "work" / "write").iterdir()}
    assert not left & {".heldout", ".failed"}
    assert sorted(path.name for path in (tmp_path / "run" / "shards").iterdir()) == ["part-00000.parquet"]


def test_only_a_split_with_records_that_could_not_be_read_has_a_file_of_them(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "a.jsonl", make_texts(20, seed=1))
    bad = write_jsonl(tmp_path / "b.jsonl", make_texts(20, seed=2))
    with bad.open("ab") as file:
        file.write(b"no JSON\n")
    recipe = load_recipe_text(recipe_text("dedup"), "test.yaml")
    run(Request((str(good), str(bad)), tmp_path / "run", recipe, keep_work=True))
    left = sorted(path.name for path in (tmp_path / "run" / "work" / "read").glob("*.failed"))
    assert left == ["000001-000000.failed"]
    assert [(row["file"], row["code"]) for row in rows(tmp_path / "run", "failed")] == [("b.jsonl", "json.invalid")]


def test_only_a_pass_that_edits_leaves_edits(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", make_texts(50, seed=1))
    recipe = load_recipe_text(recipe_text("dedup", "outliers", "pii"), "test.yaml")
    run(Request((str(source),), tmp_path / "run", recipe, keep_work=True))
    folders = sorted((tmp_path / "run" / "work").glob("judge-*"))
    assert [len(list(folder.glob("*.verdicts"))) for folder in folders] == [1, 1]
    assert [len(list(folder.glob("*.edits"))) for folder in folders] == [0, 1]
    (name,) = (path.stem for path in folders[1].glob("*.edits"))
    part = Part(str(tmp_path / "run" / "work" / "read"), name, 50, 0, judged=tuple(map(str, folders)))
    assert len(part.edits.rows)
    assert all("[REDACTED_EMAIL]" in text for text in part.edits.texts.to_pylist())
    (folders[1] / f"{name}.edits").unlink()  # what a pass says that it left is missed where it is gone
    with pytest.raises(FileNotFoundError):
        part.fresh().edits  # noqa: B018 (a property that raises)


def test_examples_are_taken_for_rules_that_lack_some_and_no_text_is_read_for_others(tmp_path: Path) -> None:
    decided = [
        {"stage": "dedup", "row": row, "action": "drop", "rule": rule, "score": row / 8}
        for row, rule in enumerate(("dedup.near", "dedup.near", "dedup.exact", "dedup.near"))
    ]
    (tmp_path / "judge").mkdir()
    write_table(tmp_path / "judge" / "p.verdicts", pa.Table.from_pylist(decided, schema=JUDGED_SCHEMA))
    part = write_part(tmp_path).with_judged(str(tmp_path / "judge"))
    pipeline = make_pipeline(load_recipe_text(recipe_text("dedup"), "test.yaml"))
    near, exact = (("dedup", "drop", rule) for rule in ("dedup.near", "dedup.exact"))
    first = _examples_of(part.fresh(), pipeline, Counter())
    assert Counter(example.rule for example in first) == {"dedup.near": EXAMPLES_PER_RULE, "dedup.exact": 1}
    assert all(example.excerpt == f"text {example.id}" and example.score == int(example.id) / 8 for example in first)
    lacking = _examples_of(part.fresh(), pipeline, Counter({near: EXAMPLES_PER_RULE, exact: 1}))
    assert [example.id for example in lacking] == ["2"]
    part.path("documents").unlink()
    assert _examples_of(part.fresh(), pipeline, Counter({near: EXAMPLES_PER_RULE, exact: EXAMPLES_PER_RULE})) == []
