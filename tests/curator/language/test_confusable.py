"""The policy on close relatives: which is named, which is not, and what a macrolanguage covers."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curator.document import string_buffer
from curator.language.confusable import GROUPS
from curator.language.identifier import load_identifier
from curator.language.identify import Identification, Policy, identify
from curator.language.tags import list_language

MALAY = (
    "Sila pastikan bahawa anda telah menutup semua fail kerana perubahan itu hanya berlaku selepas komputer dimulakan "
    "semula. Anda boleh mencuba lagi sekiranya fail tersebut tidak wujud."
)
INDONESIAN = (
    "Silakan pastikan bahwa Anda sudah menutup semua berkas karena perubahan itu hanya berlaku setelah komputer "
    "dinyalakan ulang. Anda bisa mencoba lagi jika berkas tersebut tidak ada."
)
NYNORSK = (
    "Eg veit ikkje kva dei gjer her, men vi må vera saman om å finna ei løysing som ikkje berre gjeld for oss, og som "
    "me kan bruka seinare. Kvifor vil du ikkje koma heim?"
)
BOKMAAL = (
    "Jeg vet ikke hva de gjør her, men vi må være sammen om å finne en løsning som ikke bare gjelder for oss, og som "
    "vi kan bruke senere. Hvorfor vil du ikke komme hjem?"
)
DANISH = (
    "Jeg ved ikke, hvad de laver her, men vi må være sammen om at finde en løsning, som ikke kun gælder for os, og som "
    "vi kan bruge senere. Hvorfor vil du ikke komme hjem?"
)
GALICIAN = (
    "Os usuarios poden escoller unha lingua para a interface e gardar os seus ficheiros no cartafol persoal. Non se "
    "pode abrir a ligazón porque xa non existe na páxina que se atopa no servidor."
)
PORTUGUESE = (
    "Os utilizadores podem escolher uma língua para a interface e guardar os seus ficheiros na pasta pessoal. Não se "
    "pode abrir a ligação porque já não existe na página que se encontra no servidor."
)
CROATIAN = (
    "Tko želi promijeniti zaporku mora prvo otvoriti izbornik i odabrati mogućnost koja se nalazi na kraju popisa. Što "
    "se dogodi s datotekama koje korisnik nije spremio prije nego što je sustav ponovno pokrenut?"
)
SERBIAN = (
    "Ko želi da promeni lozinku mora prvo da otvori meni i da izabere mogućnost koja se nalazi na kraju spiska. Šta se "
    "dešava sa datotekama koje korisnik nije sačuvao pre nego što je sistem ponovo pokrenut?"
)
SERBIAN_CYRILLIC = (
    "Ко жели да промени лозинку мора прво да отвори мени и да изабере могућност која се налази на крају списка. Шта се "
    "дешава са датотекама које корисник није сачувао пре него што је систем поново покренут?"
)
EITHER_NORWEGIAN = "Det var ein en mann som kom, og han sa at vi kan ta det med oss. Eg jeg var der med han i fjor."


def run(*texts: str, policy: Policy | None = None) -> Identification:
    return identify(*string_buffer(pa.array(texts, pa.string())), policy)


def named(result: Identification) -> list[str]:
    return [result.languages.names[code] for code in result.languages.codes]


def reasons(result: Identification) -> list[str]:
    return [result.reasons.names[code] for code in result.reasons.codes]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (MALAY, "ms"),
        (INDONESIAN, "id"),
        (NYNORSK, "nn"),
        (BOKMAAL, "no"),
        (DANISH, "da"),
        (GALICIAN, "gl"),
        (PORTUGUESE, "pt"),
        (CROATIAN, "hr"),
        (SERBIAN, "sr-Latn"),
        (SERBIAN_CYRILLIC, "sr"),
    ],
)
def test_relatives_are_told_apart_by_their_words(text: str, language: str) -> None:
    result = run(text)
    assert (named(result), reasons(result)) == ([language], ["model"])


def interleave(first: str, second: str) -> str:
    return " ".join(word for pair in zip(first.split(), second.split(), strict=False) for word in pair)


@pytest.mark.parametrize(
    "text",
    [interleave(CROATIAN, SERBIAN), interleave(GALICIAN, PORTUGUESE), EITHER_NORWEGIAN],
    ids=["hbs", "gl-pt", "no"],
)
def test_a_text_with_the_words_of_two_relatives_is_not_named(text: str) -> None:
    result = run(text)
    assert (named(result), reasons(result)) == (["und"], ["confusable"])


def test_a_text_in_doubt_is_its_macrolanguage_where_there_is_one_and_the_recipe_wants_it() -> None:
    texts = [EITHER_NORWEGIAN, interleave(CROATIAN, SERBIAN), interleave(GALICIAN, PORTUGUESE)]
    result = run(*texts, policy=Policy(confusable="macro"))
    assert (named(result)[0], reasons(result)[0]) == ("no", "macrolanguage")
    assert named(result)[1:] == ["und", "und"]
    assert result.scores[0] >= 0.5


def test_the_model_alone_is_believed_when_the_recipe_says_so() -> None:
    texts = [MALAY, INDONESIAN, NYNORSK, BOKMAAL, SERBIAN_CYRILLIC]
    result = run(*texts, policy=Policy(confusable="model"))
    assert "confusable" not in reasons(result)
    assert named(result) == ["ms", "id", "nn", "no", "sr"]


def test_a_score_that_names_a_language_reaches_the_bar() -> None:
    texts = [MALAY, INDONESIAN, NYNORSK, BOKMAAL, DANISH, GALICIAN, PORTUGUESE, CROATIAN, SERBIAN]
    for bar in (0.5, 0.8, 0.95):
        result = run(*texts, policy=Policy(min_score=bar))
        for name, score in zip(named(result), result.scores.tolist(), strict=True):
            assert name == "und" or score >= bar


def test_groups_share_no_language_and_judge_only_their_members() -> None:
    members = [member for group in GROUPS for member in group.members]
    assert len(members) == len(set(members))
    for group in GROUPS:
        assert set(group.judged) <= set(group.members)
        assert set(group.macro_members) <= set(group.members)
        assert bool(group.macro) == bool(group.macro_members)
        assert all(list_language(member) == member for member in group.members)


def test_the_packaged_model_has_a_label_for_every_judged_language() -> None:
    identifier = load_identifier()
    for number, group in enumerate(GROUPS):
        for member in range(len(group.judged)):
            assert (identifier.label_of[number, member] >= 0).any(), group.judged[member]
