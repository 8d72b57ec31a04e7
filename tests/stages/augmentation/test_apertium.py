"""The translator `apertium`: the real one where it is installed, and a program that misbehaves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from curator.errors import TransientError, UserError
from stages.augmentation import apertium
from stages.augmentation.apertium import DEBIAN_PACKAGES, WAYS, Apertium
from stages.augmentation.translator import Pair, Translator
from tests.stages.augmentation.engine import calls, install

INSTALLED = Apertium().pairs()
OCCITAN = (
    "Totes los èssers umans naisson liures e egals en dignitat e en dreches.\n"
    "\n"
    "Son dotats de rason e de consciéncia e se devon comportar los unes amb los autres dins un esperit de fraternitat."
)
SPANISH = [
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos",
    "Escriba a [REDACTED_NAME] o vea https://example.org/a_b?c=d#e.",
    "¿Cuánto cuesta?  5 < 6 & 7 > 3 {ok} ^dos$ a/b C:\\temp *negrita* @fulano #tema ~casi",
    "\tuna línea\n\n  - otra línea  \n---\n12345\nla última",
    "Me gusta el",
    "El perro.",
    "",
    "123 456",
]


DENIALS = {
    "af": "Niemand weet hoekom dit nie waar is nie.",
    "mk": "Никој не знае зошто ова не е точно.",
    "nn": "Ingen veit kvifor det ikkje er sant.",
    "oc": "Soi pas segur que se pòsca far.",
}


def needs(pair: Pair) -> pytest.MarkDecorator:
    return pytest.mark.skipif(pair not in INSTALLED, reason=f"Apertium {'-'.join(pair)} is not installed")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    return install(tmp_path)


@needs(("oc", "fr"))
@pytest.mark.slow
def test_occitan_goes_to_french_and_back() -> None:
    translator = Apertium()
    there = translator.translate("oc", "fr", [OCCITAN])
    assert there[0] is not None
    assert there[0].startswith("Tous les êtres humains naissent libres et égaux en dignité et en droits.\n\n")
    back = translator.translate("fr", "oc", [there[0]])
    assert back[0] is not None
    assert back[0].startswith("Totes los èssers umans naisson")
    assert back[0].count("\n") == 2


@needs(("es", "ca"))
@pytest.mark.slow
def test_what_is_not_language_comes_through_a_real_pair_unchanged() -> None:
    catalan = Apertium(max_unknown=1.0, max_failed=1.0).translate("es", "ca", SPANISH)
    assert all(text is not None for text in catalan)
    sentence, kept, odd, lines, *_, empty, digits = (text or "" for text in catalan)
    assert sentence == "Tots els éssers humans neixen lliures i iguals en dignitat i drets"
    assert "[REDACTED_NAME]" in kept
    assert "https://example.org/a_b?c=d#e." in kept
    for piece in ("  5 < 6 & 7 > 3 {", "} ^dos$ a/b C:\\", "*negreta* @fulano #tem"):
        assert piece in odd
    assert lines.split("\n")[0].startswith("\tuna ")
    assert lines.split("\n")[1] == ""
    assert lines.split("\n")[2].startswith("  - ")
    assert lines.split("\n")[2].endswith("  ")
    assert lines.split("\n")[3:5] == ["---", "12345"]
    assert (empty, digits) == ("", "123 456")


@needs(("es", "ca"))
@pytest.mark.slow
def test_a_text_is_translated_the_same_whatever_stands_beside_it() -> None:
    translator = Apertium(max_unknown=1.0, max_failed=1.0)
    together = translator.translate("es", "ca", SPANISH)
    assert translator.translate("es", "ca", SPANISH[::-1])[::-1] == together
    assert translator.translate("es", "ca", SPANISH[4:5]) == together[4:5]


@needs(("is", "sv"))
@pytest.mark.slow
def test_a_text_of_another_language_is_refused_by_its_unknown_words() -> None:
    icelandic = "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum."
    found = Apertium(max_failed=1.0).translate(
        "is", "sv", [icelandic, "Sarvaṁ kamatējaḥ wszystkie qwrt zxcv bnmas lkjh."]
    )
    assert found[0] is not None
    assert "*" not in found[0]
    assert found[1] is None


@needs(("oc", "fr"))
def test_identity_is_the_version_and_the_data() -> None:
    requirement = Apertium().requirement(("oc", "fr"))
    assert requirement.problem is None
    assert requirement.identity.startswith(f"{Apertium().version} blake3:")


def test_apertium_is_a_translator(options: dict[str, object]) -> None:
    assert isinstance(Apertium(**options), Translator)


def test_modes_become_pairs_of_list_languages_and_variants_do_not(tmp_path: Path) -> None:
    modes = ("oci-fra", "fra-oci", "oci_gascon-fra", "nob-nno", "nob-nno_e", "es-gl", "spa-glg", "hbs-hbs", "xx1-fr")
    translator = Apertium(**install(tmp_path, modes))
    assert translator.pairs() == {("oc", "fr"), ("fr", "oc"), ("no", "nn"), ("es", "gl")}


def test_every_known_way_has_a_debian_package() -> None:
    assert {frozenset((language, *pivots)) for language, pivots in WAYS.items()} <= set(DEBIAN_PACKAGES)


@pytest.mark.slow
@pytest.mark.parametrize("language", [name for name in DENIALS if name in WAYS])
def test_what_a_sentence_denies_it_denies_when_it_comes_back_a_known_way(language: str) -> None:
    (pivot,) = WAYS[language]
    if not {(language, pivot), (pivot, language)} <= INSTALLED:
        pytest.skip(f"Apertium {language}-{pivot} is not installed")
    there = Apertium().translate(language, pivot, [DENIALS[language]])
    assert Apertium().translate(pivot, language, [str(there[0])]) == [DENIALS[language]]


def test_a_program_that_is_missing_is_a_problem_with_what_to_do(tmp_path: Path) -> None:
    translator = Apertium(program=str(tmp_path / "nowhere"))
    problem = translator.requirement(("oc", "fr")).problem
    assert problem is not None
    assert "apt-get install apertium apertium-oci-fra" in problem
    assert translator.pairs() == frozenset()
    assert translator.version == "unknown"
    with pytest.raises(UserError, match="not installed"):
        translator.translate("oc", "fr", ["casa"])


def test_a_pair_that_is_missing_is_a_problem_with_what_to_do(options: dict[str, object]) -> None:
    translator = Apertium(**options)
    problem = translator.requirement(("is", "sv")).problem
    assert problem is not None
    assert "apt-get install apertium-isl-swe" in problem
    with pytest.raises(UserError, match="no pair is-sv"):
        translator.translate("is", "sv", ["hús"])


def test_a_pair_that_there_is_one_way_alone_is_said_so(tmp_path: Path) -> None:
    one_way = Apertium(**install(tmp_path, modes=("br-fr",)))
    assert one_way.requirement(("fr", "br")).problem == f"no pair fr-br in {tmp_path}, which has br-fr alone"
    assert "apt-get install apertium-pol-szl" in str(one_way.requirement(("szl", "pl")).problem)


def test_identity_changes_with_the_data(options: dict[str, object], tmp_path: Path) -> None:
    before = Apertium(**options).requirement(("oc", "fr"))
    assert before.identity.startswith("9.9.9 blake3:")
    (tmp_path / "oci-fra.bin").write_bytes(b"other")
    assert Apertium(**options).requirement(("oc", "fr")).identity != before.identity


@pytest.mark.parametrize("fault", ["LOSE", "DIE", "BYTES", "EMPTY"])
def test_the_line_at_fault_is_refused_and_no_other(options: dict[str, object], fault: str) -> None:
    texts = ["la casa", "una casa\n" + fault, "casa nòva", "autra"]
    assert Apertium(**options).translate("oc", "fr", texts) == ["la maison", None, "maison nòva", "autra"]


def test_a_line_on_which_a_pipeline_hangs_is_not_sent(options: dict[str, object], tmp_path: Path) -> None:
    texts = ["casa", "casa \0", "casa\n" + "b" * 2000, "casa nòva"]
    assert Apertium(**options).translate("oc", "fr", texts) == ["maison", None, None, "maison nòva"]
    assert len(calls(tmp_path)) == 1


@pytest.mark.slow
@needs(("oc", "fr"))
def test_a_real_pair_is_not_held_up_by_what_it_cannot_read() -> None:
    texts = ["Bonjorn a totes", "un caractèr \0 aquí", "una fin \uffff aquí", "b" * 100_000]
    found = Apertium(timeout_s=30).translate("oc", "fr", texts)
    assert found[0] is not None
    assert found[1:] == [None, None, None]


def test_lines_in_another_order_are_not_taken_for_translations(options: dict[str, object]) -> None:
    assert Apertium(**options).translate("oc", "fr", ["casa", "MOVE", "tres"]) == ["maison", "MOVE", "tres"]


def test_marks_are_stripped_and_too_many_refuse_the_text(options: dict[str, object]) -> None:
    long = "casa " * 60
    strict = Apertium(**options)
    assert strict.translate("oc", "fr", ["MARKS", long + "MARKS"]) == [None, "maison " * 60 + "a b c"]
    lax = Apertium(**options, max_unknown=1.0, max_failed=1.0)
    assert lax.translate("oc", "fr", ["MARKS"]) == ["a b c"]


def test_a_line_is_translated_once_however_often_it_stands(options: dict[str, object], tmp_path: Path) -> None:
    assert Apertium(**options).translate("oc", "fr", ["casa\ncasa"] * 2000) == ["maison\nmaison"] * 2000
    assert calls(tmp_path) == ["oci-fra"]


@pytest.mark.slow
def test_a_line_that_the_cache_has_starts_nothing(options: dict[str, object], tmp_path: Path) -> None:
    kept = {**options, "cache": str(tmp_path / "cache")}
    texts = ["casa", "casa MARKS " + "casa " * 60, "casa LOSE"]
    first = Apertium(**kept).translate("oc", "fr", texts)
    started = len(calls(tmp_path))
    assert Apertium(**kept).translate("oc", "fr", texts[:2]) == first[:2]
    assert Apertium(**kept, max_unknown=0).translate("oc", "fr", texts[:2]) == ["maison", None]
    assert len(calls(tmp_path)) == started
    assert Apertium(**kept).translate("oc", "fr", texts)[2] is None  # what failed is tried again
    (tmp_path / "oci-fra.bin").write_bytes(b"other")
    assert Apertium(**kept).translate("oc", "fr", texts[:1]) == ["maison"]
    assert len(calls(tmp_path)) > started + 1, "another version of the pair has other translations"


@pytest.mark.slow
def test_what_was_translated_before_a_run_ends_is_kept(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apertium, "_BATCH_LINES", 2)
    monkeypatch.setattr(apertium, "_MOST_TIMEOUTS", 1)
    monkeypatch.setattr(apertium, "_SECONDS_PER_LINE", 0.0)
    kept = Apertium(**options, cache=str(tmp_path / "cache"), timeout_s=5)
    with pytest.raises(TransientError):
        kept.translate("oc", "fr", ["casa", "casa nòva", "HANG"])
    before = len(calls(tmp_path))
    assert kept.translate("oc", "fr", ["casa", "casa nòva"]) == ["maison", "maison nòva"]
    assert len(calls(tmp_path)) == before


def test_many_lines_go_in_several_batches(options: dict[str, object], tmp_path: Path) -> None:
    texts = [f"casa {place}" for place in range(1100)]
    assert Apertium(**options).translate("oc", "fr", texts) == [f"maison {place}" for place in range(1100)]
    assert len(calls(tmp_path)) == 2


def test_nothing_to_translate_starts_nothing(options: dict[str, object], tmp_path: Path) -> None:
    assert Apertium(**options).translate("oc", "fr", ["", "12\n--"]) == ["", "12\n--"]
    assert calls(tmp_path) == []


@pytest.mark.slow
def test_a_line_that_hangs_is_given_up_and_its_processes_are_gone(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apertium, "_SECONDS_PER_LINE", 0.0)
    found = Apertium(**options, timeout_s=1.5).translate("oc", "fr", ["casa", "HANG", "tres"])
    assert found == ["maison", None, "tres"]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


@pytest.mark.slow
def test_a_program_that_always_hangs_is_an_error_that_may_be_tried_again(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apertium, "_SECONDS_PER_LINE", 0.0)
    texts = [f"HANG {place}" for place in range(16)]
    with pytest.raises(TransientError, match="did not answer in time"):
        Apertium(**options, timeout_s=0.1).translate("oc", "fr", texts)


@pytest.mark.slow
def test_a_pair_that_fails_on_every_line_ends_soon(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apertium, "_MOST_PROCESSES_OVER", 8)
    texts = [f"DIE {place}" for place in range(100)]
    assert Apertium(**options).translate("oc", "fr", texts) == [None] * 100
    assert len(calls(tmp_path)) == 10  # the last one tells that it is the lines, not the pair


@pytest.mark.parametrize("script", ["exit 1", "cat > /dev/null", "kill -9 $$"])
def test_a_pair_that_is_dead_is_an_error_and_not_a_corpus_without_children(
    options: dict[str, object], tmp_path: Path, script: str
) -> None:
    Path(str(options["program"])).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    with pytest.raises(UserError, match="apertium oci-fra gives nothing back, whatever it is given") as raised:
        Apertium(**options).translate("oc", "fr", ["casa", "autra"])
    assert "echo Apertium | " in str(raised.value)


def test_options_that_it_does_not_know_are_refused() -> None:
    with pytest.raises(ValidationError):
        Apertium(timeout=3)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"
