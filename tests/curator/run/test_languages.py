"""Languages in a run: what stands in scores/, what the manifest counts, and models of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import fasttext
import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from curator.run.driver import Outcome
from curator.storage.path import AnyPath
from tests.command import curator
from tests.runs import run_stages, write_jsonl

ENGLISH = "Everyone has the right to freedom of thought and religion, and this right includes freedom to change it. "
FRENCH = "Toute personne a droit à la liberté de pensée et de religion, et ce droit implique la liberté de changer. "
RUSSIAN = "Каждый человек имеет право на свободу мысли и религии, и это право включает свободу менять её. "
UZBEK = "Ҳар бир инсон фикр, виждон ва дин эркинлиги ҳуқуқига эга; бу ҳуқуқ ўз динини ўзгартириш эркинлигини. "
NORWEGIAN = "Det var ein en mann som kom, og han sa at vi kan ta det med oss. Eg jeg var der med han i fjor. "

DOCUMENTS = [
    {"id": "plain", "text": ENGLISH * 3},
    {"id": "tagged", "text": ENGLISH * 3, "lang": "en-GB"},
    {"id": "wrong", "text": RUSSIAN * 3, "lang": "en"},
    {"id": "cyrillic", "text": UZBEK * 3, "lang": "uz"},
    {"id": "latin", "text": UZBEK * 3, "lang": "uz-Latn"},
    {"id": "strange", "text": ENGLISH * 3, "lang": "no such tag"},
    {"id": "none", "text": RUSSIAN * 3, "lang": "mul"},
    {"id": "unknown", "text": UZBEK * 3, "lang": "nog"},
    {"id": "short", "text": "Да", "lang": "en"},
    {"id": "mixed", "text": "\n".join([ENGLISH * 2] * 7 + [FRENCH * 2] * 4)},
    {"id": "doubt", "text": NORWEGIAN},
]


def rows(run: AnyPath) -> dict[str, dict[str, object]]:
    return {str(row["id"]): row for row in pq.read_table(str(run / "scores")).to_pylist()}


def facts(outcome: Outcome) -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", outcome.manifest["facts"])


def run_it(folder: Path, **language: object) -> Outcome:
    file = write_jsonl(folder / "in.jsonl", DOCUMENTS)
    return run_stages([file], folder / "run", "entropy: {min_bits: 0}", language=language or "off")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_it(tmp_path_factory.mktemp("languages"), model="lid.176")


def test_a_tag_that_the_script_contradicts_is_kept_shown_and_counted(finished: Outcome) -> None:
    found = rows(finished.directory.root)
    assert found["wrong"]["lang"] == "en"
    assert (found["wrong"]["language.script"], found["wrong"]["language.script_share"]) == ("Cyrl", 0.0)
    assert found["latin"]["language.script_share"] == 0.0
    assert found["tagged"]["language.script_share"] == found["cyrillic"]["language.script_share"] == 1.0
    assert facts(finished)["language"]["tag_contradicted_by_script"] == 2
    warnings = cast("list[str]", finished.manifest["warnings"])
    assert [warning.partition(";")[0] for warning in warnings if "contradicts" in warning] == [
        "2 documents carry a language tag that the script contradicts"
    ]


@pytest.mark.slow
def test_a_tag_that_is_none_is_kept_and_told(finished: Outcome, tmp_path: Path) -> None:
    assert rows(finished.directory.root)["strange"]["lang"] == "no such tag"
    told = "1 document carries a language tag that is none, such as 'no such tag': "
    for outcome in (finished, run_it(tmp_path)):  # with languages identified, and not
        warnings = cast("list[str]", outcome.manifest["warnings"])
        assert next(warning for warning in warnings if "that is none" in warning).startswith(told)
    done = curator("report", str(finished.directory.root))
    assert "no such tag" in done.stdout


@pytest.mark.slow
def test_a_field_that_holds_no_tag_at_all_makes_no_table_of_that_width(tmp_path: Path) -> None:
    """A title in the place of the tag."""
    title = "A title as long as titles are that stand where a tag should stand " * 5
    file = write_jsonl(tmp_path / "in.jsonl", [{"id": "a", "text": ENGLISH * 3, "lang": title}])
    done = curator("process", str(file), "-o", str(tmp_path / "run"), "--set", "language=off", "-r", "web")
    assert done.returncode == 0, done.stderr
    assert title not in done.stdout + done.stderr
    assert f"{title[:34]}…  " in done.stdout
    assert f"such as '{title[:34]}…'" in done.stdout + done.stderr


def test_a_tag_without_known_script_and_a_text_of_a_few_letters_are_not_checked(finished: Outcome) -> None:
    found = rows(finished.directory.root)
    assert all(found[name]["language.script_share"] is None for name in ("strange", "none", "unknown"))
    assert found["short"]["language.script_share"] is None
    assert found["short"]["language.script"] == "Cyrl"


def test_the_languages_of_a_mixed_document_stand_in_scores(finished: Outcome) -> None:
    found = rows(finished.directory.root)
    mixed, plain = found["mixed"], found["plain"]
    assert (mixed["language.dominant"], mixed["language.second"]) == ("en", "fr")
    assert 0.55 < float(str(mixed["language.share"])) < 0.75
    assert plain["language.dominant"] is plain["language.second"] is plain["language.share"] is None
    assert facts(finished)["language"]["in_several_languages"] == 1


def test_the_recipe_says_what_becomes_of_mixed_and_doubtful_documents(finished: Outcome, tmp_path: Path) -> None:
    usual = rows(finished.directory.root)
    other = rows(run_it(tmp_path, mixed="dominant", confusable="macro").directory.root)
    assert (usual["doubt"]["lang"], other["doubt"]["lang"]) == ("und", "no")
    assert (other["mixed"]["lang"], other["mixed"]["language.score"]) == ("en", other["mixed"]["language.share"])


def test_nothing_is_said_with_language_off(tmp_path: Path) -> None:
    outcome = run_it(tmp_path)
    for row in rows(outcome.directory.root).values():
        assert row["language.detected"] == "und"
        assert all(row[f"language.{name}"] is None for name in ("score", "dominant", "second", "share", "script"))
        assert row["language.script_share"] is None
    assert "language" not in facts(outcome)


def test_a_model_of_ones_own_is_given_by_path_and_is_in_the_manifest_by_its_name(tmp_path: Path) -> None:
    source = tmp_path / "train.txt"
    lines = [("eng_Latn", ENGLISH), ("rus_Cyrl", RUSSIAN), ("fra_Latn", FRENCH)] * 30
    source.write_text("".join(f"__label__{label} {text}\n" for label, text in lines), encoding="utf-8")
    model = fasttext.train_supervised(
        str(source), dim=20, bucket=500, minn=2, maxn=4, lr=0.1, epoch=40, thread=10, verbose=0
    )
    path = tmp_path / "own.bin"
    model.save_model(str(path))
    outcome = run_it(tmp_path, model=str(path))
    found = rows(outcome.directory.root)
    assert found["plain"]["lang"] == "en"
    assert found["wrong"]["language.detected"] == "ru"
    said = json.dumps(outcome.manifest)
    assert '"model": "own.bin"' in said
    assert str(tmp_path) not in said


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\xba\x16\x4f\x2f\x0c\x00\x00\x00"])
def test_a_file_that_is_no_model_is_an_error_before_anything_is_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match="model"):
        run_it(tmp_path, model=str(path))
    assert not (tmp_path / "run").exists()
