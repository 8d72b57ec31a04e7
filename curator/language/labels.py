"""The labels of a model as language tags, with the scripts in which each label's texts are written.

A label is a code (`en`), or a code with a script, as GlotLID, OpenLID and NLLB have it (`eng_Latn`). The tag of a code
is its BCP 47 normal form. Codes with a script are ISO 639-3, which names members where others name the macrolanguage:
the dominant member is named as the macrolanguage (`arb_Arab` is `ar`, `cmn_Hani` is `zh`, `zsm_Latn` is `ms`; see
`curator.language.tags`). A script that goes without saying, the one that CLDR's likely subtags give the language, is
left out (`srp_Cyrl` is `sr`, `srp_Latn` is `sr-Latn`). A label that names no one language (`zxx_Zxxx`, `und_Latn`) is
`und`; one that is no valid tag is kept as it is, and its script is not checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curator.document import UNDETERMINED
from curator.language.scripts import likely_script, script_members, scripts_of
from curator.language.tags import is_valid, list_language, normalise_tag

_WIKIPEDIA_CODES = {"als": "gsw", "eml": "egl", "bh": "bho"}
"""Labels of lid.176 that are codes of a Wikipedia and mean something else, or nothing, as language tags. Alemannic is
`gsw` (`als` is Tosk Albanian); of the retired `eml`, Emilian has the larger Wikipedia; the `bh` one is Bhojpuri."""


@dataclass(frozen=True)
class Label:
    """What a label of a model says: the tag, and the scripts of its texts (empty: not known)."""

    tag: str
    scripts: frozenset[str]


def read_labels(labels: Sequence[str]) -> tuple[Label, ...]:
    """The labels of a model, in order. A model that has all codes of Wikipedias that are no tags of their own means
    them so."""
    codes = _WIKIPEDIA_CODES if _WIKIPEDIA_CODES.keys() <= set(labels) else {}
    return tuple(_read(codes.get(label, label)) for label in labels)


def _read(label: str) -> Label:
    if not is_valid(label):
        return Label(label, frozenset())
    if list_language(label) == UNDETERMINED:
        return Label(UNDETERMINED, frozenset())
    from langcodes import Language, standardize_tag

    # A label without a script may be any that its language is written in.
    named = Language.get(label, normalize=False).script
    tag = normalise_tag(label)
    language = Language.get(str(standardize_tag(tag, macro=True)) if named else tag, normalize=False)
    scripts = script_members(named) if named else scripts_of(tag)
    primary = Language.make(language=language.language).to_tag()
    likely = likely_script(primary)
    if likely and language.script in {likely, *script_members(likely)}:
        language = Language.make(language=language.language, territory=language.territory)
    return Label(str(language.to_tag()), scripts)
