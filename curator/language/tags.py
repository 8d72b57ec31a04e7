"""Language tags: BCP 47 normal form, and the language by which lists, thresholds and models are chosen.

A tag that the subtag registry knows is written in its canonical form (RFC 5646 section 4.5, with the aliases of Unicode
TR 35 annex C: `iw` is `he`, `zh-cmn-Hans` is `zh-Hans`, `sh` is `sr-Latn`). A tag that it does not know is kept as it
came: it is somebody's label, and guessing at it would mix documents that their owner kept apart.

List languages. A language is the primary subtag, with these rules for macrolanguages (ISO 639-3):

- The dominant member of a macrolanguage is the macrolanguage, as CLDR has it: `cmn` is `zh`, `arb` is `ar`, `swh` is
  `sw`, `pes` is `fa`, `zsm` is `ms`, `ekk` is `et`. So is `zlm` (`ms`): the label "Malay" covers both.
- Every other member stays apart: `yue`, `wuu`, `arz`, `azb`, `ckb`, `id` are languages of their own. Texts are never
  pooled with a larger relative, because the smaller language would vanish in it.
- Norwegian: `nb` is `no`, because what is labelled `no` (web corpora, word lists, lid.176, which learnt it from the
  Bokmål Wikipedia) is Bokmål. Nynorsk, `nn`, stays apart.
- Serbo-Croatian: `sr`, `hr`, `bs`, `cnr` stay apart; `sh` and `hbs` are `sr` (CLDR).
- Tags that name no one language (`und`, `mul`, `mis`, `zxx`, private use `x-...`) and invalid tags are `und`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curator.document import UNDETERMINED

if TYPE_CHECKING:
    from langcodes import Language

TABLE_PATH = Path(__file__).parent / "data" / "tags.tsv"
"""The tags of every day with what langcodes says of them, made by `curator.language.build_tags`: to load langcodes with
its tables and to ask for two hundred tags takes 0.2 CPU seconds a process."""

_CACHED_TAGS = 1 << 16
_LONGEST_TAG = 128
"""Nothing longer is looked up: a tag is data from outside. RFC 5646 section 4.4.1 asks for room for 35 characters."""

_SHOWN_TAG = 35

_RESERVED_LENGTH, _ROOT = 4, "root"
"""Of no primary subtag but CLDR's `root`: RFC 5646 section 2.2.1 keeps four letters for later."""

_NO_ONE_LANGUAGE = frozenset({UNDETERMINED, "mul", "mis", "zxx"})
_ADDED_POLICY = {"nb": "no", "zlm": "ms"}
"""What the policy above adds to CLDR's macrolanguage table."""

_INSTEAD = {"azb": "Arab", "cbk": "Latn", "ie": "Latn", "mwl": "Latn", "nah": "Latn", "xal": "Cyrl"}
"""Languages of the model that the package carries which the likely subtags do not know, or know by their macrolanguage
alone."""

_PREFERRED_NAMES = {
    "als": "Tosk Albanian",
    "el": "Greek",
    "ht": "Haitian Creole",
    "ia": "Interlingua",
    "ie": "Interlingue",
    "km": "Khmer",
    "nl": "Dutch",
    "no": "Norwegian",
    "oc": "Occitan",
    "or": "Odia",
    "pa": "Punjabi",
    "ps": "Pashto",
    "si": "Sinhala",
    "to": "Tongan",
    "ug": "Uyghur",
    UNDETERMINED: "undetermined",
}
"""Where the first description in the registry is not the name in common English use (as CLDR has it)."""

_REMARK = re.compile(r" \((?:macrolanguage|individual language|\d+-)\)$")
"""`Swahili (macrolanguage)`, `Modern Greek (1453-)`: the remark tells entries of the registry apart, not languages."""


class Tag(NamedTuple):
    """What is known of a valid tag: its canonical form, list language, the English name of its language (empty: none),
    and the script it has, or that CLDR's likely subtags give it (empty: not known)."""

    canonical: str
    language: str
    name: str
    script: str


def is_valid(tag: str) -> bool:
    """Whether every subtag is in the registry and in its place. `_` counts as `-`."""
    return _look_up(tag) is not None


def normalise_tag(tag: str) -> str:
    """The canonical form of a valid tag (`PT_br` is `pt-BR`, `iw` is `he`); any other tag as it came."""
    found = _look_up(tag)
    return found.canonical if found else tag


