"""The labels of a model as language tags, with the scripts in which each label's texts are written.

A label is a code (`en`), or a code with a script, as GlotLID, OpenLID and NLLB have it (`eng_Latn`). The tag of a code
is its BCP 47 normal form. Codes with a script are ISO 639-3, which names members where others name the macrolanguage:
the dominant member is named as the macrolanguage (`arb_Arab` is `ar`, `cmn_Hani` is `zh`, `zsm_Latn` is `ms`; see
`curator.language.tags`). A script that goes without saying, the one that CLDR's likely subtags give the language, is
left out (`srp_Cyrl` is `sr`, `srp_Latn` is `sr-Latn`); for a language that they do not know that is Latin. A label
that names no one language (`zxx_Zxxx`, `und_Latn`) is `und`; one that is no valid tag is kept as it is, and its script
is not checked, as that of a code without a script whose language CLDR does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curator.document import UNDETERMINED
from curator.language.scripts import script_members, scripts_of
from curator.language.tags import is_valid, likely_script, list_language, named_script, normalise_tag

WIKIPEDIA_CODES = {"als": "gsw", "eml": "egl", "bh": "bho"}
"""Labels of lid.176 that are codes of a Wikipedia and mean something else, or nothing, as language tags. Alemannic is
`gsw` (`als` is Tosk Albanian); of the retired `eml`, Emilian has the larger Wikipedia; the `bh` one is Bhojpuri."""


_USUAL_SCRIPT = "Latn"
"""What goes without saying where CLDR says nothing (so do the likely subtags of `und`)."""


@dataclass(frozen=True)
class Label:
    """What a label of a model says: the tag, and the scripts of its texts (empty: not known)."""

    tag: str
    scripts: frozenset[str]


def read_labels(labels: Sequence[str]) -> tuple[Label, ...]:
    """The labels of a model, in order. A model that has all codes of Wikipedias that are no tags of their own means
    them so."""
    codes = WIKIPEDIA_CODES if WIKIPEDIA_CODES.keys() <= set(labels) else {}
    return tuple(_read(codes.get(label, label)) for label in labels)


def _read(label: str) -> Label:
    if not is_valid(label):
        return Label(label, frozenset())
    if list_language(label) == UNDETERMINED:
        return Label(UNDETERMINED, frozenset())
    # A label without a script may be any that its language is written in.
    named = named_script(label.replace("_", "-").title())
    tag = normalise_tag(label)
    scripts = script_members(named) if named else scripts_of(tag)
    if named:
        from langcodes import standardize_tag

        tag = str(standardize_tag(tag, macro=True))
    primary, *rest = tag.split("-")
    own, likely = named_script(tag), likely_script(primary) or _USUAL_SCRIPT
    if own and own in {likely, *script_members(likely)}:
        tag = "-".join((primary, *rest[1:]))
    return Label(tag, scripts)
