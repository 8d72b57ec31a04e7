"""The stage `quality`: what each rule drops and says, and where it does not judge."""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.explain import explain
from curator.recipe import load_recipe
from curator.run.directory import RunDirectory
from stages.quality.languages import read_languages
from stages.quality.parameters import QualityParameters, Thresholds
from stages.quality.rules import MEASURES, RULES
from stages.quality.stage import Quality
from tests.runs import hashes, rows, run_stages, write_jsonl
from tests.stages.quality.helpers import TEXT, batch_of

ENGLISH = (
    "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom to change his "
    "religion or belief.\nNo one may be compelled to belong to an association.\nThe will of the people shall be the "
    "basis of the authority of government, and it shall be expressed in periodic and genuine elections.\n"
)
CHINESE = "人人有权享有主张和发表意见的自由;此项权利包括持有主张而不受干涉的自由。\n任何人不得加以奴役或奴隶买卖。\n"
THAI = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม\n" * 2
SERBIAN_LATIN = (
    "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su obdarena razumom i svešću."
)

FALLING = {
    "few_words": "Only six words stand in here.",
    "many_words": "word " * 20,
    "short_words": "a b c d e f g",
    "long_words": "incomprehensibilities internationalisation",
    "symbols": "#one #two three … four … five",
    "bullets": "• one\n• two\n- three",
    "ellipses": "More about this …\nRead on...\nEnd.",
    "alphabetic": "12 13 14 15 words",
    "stop_words": "cheap hotel booking flights",
    "stop_level": "cheap hotel booking flights " * 3 + "the",
    "repeated_lines": "one\ntwo\none\none",
    "repeated_line_characters": "a line that occurs twice\na line that occurs twice",
    "repeated_paragraphs": "one\ntwo\n\none\ntwo",
    "repeated_paragraph_characters": "one\ntwo\n\none\ntwo",
    "top_2_grams": "buy now " * 5,
    "top_3_grams": "buy it now " * 5,
    "top_4_grams": "buy it right now " * 5,
    **{
        f"repeated_{length}_grams": "we sell you all that you ever wanted to have here. " * 3 for length in range(5, 11)
    },
    "terminals": "Home\nContact\nNews",
    "short_lines": "Home\nContact\nNews",
    "braces": "if (x) { y }",
    "lorem_ipsum": "Lorem ipsum dolor sit amet",
    "javascript": "Please enable JavaScript.",
}
"""For each rule a text that falls by it at the threshold of `only`."""

LIMITS = {"many_words": 10, "braces": 0, "lorem_ipsum": 0, "javascript": 0.5}
"""Thresholds of these tests where the default is off or too high to reach."""


def only(rule_name: str) -> QualityParameters:
    """Parameters with all rules off but one."""
    (rule,) = (rule for rule in RULES if rule.name == rule_name)
    values: dict[str, float | None] = dict.fromkeys(Thresholds.model_fields)
    values[rule.parameter] = LIMITS.get(rule_name, getattr(QualityParameters(), rule.parameter))
    return QualityParameters.model_validate(values)


def verdicts_of(
    texts: list[str], parameters: QualityParameters | None = None, lang: str = "en", source: str = "web"
) -> pa.Table:
    stage = Quality(parameters or QualityParameters())
    batch = batch_of(texts, lang, source)
    return stage.decide(batch, stage.annotate(batch), {}).table


def rules_of(
    texts: list[str], parameters: QualityParameters | None = None, lang: str = "en", source: str = "web"
) -> list[str | None]:
    table = verdicts_of(texts, parameters, lang, source)
    found: list[str | None] = [None] * len(texts)
    for row, rule in zip(table["row"].to_pylist(), table["rule"].to_pylist(), strict=True):
        found[row] = rule
    return found


def score_of(text: str, measure: str, lang: str = "en") -> float | None:
    value: float | None = Quality(QualityParameters()).annotate(batch_of([text], lang))[f"quality.{measure}"][0].as_py()
    return value


# The rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_alone_drops_what_it_is_for_and_the_record_says_by_how_much(rule) -> None:  # type: ignore[no-untyped-def]
    parameters = only(rule.name)
    table = verdicts_of([FALLING[rule.name]], parameters)
    assert table["rule"].to_pylist() == [f"quality.{rule.name}"]
    (score,), (threshold,) = table["score"].to_pylist(), table["threshold"].to_pylist()
    assert score == score_of(FALLING[rule.name], rule.measure)
    assert threshold == getattr(parameters, rule.parameter)
    assert score < threshold if rule.drops == "below" else score > threshold
    assert rules_of([ENGLISH], parameters) == ["quality.many_words" if rule.name == "many_words" else None]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_can_be_told_in_words_with_score_and_threshold(rule) -> None:  # type: ignore[no-untyped-def]
    told = Quality.rules[f"quality.{rule.name}"].format(score=0.125, threshold=0.75, lang="en")
    assert "0.125" in told
    assert "0.75" in told