def list_language(tag: str | None) -> str:
    """The list language of a tag: its primary subtag under the policy above; `und` for a missing or invalid tag."""
    found = _look_up(tag) if tag is not None else None
    return found.language if found else UNDETERMINED


def likely_script(tag: str) -> str | None:
    """The script of a valid tag, or the one that CLDR's likely subtags give it; None where they know none."""
    found = _look_up(tag)
    return (found.script or None) if found else None


def display_name(tag: str) -> str:
    """The English name of a tag's language, with the other subtags in brackets (`Chinese (Hant)`), for people to read.

    Names are the descriptions of the IANA subtag registry. A tag without one is returned as it is.
    """
    found = _look_up(tag)
    if not found or not found.name:
        return tag
    _, _, rest = found.canonical.partition("-")
    return f"{found.name} ({rest})" if rest else found.name


def short_tag(tag: str) -> str:
    """A tag for a line or a table: one that is longer than any in use, and so is none, is cut."""
    return tag if len(tag) <= _SHOWN_TAG else f"{tag[: _SHOWN_TAG - 1]}…"


@lru_cache(maxsize=_CACHED_TAGS)
def _look_up(tag: str) -> Tag | None:
    """What is known of a tag; None for one that is not valid."""
    if not tag or len(tag) > _LONGEST_TAG or not tag.isascii():
        return None
    known = _table().get(tag)
    if known is not None:
        return known
    primary = tag.replace("_", "-").partition("-")[0]
    if len(primary) == _RESERVED_LENGTH and primary.lower() != _ROOT:
        return None
    return describe(tag)


@lru_cache(maxsize=1)
def _table() -> dict[str, Tag]:
    rows = (line.split("\t") for line in TABLE_PATH.read_text(encoding="utf-8").splitlines())
    return {tag: Tag(*rest) for tag, *rest in rows}


def describe(tag: str) -> Tag | None:
    """What langcodes knows of an ASCII tag; None for one that is not valid."""
    from langcodes import Language, standardize_tag, tag_is_valid

    if not tag_is_valid(tag):
        return None
    canonical = str(standardize_tag(tag))
    primary = str(standardize_tag(tag, macro=True)).split("-", 1)[0]
    language = _ADDED_POLICY.get(primary, primary)
    if primary in _NO_ONE_LANGUAGE or len(primary) < 2:
        language = UNDETERMINED
    own, _, _ = canonical.partition("-")
    name = _PREFERRED_NAMES.get(own) or _registry_names().get(own) or ""
    script = named_script(canonical) or _INSTEAD.get(own) or _likely_script(Language.get(canonical))
    return Tag(canonical, language, name, script or "")


def _likely_script(tag: Language) -> str | None:
    """The script that the likely subtags have for the language of a tag. For a language that they do not know, and for
    a tag that names none, they would give Latin, as for English: that is no knowledge."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    known = any(broader in LIKELY_SUBTAGS for broader in tag.broader_tags() if not broader.startswith(UNDETERMINED))
    return tag.maximize().script if known else None


def named_script(canonical: str) -> str | None:
    """The script that a tag in canonical form names, None where it names none."""
    primary, *further = canonical.split("-", 2)
    if len(primary) < 2 or not further:  # `x-` and what is private behind it
        return None
    return further[0] if len(further[0]) == 4 and further[0].isalpha() else None


@lru_cache(maxsize=1)
def _registry_names() -> dict[str, str]:
    from langcodes.registry_parser import parse_registry

    names: dict[str, str] = {}
    for entry in parse_registry():  # type: ignore[no-untyped-call]  # langcodes leaves this module without types
        if entry.get("Type") == "language":
            names[entry["Subtag"]] = _REMARK.sub("", entry["Description"][0])
    return names


def checked_list_language(language: str) -> str:
    """A language that a recipe names, which must be a list language. ValueError with the right one for another."""
    right = list_language(language)
    if right != language:
        expected = f"a language as lists have it: {right!r}" if is_valid(language) else "a language tag, such as 'de'"
        raise ValueError(f"{language!r}: expected {expected}")
    return language


def checked_list_languages(languages: tuple[str, ...]) -> tuple[str, ...]:
    """Several such languages."""
    return tuple(map(checked_list_language, languages))
