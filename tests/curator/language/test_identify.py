"""The language of documents: what is named, what is not, and that neighbours and cuts don't matter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.language.identifier import MODEL_PATH, load_identifier
from curator.language.identify import Identification, Policy, identify, required_score
from curator.language.windows import PART_BYTES, WINDOW_BYTES, WINDOWS, cut_windows

ENGLISH = (
    "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom to change his "
    "religion or belief, and freedom, either alone or in community with others, to manifest his religion or belief."
)
FRENCH = (
    "Toute personne a droit à la liberté de pensée, de conscience et de religion ; ce droit implique la liberté de "
    "changer de religion ou de conviction, seule ou en commun, tant en public qu'en privé, par l'enseignement."
)
RUSSIAN = (
    "Каждый человек имеет право на свободу мысли, совести и религии; это право включает свободу менять свою религию."
)


def run(*texts: str, policy: Policy | None = None) -> Identification:
    return identify(*string_buffer(pa.array(texts, pa.string())), policy)


def named(result: Identification) -> list[str]:
    return [result.languages.names[code] for code in result.languages.codes]


def reasons(result: Identification) -> list[str]:
    return [result.reasons.names[code] for code in result.reasons.codes]


def test_arabic_with_its_points_is_arabic_whatever_stands_beside_it() -> None:
    pointed = (
        "إِنَّ ٱلَّذِينَ كَفَرُواْ سَوَآءٌ عَلَيۡهِمۡ ءَأَنذَرۡتَهُمۡ أَمۡ لَمۡ تُنذِرۡهُمۡ لَا يُؤۡمِنُونَ\n"
        "خَتَمَ ٱللَّهُ عَلَىٰ قُلُوبِهِمۡ وَعَلَىٰ سَمۡعِهِمۡۖ وَعَلَىٰٓ أَبۡصَٰرِهِمۡ غِشَٰوَةٞۖ وَلَهُمۡ عَذَابٌ عَظِيمٞ"
    )
    result = run(ENGLISH, pointed, "x", pointed, RUSSIAN)
    assert named(result) == ["en", "ar", "und", "ar", "ru"]
    assert result.scores[1] == result.scores[3] == run(pointed).scores[0] > 0.5


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (FRENCH, "fr"),
        (RUSSIAN, "ru"),
        ("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", "de"),
        ("Todos los seres humanos nacen libres e iguales en dignidad y derechos.", "es"),
        ("すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。", "ja"),
        ("人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。", "zh"),
        ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", "ko"),
        ("يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق، وقد وهبوا عقلاً وضميرًا.", "ar"),
        ("सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।", "hi"),
        ("Бүх хүн төрж мэндлэхдээ эрх чөлөөтэй, адилхан нэр төртэй, ижил эрхтэй байдаг.", "mn"),
        ("Ganwyd pawb yn rhydd ac yn gydradd â'i gilydd mewn urddas a hawliau.", "cy"),
        ("Alle mensken wurde frij en gelyk yn weardigens en rjochten berne.", "fy"),
    ],
)
def test_a_sentence_is_in_its_language(text: str, language: str) -> None:
    result = run(text)
    assert (named(result), reasons(result)) == ([language], ["model"])
    assert 0.5 <= result.scores[0] <= 1.0


@pytest.mark.parametrize(
    ("text", "language"), [("Ελλάδα", "el"), ("สวัสดี", "th"), ("한국어", "ko"), ("ひらがな", "ja"), ("Հայաստան", "hy")]
)
def test_a_few_letters_are_enough_where_a_language_has_a_script_to_itself(text: str, language: str) -> None:
    assert named(run(text)) == [language]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no letters"),
        (" \n\t ", "no letters"),
        ("12:45 +49 (30) 1234567 — 3.14 €", "no letters"),
        ("Ω", "other script"),
        ("Hello", "low score"),
        ("Привет", "short"),
        ("東京", "short"),
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ ᎤᎾᏕᎿ ᏚᏳᎧᏛ ᎨᏒᎢ", "other script"),
        ("xkcd qwrt zzyx plmn vbnq wrtp kjhg fdsa zxcv bnml", "low score"),
    ],
)
def test_nothing_is_named_where_nothing_is_sure(text: str, reason: str) -> None:
    result = run(text)
    assert named(result) == ["und"]
    assert reasons(result) == [reason] or reason == "low score"


@pytest.mark.parametrize("repeats", [1, 2, 10, 40])
def test_a_page_that_is_half_in_another_language_is_undetermined(repeats: int) -> None:
    halves = run(" ".join([ENGLISH] * repeats) + "\n" + " ".join([FRENCH] * repeats))
    assert named(halves) == ["und"]


def test_a_quarter_in_another_language_lowers_the_score_and_keeps_the_name() -> None:
    pure, mixed = run(" ".join([ENGLISH] * 12)), run(" ".join([ENGLISH] * 9 + [FRENCH] * 3))
    assert named(pure) == named(mixed) == ["en"]
    assert mixed.scores[0] < pure.scores[0]


def test_a_cyrillic_text_is_never_named_a_language_in_latin_letters() -> None:
    words = "джон смит компьютер интернет ок гугл бизнес менеджмент " * 8
    identifier = load_identifier()
    result = run(words)
    tag = named(result)[0]
    assert tag == "und" or identifier.written[identifier.name_of == identifier.names.index(tag)].any()
    assert tag not in {"en", "de", "fr"}


def test_a_short_text_must_score_more_than_a_long_one() -> None:
    needed = required_score(np.array([0, 7, 8, 20, 59, 60, 1000]), 0.5)
    assert needed.tolist() == sorted(needed.tolist(), reverse=True)
    assert np.isinf(needed[:2]).all()
    assert (needed[-2:] == 0.5).all()


def test_a_higher_bar_names_no_more() -> None:
    texts = [
        ENGLISH,
        FRENCH,
        RUSSIAN,
        "Alla människor äro födda fria",
        "Semua orang dilahirkan merdeka",
        "Hola amigo mio",
    ]
    low, high = run(*texts, policy=Policy(min_score=0.3)), run(*texts, policy=Policy(min_score=0.9))
    for before, after in zip(named(low), named(high), strict=True):
        assert after in (before, "und")


def test_a_long_text_is_sampled_from_start_to_end() -> None:
    text = " ".join([FRENCH] * 400)
    data, offsets = string_buffer(pa.array([text]))
    begins, ends = cut_windows(data, offsets[:-1], offsets[1:])
    assert begins[0] == 0
    assert ends[-1] == len(data)
    assert (ends - begins).sum() <= WINDOWS * (WINDOW_BYTES + 64)
    assert named(run(text)) == ["fr"]


TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=60),
        st.tuples(st.sampled_from([ENGLISH, FRENCH, RUSSIAN, "ไทย", "漢字かな", "😀", "x"]), st.integers(1, 60)).map(
            lambda pair: pair[0] * pair[1]
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(texts=TEXTS)
@settings(max_examples=80, deadline=None)
def test_windows_are_whole_characters_in_order_inside_their_text(texts: list[str]) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    begins, ends = cut_windows(data, offsets[:-1], offsets[1:])
    for row, text in enumerate(texts):
        begin, end = offsets[row], offsets[row + 1]
        place = begin
        covered = b""
        for window in range(WINDOWS * row, WINDOWS * (row + 1)):
            assert place <= begins[window] <= ends[window] <= end
            place = ends[window]
            part = data[begins[window] : ends[window]].tobytes()
            part.decode("utf-8")
            covered += part
        size = len(text.encode())
        if size <= WINDOWS * WINDOW_BYTES:
            assert covered == text.encode()
        if size < 2 * PART_BYTES:
            assert ends[WINDOWS * row] - begins[WINDOWS * row] == size
        elif size < WINDOWS * PART_BYTES:
            assert ends[WINDOWS * row + 1] - begins[WINDOWS * row] == size


def plain_windows(raw: bytes, window_bytes: int) -> list[tuple[int, int]]:
    """The windows of one text: all of it in the first if it is very short, its halves if it is short; else its parts,
    or windows from its start to its end; cut at the next space within 64 bytes, else where a character begins."""
    size = len(raw)
    if size < 2 * PART_BYTES:
        return [(0, size)] + [(size, size)] * (WINDOWS - 1)

    def cut(place: int) -> int:
        spaces = [at for at in range(place, min(place + 64, size)) if raw[at : at + 1].isspace()]
        return spaces[0] if spaces else next(at for at in range(place, size + 1) if at == size or raw[at] >> 6 != 0b10)

    if size < WINDOWS * PART_BYTES:
        return [(0, cut(size // 2)), (cut(size // 2), size)] + [(size, size)] * (WINDOWS - 2)
    if size > WINDOWS * window_bytes:
        starts = [(size - window_bytes) * number // (WINDOWS - 1) for number in range(WINDOWS)]
        stops = [start + window_bytes for start in starts]
    else:
        starts = [size * number // WINDOWS for number in range(WINDOWS)]
        stops = [*starts[1:], size]
    return [
        (cut(start) if number else 0, cut(stop) if number < WINDOWS - 1 else size)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


@given(texts=TEXTS, window_bytes=st.integers(PART_BYTES, 4 * PART_BYTES))
@settings(max_examples=80, deadline=None)
def test_windows_are_those_of_the_plain_reference(texts: list[str], window_bytes: int) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    begins, ends = cut_windows(data, offsets[:-1], offsets[1:], window_bytes)
    expected = [
        (int(offset) + begin, int(offset) + end)
        for text, offset in zip(texts, offsets, strict=False)
        for begin, end in plain_windows(text.encode(), window_bytes)
    ]
    assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == expected


@pytest.mark.slow
@given(texts=TEXTS, skip=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_text_is_identified_alike_alone_and_in_any_batch(texts: list[str], skip: int) -> None:
    column = pa.array(texts, pa.string())
    together = identify(*string_buffer(column))
    sliced = identify(*string_buffer(column.slice(min(skip, len(texts)))))
    assert named(sliced) == named(together)[skip:]
    for row, text in enumerate(texts):
        alone = run(text)
        assert named(alone)[0] == named(together)[row]
        assert alone.scores[0] == together.scores[row]
        assert alone.letters[0] == together.letters[row]


def test_an_empty_batch_has_no_languages() -> None:
    result = identify(*string_buffer(pa.array([], pa.string())))
    assert (len(result.languages.codes), len(result.scores)) == (0, 0)


def test_the_result_names_the_model_file() -> None:
    from blake3 import blake3

    assert run("x").model == blake3(MODEL_PATH.read_bytes()).hexdigest()