def test_there_is_a_column_for_each_measure_a_threshold_for_each_rule_and_a_rule_for_each_threshold() -> None:
    columns = Quality(QualityParameters()).annotate(batch_of(["one text"]))
    assert list(columns) == [f"quality.{measure.name}" for measure in MEASURES]
    assert [column.name for column in Quality.columns] == list(columns)
    assert [rule.parameter for rule in RULES] == list(Thresholds.model_fields)
    assert {rule.measure for rule in RULES} == {measure.name for measure in MEASURES} - {"stop_share"}


def test_clean_text_stays_and_a_text_with_no_thresholds_always_stays() -> None:
    assert rules_of([ENGLISH]) == [None]
    off = QualityParameters.model_validate(dict.fromkeys(Thresholds.model_fields))
    assert rules_of(list(FALLING.values()), off) == [None] * len(FALLING)


def test_the_first_rule_in_their_order_is_named() -> None:
    assert rules_of(["• one\n• two\n• three"]) == ["quality.few_words"]


def test_a_text_without_words_or_lines_has_no_shares_and_falls_by_its_words_alone() -> None:
    for text in ("", " \n\n", "!!!"):
        assert score_of(text, "words") == 0
        assert score_of(text, "alphabetic") is None
        assert score_of(text, "stop_words") is None
    assert score_of("", "terminals") is None
    assert rules_of(["", "!!!"]) == ["quality.few_words"] * 2
    assert rules_of([]) == []


# Languages and scripts


def test_in_scripts_without_spaces_characters_count_as_parts_of_words_and_have_no_word_length() -> None:
    assert score_of("人人有权享有", "words", "zh") == 3
    assert score_of("ทุกคนมีสิทธิ", "words", "th") == 8 / 4
    assert score_of("everyone has 权利", "words") == 3
    assert score_of(CHINESE, "word_length", "zh") is None
    assert score_of(THAI, "word_length", "th") is None
    assert score_of("everyone has 权利利利利", "word_length") is None
    assert score_of("everyone has two 权利", "word_length") == pytest.approx(14 / 3, rel=1e-5)


def test_a_short_line_of_ideographs_has_fewer_characters() -> None:
    assert score_of("任何人不得加以奴役或奴隶买卖制。\n短行", "short_lines", "zh") == 0.5
    assert score_of("มนุษย์ทั้งหลายเกิดมา\nสั้น", "short_lines", "th") == 1


def test_a_syllable_of_hangul_counts_as_two_letters_in_words_and_lines() -> None:
    assert score_of("모든 사람은 태어날", "word_length", "ko") == pytest.approx(2 * (2 + 3 + 3) / 3, rel=1e-5)
    assert score_of("모든 사람은 태어날 때부터 자유롭다.\n짧은 줄 PDF", "short_lines", "ko") == 0.5
    assert score_of("The word 한글 in a text", "short_lines") == 1
    assert score_of("cafés ꔀꔀ in Vai", "word_length") == (5 + 2 + 2 + 3) / 4


def test_sequences_of_ideographs_are_twice_as_long() -> None:
    assert score_of("人人有权享有" + "自由之国" * 2, "top_2_grams", "zh") == pytest.approx(8 / 14, rel=1e-5)
    assert score_of("人人有权享有" + "自由国" * 2, "top_2_grams", "zh") == 0


def test_a_language_without_stop_words_is_not_judged_by_them() -> None:
    text = FALLING["stop_words"]
    assert rules_of([text], only("stop_words"), "en") == ["quality.stop_words"]
    for language in ("th", "ain", "und", "not a tag"):
        assert score_of(text, "stop_words", language) is None
        assert rules_of([text], only("stop_words"), language) == [None]
    assert "no stop words" in (Quality(QualityParameters()).coverage("th") or "")
    assert "no stop words" not in (Quality(QualityParameters()).coverage("en") or "")


def test_a_text_in_another_script_than_its_stop_words_is_not_judged_by_them() -> None:
    assert score_of(SERBIAN_LATIN, "stop_words", "sr-Latn") is None
    assert (
        score_of("Сва људска бића рађају се слободна и једнака у достојанству и правима.", "stop_words", "sr") or 0
    ) > 1


