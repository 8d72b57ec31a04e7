"""Substitution by noun phrases of the same document, in languages that Apertium can tag.

There is no word net for them. A noun phrase gives way to another one of its document, of another noun, with the same
gender, number, case and definiteness, and in languages with articles with the same form of the article: so agreement,
elision and mutation of what stands around it hold. `nltk.RegexpParser` finds the phrases by the tags of the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from blake3 import blake3

from curator.keys import random_words
from curator.stage import Requirement
from stages.augmentation.sentences import has_letter
from stages.augmentation.substitution.tagger import Line, Tagger

if TYPE_CHECKING:
    import numpy as np
    from nltk.chunk.regexp import RegexpParser
    from numpy.typing import NDArray

Articles = Literal["before", "within"]
"""Whether the article is a word of its own, or an ending."""

_GRAMMARS: dict[Articles, str] = {"before": "NP: {<det><adj>*<n><adj>*}", "within": "NP: {<adj>*<n>}"}
_FEATURES = frozenset({"m", "f", "nt", "mf", "sg", "pl", "sp", "nom", "acc", "dat", "gen", "voc"})
"""Tags of gender, number and case (Apertium wiki, "List of symbols")."""
_REPLACED_SHARE = 0.5
"""Share of the phrases with a partner that are replaced: with all of them a short text says nothing of its own."""


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: its words in a line, the lemma of its noun, and what must be the same in one that takes its
    place."""

    begin: int
    end: int
    noun: str
    text: str
    agreement: tuple[str, ...]


class PhraseSubstitution:
    """Replaces noun phrases by others of the same document."""

    def __init__(self, language: str, tagger: Tagger, articles: Articles) -> None:
        self.language = language
        self.tagger = tagger
        self.articles = articles

    @cached_property
    def engine(self) -> str:
        """For the record: the tagger and its version."""
        return self.tagger.version

    def requirement(self) -> Requirement:
        """The tagger, and NLTK."""
        problem = self.tagger.problem()
        if problem is None and find_spec("nltk") is None:
            problem = "the package nltk is not installed (pip install 'curator-corpora[substitution]')"
        identity = f"{self.engine} blake3:{self.tagger.digest}" if problem is None else ""
        return Requirement("parser", f"tagger {self.tagger.mode} for {self.language}", identity, problem)

    def substitute(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """Each text with some of its noun phrases replaced, None where none is. What is chosen depends on the seed, the
        key of the document (uint64[texts, 2]) and its phrases alone."""
        lines = list(dict.fromkeys(line for text in texts for line in text.split("\n") if has_letter(line)))
        tagged = dict(zip(lines, self.tagger.tag(lines), strict=True)) if lines else {}
        words = random_words(seed, "augmentation.substitution", keys).tolist()
        found = []
        for text, word in zip(texts, words, strict=True):
            new = self._substituted(text.split("\n"), tagged, word)
            found.append(None if new == text else new)
        return found

    def _substituted(self, lines: Sequence[str], tagged: dict[str, Line | None], word: int) -> str:
        parsed = [(line, tagged.get(line)) for line in lines]
        phrases = [[] if words is None else list(self._phrases(words)) for _, words in parsed]
        partners: dict[tuple[str, ...], dict[str, str]] = {}
        for some in phrases:
            for phrase in some:
                partners.setdefault(phrase.agreement, {}).setdefault(phrase.noun, phrase.text)
        changed = []
        for (line, words), some in zip(parsed, phrases, strict=True):
            if words is None:
                changed.append(line)
                continue
            new = {phrase.begin: (phrase, _partner(phrase, partners[phrase.agreement], word)) for phrase in some}
            changed.append(_with_phrases(words, new))
        return "\n".join(changed)

    def _phrases(self, line: Line) -> Iterator[Phrase]:
        """The noun phrases of a line, save those with a capital letter: they may be names, or begin a sentence."""
        tree = self._parser.parse([(str(number), _part(word.tags)) for number, word in enumerate(line.words)])
        for subtree in tree.subtrees(lambda node: node.label() == "NP"):
            numbers = [int(number) for number, _ in subtree.leaves()]
            words = [line.words[number] for number in numbers]
            text = "".join(f"{word.before if place else ''}{word.surface}" for place, word in enumerate(words))
            noun = next(word for word in words if word.tags[0] == "n")
            if text != text.lower():
                continue
            agreement = [*(tag for tag in noun.tags if tag in _FEATURES)]
            if self.articles == "before":
                agreement.append(words[0].surface)
            else:
                agreement.append("def" if any("def" in word.tags for word in words) else "ind")
            yield Phrase(numbers[0], numbers[-1] + 1, noun.lemma, text, tuple(agreement))

    @cached_property
    def _parser(self) -> RegexpParser:
        from nltk.chunk.regexp import RegexpParser

        return RegexpParser(_GRAMMARS[self.articles])


def _part(tags: Sequence[str]) -> str:
    return tags[0] if tags and tags[0] in ("det", "adj", "n") else "other"


def _partner(phrase: Phrase, partners: dict[str, str], word: int) -> str:
    """The phrase that takes the place of this one, the same wherever its noun stands; or itself."""
    others = sorted(text for noun, text in partners.items() if noun != phrase.noun)
    drawn = blake3(f"{word} {phrase.noun} {phrase.agreement}".encode()).digest(8)
    if not others or drawn[0] >= 256 * _REPLACED_SHARE:
        return phrase.text
    return others[int.from_bytes(drawn[1:], "little") % len(others)]


def _with_phrases(line: Line, new: dict[int, tuple[Phrase, str]]) -> str:
    pieces = []
    number = 0
    while number < len(line.words):
        word = line.words[number]
        pieces.append(word.before)
        if number in new:
            phrase, text = new[number]
            pieces.append(text)
            number = phrase.end
        else:
            pieces.append(word.surface)
            number += 1
    return "".join(pieces) + line.after
