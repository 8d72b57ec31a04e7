"""Substitution in English: nouns at the end of noun phrases give way to siblings of the same number.

Within a document a noun gives way to the same sibling wherever it does. Each new sentence is parsed again. It counts
where the parser finds a complete linkage with the same tree and knows the new words: that keeps agreement, articles,
and what takes none. Where a sentence does not hold with all its new nouns, each is tried alone. Everything else of the
text stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from blake3 import blake3

from curator.keys import random_words
from curator.stage import Requirement
from stages.augmentation.sentences import cut
from stages.augmentation.substitution.link_grammar import DEBIAN_PACKAGE, LinkGrammar, Noun, Parse
from stages.augmentation.substitution.nouns import Number, article_before, base_of, plural_of
from stages.augmentation.substitution.wordnet import DEBIAN_PACKAGES, WordNet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ARTICLES = {"a", "an"}
_TRIES = 4
"""Ways to change a sentence that are parsed again; the first that holds is taken."""


class EnglishSubstitution:
    """Replaces nouns by their siblings in WordNet where link-grammar finds noun phrases."""

    def __init__(self, parser: LinkGrammar | None = None, wordnet: WordNet | None = None) -> None:
        self.parser = LinkGrammar() if parser is None else parser
        self.wordnet = WordNet() if wordnet is None else wordnet

    @cached_property
    def engine(self) -> str:
        """For the record: programs and versions."""
        return f"link-grammar {self.parser.version}, WordNet {self.wordnet.version}"

    def requirement(self) -> Requirement:
        """The parser, NLTK, and WordNet."""
        problem = self._problem()
        identity = f"{self.engine} blake3:{self.wordnet.digest}" if problem is None else ""
        return Requirement("parser", "link-grammar and WordNet for en", identity, problem)

    def _problem(self) -> str | None:
        if self.parser.path is None:
            return f"the program {self.parser.program} is not installed (Debian: apt-get install {DEBIAN_PACKAGE})"
        missing = self.wordnet.missing()
        if missing:
            return f"no {', '.join(missing)} in {self.wordnet.folder} (Debian: apt-get install {DEBIAN_PACKAGES})"
        if find_spec("nltk") is None:
            return "the package nltk is not installed (pip install 'curator-corpora[substitution]')"
        return None

    def substitute(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """Each text with nouns replaced in every sentence where that is possible; None where it is in none. What is
        chosen depends on the seed, the key of the document (uint64[texts, 2]) and the noun alone."""
        pieces = [cut(text) for text in texts]
        words = random_words(seed, "augmentation.substitution", keys).tolist()
        parsed = dict(self._parsed([sentence for piece in pieces for sentence in piece.sentences]))
        tries: dict[tuple[int, str], list[str]] = {}
        for number, (piece, word) in enumerate(zip(pieces, words, strict=True)):
            for sentence in piece.sentences:
                parse = parsed[sentence]
                if parse is not None:
                    tries[number, sentence] = self._candidates(sentence, parse, word)
        again = dict(self._parsed([text for found in tries.values() for text in found]))
        results: list[str | None] = []
        for number, piece in enumerate(pieces):
            chosen: dict[str, str | None] = {sentence: sentence for sentence in piece.sentences}
            for sentence in piece.sentences:
                before = parsed[sentence]
                for text in tries.get((number, sentence), ()):
                    if before is not None and _holds(before, again[text]):
                        chosen[sentence] = text
                        break
            changed = any(sentence != text for sentence, text in chosen.items())
            results.append(piece.joined(chosen) if changed else None)
        return results

    def _parsed(self, sentences: Sequence[str]) -> list[tuple[str, Parse | None]]:
        once = list(dict.fromkeys(sentences))
        return list(zip(once, self.parser.parse(once), strict=True))

    def _candidates(self, sentence: str, parse: Parse, word: int) -> list[str]:
        """The sentence with all its nouns replaced that have siblings, then with each of them alone, _TRIES at most."""
        found = [(noun, self._alike(sentence[noun.begin : noun.end], word)) for noun in parse.nouns]
        ways = [(noun, new) for noun, new in found if new is not None]
        together = [ways] if len(ways) > 1 else []
        return [_with_nouns(sentence, way) for way in (*together, *([way] for way in ways))][:_TRIES]

    def _alike(self, surface: str, word: int) -> str | None:
        """The sibling of a noun in its number that `word` draws. A noun with a capital letter stays: it is a name, or
        begins the sentence."""
        if surface != surface.lower():
            return None
        found = base_of(surface, self.wordnet)
        siblings = () if found is None else self.wordnet.siblings(found[0])
        if found is None or not siblings:
            return None
        base, number = found
        drawn = int.from_bytes(blake3(f"{word} {base}".encode()).digest(8), "little")
        noun = siblings[drawn % len(siblings)]
        return noun if number is Number.SINGULAR else plural_of(noun, self.wordnet)


def _with_nouns(sentence: str, ways: Sequence[tuple[Noun, str]]) -> str:
    """The sentence with nouns replaced, from the last one on."""
    for noun, new in sorted(ways, key=lambda way: -way[0].begin):
        sentence = _with_noun(sentence, noun, new)
    return sentence


def _with_noun(sentence: str, noun: Noun, new: str) -> str:
    before = sentence[: noun.begin]
    if noun.before is not None:
        begin, end = noun.before
        article = sentence[begin:end]
        if article.lower() in _ARTICLES:
            fitting = article_before(new)
            fitting = fitting.capitalize() if article[0].isupper() else fitting
            before = sentence[:begin] + fitting + sentence[end : noun.begin]
    return before + new + sentence[noun.end :]


def _holds(before: Parse, after: Parse | None) -> bool:
    """Whether the new sentence has the tree of the old one, and differs from it in words that the parser knows."""
    if after is None or before.shape != after.shape or len(before.words) != len(after.words):
        return False
    pairs = enumerate(zip(before.words, after.words, strict=True))
    return not any(number in after.guessed for number, (old, new) in pairs if old != new)