def test_stop_words_are_found_in_any_case_and_each_is_counted_once() -> None:
    assert score_of("THE the The of", "stop_words") == 2
    assert score_of("THE the The of Rome London", "stop_share") == pytest.approx(4 / 6, rel=1e-5)


@pytest.mark.parametrize(
    ("language", "plain", "pointed"),
    [
        ("ar", "الحمد لله الذي هدانا من قبل على هذا", "ٱلْحَمْدُ لِلَّهِ ٱلَّذِي هَدَانَا مِّن قَبْلُ عَلَىٰ هَـٰذَا"),
        ("he", "את השמים ואת הארץ על פני המים", "אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ עַל־פְּנֵי הַמָּיִם"),
        ("el", "Εν αρχή ήταν ο λόγος από τον θεό και προς αυτόν", "Ἐν ἀρχῇ ἦταν ὁ λόγος ἀπὸ τὸν θεὸ καὶ πρὸς αὐτόν"),
        ("el", "Εν αρχή ήταν ο λόγος από τον θεό και προς αυτόν", "ΕΝ ΑΡΧΗ ΗΤΑΝ Ο ΛΟΓΟΣ ΑΠΟ ΤΟΝ ΘΕΟ ΚΑΙ ΠΡΟΣ ΑΥΤΟΝ"),
    ],
)
def test_a_pointed_text_has_the_stop_words_of_the_same_text_without_points(
    language: str, plain: str, pointed: str
) -> None:
    assert (score_of(plain, "stop_words", language) or 0) > 1
    assert score_of(pointed, "stop_words", language) == score_of(plain, "stop_words", language)
    assert score_of(pointed, "stop_share", language) == score_of(plain, "stop_share", language)


def test_numbers_and_names_in_another_script_do_not_make_the_share_of_stop_words_smaller() -> None:
    russian = "Функция возвращает число и время на этом компьютере или на другом"
    share = score_of(russian, "stop_share", "ru")
    assert share == pytest.approx(6 / 11, rel=1e-5)
    assert score_of(f"{russian}: GetSystemTicks 12, 42, FileExists.", "stop_share", "ru") == share


def test_the_share_of_stop_words_is_held_against_what_the_language_has() -> None:
    turkish = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar ve akıl ile vicdana sahiptirler."
    english, usual = score_of(turkish, "stop_share", "en"), read_languages()["tr"].stop_share
    assert usual is not None
    assert english == 0
    assert score_of(turkish, "stop_level", "tr") == pytest.approx(
        (score_of(turkish, "stop_share", "tr") or 0) / usual, 1e-5
    )
    assert rules_of([turkish], only("stop_level"), "tr") == [None]
    assert rules_of([turkish], only("stop_level"), "en") == ["quality.stop_level"]
    assert score_of(turkish, "stop_level", "bpy") is None  # a list, and no clean text to measure it on


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("vi", "Tất cả mọi người đều được tự do và bình đẳng về nhân phẩm và quyền của mình, và phải đối xử với nhau."),
        ("en", ENGLISH),
        ("zh", CHINESE),
    ],
)
def test_running_text_has_about_the_stop_words_that_its_language_was_measured_to_have(language: str, text: str) -> None:
    assert 0.5 < (score_of(text, "stop_level", language) or 0) < 1.5


def test_a_rule_that_is_off_in_a_language_does_not_judge_it_and_coverage_says_so() -> None:
    unended = "\n".join(ENGLISH.replace(".", "").split("\n"))
    assert rules_of([unended], only("terminals"), "en") == ["quality.terminals"]
    assert rules_of([unended], only("terminals"), "th") == [None]
    assert "off: terminals" in (Quality(QualityParameters()).coverage("th") or "")
    own = QualityParameters.model_validate(
        {**only("terminals").model_dump(), "languages": {"th": {"min_terminals": 0.1}}}
    )
    assert rules_of([unended], own, "th") == ["quality.terminals"]
    assert "terminals" not in (Quality(own).coverage("th") or "")


def test_what_is_known_of_a_language_never_makes_a_rule_tighter_nor_turns_it_on() -> None:
    long = "incomprehensibilities internationalisation"
    known = read_languages()["kl"].thresholds["max_word_length"]
    assert known is not None
    assert known > 10
    loose = QualityParameters.model_validate({**only("long_words").model_dump(), "max_word_length": 21.5})
    assert rules_of([long], loose, "kl") == [None]
    off = QualityParameters.model_validate(dict.fromkeys(Thresholds.model_fields))
    assert rules_of([long], off, "kl") == [None]
    assert rules_of([long], only("long_words"), "kl") == ["quality.long_words"]


