"""English nouns in singular and plural, and the article before them.

The rules for plurals are those of WordNet's morphology turned round, morphy(7WN); what has an irregular form is in
its list of exceptions. Whether a form is right English is not known here: the parser judges the whole sentence.
"""

from __future__ import annotations

import re
from enum import Enum

from stages.augmentation.substitution.wordnet import WordNet

_SINGULAR_ENDINGS = (("ies", "y"), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("s", ""))
_SIBILANT = re.compile(r"(?:s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_VOWEL_SOUND = re.compile(r"(?:hour|honest|honou?r|heir)|(?!uni|use|usu|eu|one|ut[aeio])[aeiou]")


class Number(Enum):
    """Grammatical number."""

    SINGULAR = "singular"
    PLURAL = "plural"


def base_of(word: str, wordnet: WordNet) -> tuple[str, Number] | None:
    """The base form of a noun and the number in which it stands here; None for what is no noun, and for what may be
    either (`days` is a noun of its own too)."""
    singular = _singular_of(word, wordnet)
    if wordnet.is_noun(word):
        return (word, Number.SINGULAR) if singular is None else None
    return None if singular is None else (singular, Number.PLURAL)


def _singular_of(word: str, wordnet: WordNet) -> str | None:
    for found in wordnet.irregular_singulars(word):
        if found != word and wordnet.is_noun(found):
            return found
    for ending, stem in _SINGULAR_ENDINGS:
        found = word.removesuffix(ending) + stem
        if word.endswith(ending) and len(found) > 2 and wordnet.is_noun(found):
            return found
    return None


def plural_of(noun: str, wordnet: WordNet) -> str:
    """The plural of a base form."""
    irregular = wordnet.irregular_plurals.get(noun)
    if irregular is not None:
        return irregular
    if _SIBILANT.search(noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if _CONSONANT_Y.search(noun) else f"{noun}s"


def article_before(noun: str) -> str:
    """`a` or `an`, by the letters that stand for the first sound."""
    return "an" if _VOWEL_SOUND.match(noun) else "a"
