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

from curator.document import UNDETERMINED

_CACHED_TAGS = 1 << 16
_LONGEST_TAG = 128
"""Nothing longer is looked up: a tag is data from outside. RFC 5646 section 4.4.1 asks for room for 35 characters."""

_NO_ONE_LANGUAGE = frozenset({UNDETERMINED, "mul", "mis", "zxx"})
_ADDED_POLICY = {"nb": "no", "zlm": "ms"}
"""What the policy above adds to CLDR's macrolanguage table."""

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


@lru_cache(maxsize=_CACHED_TAGS)
def is_valid(tag: str) -> bool:
    """Whether every subtag is in the registry and in its place. `_` counts as `-`."""
    if not tag or len(tag) > _LONGEST_TAG or not tag.isascii():
        return False
    from langcodes import tag_is_valid

    return bool(tag_is_valid(tag))


@lru_cache(maxsize=_CACHED_TAGS)
def normalise_tag(tag: str) -> str:
    """The canonical form of a valid tag (`PT_br` is `pt-BR`, `iw` is `he`); any other tag as it came."""
    if not is_valid(tag):
        return tag
    from langcodes import standardize_tag

    return str(standardize_tag(tag))


@lru_cache(maxsize=_CACHED_TAGS)
def list_language(tag: str | None) -> str:
    """The list language of a tag: its primary subtag under the policy above; `und` for a missing or invalid tag."""
    if tag is None or not is_valid(tag):
        return UNDETERMINED
    from langcodes import standardize_tag

    primary = str(standardize_tag(tag, macro=True)).split("-", 1)[0]
    if primary in _NO_ONE_LANGUAGE or len(primary) < 2:
        return UNDETERMINED
    return _ADDED_POLICY.get(primary, primary)


@lru_cache(maxsize=_CACHED_TAGS)
def display_name(tag: str) -> str:
    """The English name of a tag's language, with the other subtags in brackets (`Chinese (Hant)`), for people to read.

    Names are the descriptions of the IANA subtag registry. A tag without one is returned as it is.
    """
    if not is_valid(tag):
        return tag
    primary, _, rest = normalise_tag(tag).partition("-")
    name = _PREFERRED_NAMES.get(primary) or _registry_names().get(primary)
    if name is None:
        return tag
    return f"{name} ({rest})" if rest else name


@lru_cache(maxsize=1)
def _registry_names() -> dict[str, str]:
    from langcodes.registry_parser import parse_registry

    names: dict[str, str] = {}
    for entry in parse_registry():  # type: ignore[no-untyped-call]  # langcodes leaves this module without types
        if entry.get("Type") == "language":
            names[entry["Subtag"]] = _REMARK.sub("", entry["Description"][0])
    return names