def test_coverage_tells_a_language_that_was_not_measured() -> None:
    stage = Quality(QualityParameters())
    assert stage.coverage("en") is None
    assert "not measured" in (stage.coverage("ain") or "")
    assert "not measured" in (stage.coverage("und") or "")


@pytest.mark.parametrize(
    ("parameters", "lang", "source", "dropped"),
    [
        ({}, "en", "web", True),
        ({"min_words": 5}, "en", "web", False),
        ({"min_words": None}, "en", "web", False),
        ({"sources": {"books": {"min_words": 5}}}, "en", "web:page", True),
        ({"sources": {"web": {"min_words": 5}}}, "en", "web:page", False),
        ({"sources": {"web": {"min_words": None}}}, "en", "web:page", False),
        ({"languages": {"en": {"min_words": 5}}}, "en-GB", "web", False),
        ({"sources": {"web": {"min_words": 5}}, "languages": {"en": {"min_words": 50}}}, "en", "web", True),
    ],
)
def test_thresholds_go_from_parameters_over_source_to_language(
    parameters: dict[str, object], lang: str, source: str, dropped: bool
) -> None:
    given_parameters = QualityParameters.model_validate({**only("few_words").model_dump(), **parameters})
    assert (rules_of([FALLING["few_words"]], given_parameters, lang, source) == ["quality.few_words"]) is dropped


# Runs


@pytest.mark.slow
@given(texts=st.lists(TEXT, min_size=2, max_size=5), skip=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_document_is_measured_alike_alone_and_in_any_batch(texts: list[str], skip: int) -> None:
    stage = Quality(QualityParameters())
    together = stage.annotate(batch_of(texts))
    sliced = stage.annotate(batch_of(texts[min(skip, len(texts)) :]))
    for name, column in together.items():
        assert sliced[name].to_pylist() == column.to_pylist()[skip:]


@pytest.mark.slow
def test_a_run_records_the_rule_and_explain_report_and_manifest_tell_it(tmp_path: Path) -> None:
    documents = [
        {"id": "good", "text": ENGLISH, "lang": "en"},
        {"id": "menu", "text": "\n".join(f"Contents {number}" for number in range(60)), "lang": "en"},
        {"id": "thai", "text": THAI * 8, "lang": "th"},
    ]
    source = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages([source], tmp_path / "run", "quality", language="off")
    (decision,) = (row for row in rows(tmp_path / "run", "decisions") if row["id"] == "menu")
    assert (decision["stage"], decision["action"], decision["rule"]) == ("quality", "drop", "quality.alphabetic")
    (scores,) = (row for row in rows(tmp_path / "run", "scores") if row["id"] == "good")
    assert scores["quality.words"] == score_of(ENGLISH, "words")
    (found,) = explain(RunDirectory(tmp_path / "run"), "menu")
    told = "quality dropped it: too few of its words have a letter: a share of 0.5, 0.8 is needed."
    assert told in found.sentences
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert manifest["coverage"]["quality"]["th"].startswith("no stop words; off: ")
    assert "en" not in manifest["coverage"]["quality"]
    assert "quality.alphabetic" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    run_stages([source], tmp_path / "again", "quality", language="off")
    assert hashes(tmp_path / "again") == hashes(tmp_path / "run")


def test_the_recipe_web_quality_is_web_and_the_rules_after_entropy() -> None:
    web, rules = load_recipe("web"), load_recipe("web-quality")
    names = [entry.name for entry in rules.stages]
    assert names.index("quality") == names.index("entropy") + 1
    assert [entry for entry in rules.stages if entry.name != "quality"] == list(web.stages)
    assert rules.model_dump(exclude={"name", "stages"}) == web.model_dump(exclude={"name", "stages"})
    assert "quality" not in [entry.name for entry in web.stages]


@pytest.mark.slow
def test_of_the_articles_of_the_sample_in_a_known_language_at_most_one_in_a_hundred_falls() -> None:
    packed = resources.files("pipelines").joinpath("sample", "declarations.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
        records = [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
    # Number 0 is the preamble, which is one sentence over a dozen lines.
    long = [r for r in records if len(r["text"]) > 800 and "lang" in r and not r["id"].endswith("/0")]
    fallen = [rules_of([record["text"]], None, record["lang"])[0] for record in long]
    assert len(long) > 100
    assert sum(rule is not None for rule in fallen) <= 0.01 * len(long)
