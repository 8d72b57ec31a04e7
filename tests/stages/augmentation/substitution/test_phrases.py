"""Noun phrases of the same document: real pairs where they are installed, and programs that misbehave."""

from __future__ import annotations

import stat
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from curator.errors import TransientError, UserError
from stages.augmentation.substitution.phrases import PhraseSubstitution
from stages.augmentation.substitution.substitutor import SUBSTITUTORS
from stages.augmentation.substitution.tagger import Tagger

pytest.importorskip("nltk")

TEXTS = {
    "br": "Gwelet em eus ar stêr vras ha war ar vag e oa ar voest.\nAmañ emañ ar vag, hag aze emañ ar stêr.",
    "es": "El perro duerme en la casa blanca y la niña abre la puerta.\n\nEn la calle está la mesa; vemos la casa.",
    "is": "Hann sá hestinn og bátinn. Við ána er húsið, og við götuna er borðið.\nHún tók bókina og skálina.",
    "mk": "Тој ја виде реката и куќата. Жената ја отвори вратата и книгата.\nТаму е градот, а тука е селото.",
    "oc": "Vesi la vila e la maison blanca. La femna dobrís la pòrta e la fenèstra.\nDins la carrièra i a la taula.",
}
KEYS = np.arange(16, dtype=np.uint64).reshape(-1, 2)


@pytest.fixture(params=sorted(TEXTS))
def language(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    problem = SUBSTITUTORS[name]().requirement().problem
    if problem is not None:
        pytest.skip(problem)
    return name


def substitution(language: str) -> PhraseSubstitution:
    found = SUBSTITUTORS[language]()
    assert isinstance(found, PhraseSubstitution)
    return found


def agreements(made: PhraseSubstitution, texts: Sequence[str]) -> list[list[list[tuple[str, ...]]]]:
    """What the phrases of each line of each text agree in."""
    cut = [[line for line in text.split("\n") if line] for text in texts]
    tagged = iter(made.tagger.tag([line for lines in cut for line in lines]))
    found = [[next(tagged) for _ in lines] for lines in cut]
    return [[[phrase.agreement for phrase in made._phrases(line)] for line in lines if line] for lines in found]


@pytest.mark.slow
def test_phrases_give_way_to_others_of_the_document_that_agree_as_they_do(language: str) -> None:
    made = substitution(language)
    text = TEXTS[language]
    found = {new for new in made.substitute([text] * 8, KEYS, 0) if new is not None}
    assert len(found) > 1
    of_text, *of_found = agreements(made, [text, *sorted(found)])
    words = {word.rstrip(".,;") for word in text.split()}
    for new, agreement in zip(sorted(found), of_found, strict=True):
        assert new.count("\n") == text.count("\n")
        assert {word.rstrip(".,;") for word in new.split()} <= words
        assert agreement == of_text


@pytest.mark.slow
def test_a_text_has_one_substitution_whatever_stands_beside_it(language: str) -> None:
    made = substitution(language)
    texts = ["", TEXTS[language], f"{TEXTS[language]}\n123 [x] ^y$ *z"]
    together = made.substitute(texts, KEYS[:3], 0)
    alone = [made.substitute([text], KEYS[row : row + 1], 0)[0] for row, text in enumerate(texts)]
    assert together == alone
    assert (together[0], together[1] is None) == (None, False)


@pytest.mark.slow
def test_words_and_blanks_give_every_line_back(language: str) -> None:
    lines = ["El perro... 5 < 6", "¿A?  b\t{c} [d] ^e$ \\f @g #h *i", "x.", "x", "..", "a/b <c>"]
    tagged = substitution(language).tagger.tag(lines)
    assert any(found is not None for found in tagged)
    for line, found in zip(lines, tagged, strict=True):
        if found is not None:
            assert "".join(f"{word.before}{word.surface}" for word in found.words) + found.after == line


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Tagger:
    """A pair whose programs are this script."""
    (folder / "modes").mkdir()
    (folder / "data.bin").write_bytes(b"data")
    mode = f"lt-proc -w '{folder}/data.bin' | apertium-tagger -g $2 '{folder}/data.bin' | lt-proc $1 'other'"
    (folder / "modes" / "aaa-bbb.mode").write_text(mode)
    for name in ("lt-proc", "apertium-tagger"):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Tagger("aaa-bbb", "apertium-aaa-bbb", folder)


@pytest.mark.parametrize("script", ["exit 1", "head -c 20", "printf 'x[][\\n5]'", "sed s/a/e/g"])
def test_a_tagger_that_dies_or_loses_lines_or_changes_them_leaves_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    tagger = install(tmp_path, script, monkeypatch)
    assert tagger.problem() is None
    assert tagger.tag(["a cat sat", "a rat ran"]) == [None, None]


def test_a_line_on_which_a_tagger_hangs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = install(tmp_path, "cat", monkeypatch)
    found = tagger.tag(["a cat", "a \0 cat", "c" * 2000])
    assert found[0] is not None
    assert found[1:] == [None, None]


def test_a_tagger_that_hangs_is_ended_and_the_task_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = install(tmp_path, "exec sleep 300", monkeypatch)
    tagger.timeout_s = 0.3
    began = time.monotonic()
    with pytest.raises(TransientError, match="lt-proc of aaa-bbb did not answer in time"):
        tagger.tag(["a cat"])
    assert time.monotonic() - began < 30


def test_a_mode_with_a_program_that_is_not_known_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = install(tmp_path, "cat", monkeypatch)
    tagger.path.write_text("rm -rf x | apertium-tagger -g y")
    assert "does not begin with apertium-tagger, cg-proc, lt-proc" in str(tagger.problem())
    with pytest.raises(UserError, match="does not begin with"):
        tagger.tag(["a cat"])


def test_a_pair_that_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    problem = Tagger("aaa-bbb", "apertium-aaa-bbb", tmp_path).problem()
    assert problem == f"no pair aaa-bbb in {tmp_path}/modes (Debian: apt-get install apertium-aaa-bbb)"


def test_the_digest_changes_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = install(tmp_path, "cat", monkeypatch).digest
    (tmp_path / "data.bin").write_bytes(b"other")
    assert Tagger("aaa-bbb", "apertium-aaa-bbb", tmp_path).digest != before
