"""Make a large corpus of a small one, without filling it with duplicates.

    python benchmarks/grow_corpus.py corpus.jsonl.zst large.jsonl --megabytes 1000 [--seed 0]

The input is read again and again. The first time it is copied as it is; every further time about one word in five is
replaced by another of the same language, so that two rounds of a document share about a tenth of their 5-grams. Which
words are replaced, and by what, depends only on the round, the word and the word before it: what was an exact duplicate
stays one within its round, near duplicates stay near, and the share of duplicates stays that of the input. Ids of later
rounds end in `~ROUND`. The truth beside the input (`corpus.truth.jsonl.zst`), if there is one, is carried over with the
similarity measured anew. Memory: the planted pairs of one round.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zstandard
from build_corpus import truth_path
from corpora import read_records
from planting import jaccard, units

from curator.kernel import inline_kernel, kernel

Record = dict[str, object]

ONE_IN = 5
VOCABULARY_UNITS = 4096
BATCH_BYTES = 8 << 20
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Golden-ratio multiplier (Knuth, The Art of Computer Programming, volume 3, 6.4)."""


@inline_kernel
def character_size(lead: int) -> int:
    """Bytes of the UTF-8 character that begins with `lead`."""
    return 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


@inline_kernel
def unit_end(data: npt.NDArray[np.uint8], place: int, end: int) -> int:
    """Where the unit that begins at `place` ends; `place` itself where there is none.

    A unit is a run of ASCII letters and digits and of characters beyond ASCII, or one character of kana, Han, Thai,
    Lao, Myanmar or Khmer.
    """
    start = place
    while place < end:
        byte = data[place]
        if byte < 0x80:
            alphanumeric = 0x30 <= byte <= 0x39 or 0x41 <= (byte & 0xDF) <= 0x5A
            if not alphanumeric:
                return place
            place += 1
            continue
        following = data[place + 1] if place + 1 < end else 0
        # Latin-1 signs (C2), general punctuation (E2) and CJK punctuation (E3 80) separate.
        if byte == 0xC2 or byte == 0xE2 or byte == 0xEF or (byte == 0xE3 and following == 0x80):
            return place
        size = character_size(byte)
        unspaced = 0xE3 <= byte <= 0xE9 or (byte == 0xE0 and 0xB8 <= following <= 0xBB)
        unspaced = unspaced or (byte == 0xE1 and (following <= 0x82 or 0x9E <= following <= 0x9F))
        if unspaced:
            return min(place + size, end) if place == start else place
        place = min(place + size, end)
    return place


@kernel
def vary(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    languages: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint8],
    word_offsets: npt.NDArray[np.int64],
    first_words: npt.NDArray[np.int64],
    seed: np.uint64,
    out: npt.NDArray[np.uint8],
    out_offsets: npt.NDArray[np.int64],
) -> None:
    """Write a variant of each text of `data` to `out` (texts begin at `offsets`, variants at `out_offsets`).

    Word `w` is `words[word_offsets[w]:word_offsets[w + 1]]`; language `l` has words `first_words[l]` up to
    `first_words[l + 1]`, and text `i` is in language `languages[i]`.
    """
    written = 0
    for text in range(len(offsets) - 1):
        out_offsets[text] = written
        low = first_words[languages[text]]
        count = first_words[languages[text] + 1] - low
        place, end = offsets[text], offsets[text + 1]
        before = seed
        while place < end:
            stop = unit_end(data, place, end)
            if stop == place:
                for index in range(place, min(place + character_size(data[place]), end)):
                    out[written] = data[index]
                    written += 1
                    place += 1
                continue
            this = np.uint64(0xCBF29CE484222325)
            for index in range(place, stop):
                this = (this ^ np.uint64(data[index])) * np.uint64(0x100000001B3)
            chance = (this ^ (before * _MIX) ^ seed) * _MIX
            chance ^= chance >> np.uint64(29)
            chance *= _MIX
            chance ^= chance >> np.uint64(32)
            if count > 0 and chance % np.uint64(ONE_IN) == 0:
                word = low + np.int64((chance >> np.uint64(8)) % np.uint64(count))
                for index in range(word_offsets[word], word_offsets[word + 1]):
                    out[written] = words[index]
                    written += 1
            else:
                for index in range(place, stop):
                    out[written] = data[index]
                    written += 1
            before = this
            place = stop
    out_offsets[len(offsets) - 1] = written


class Vocabulary:
    """Words of each language in their natural frequency, gathered while the input is read for the first time."""

    def __init__(self) -> None:
        self.words: dict[str, list[bytes]] = {}

    def learn(self, record: Record) -> None:
        """Take some of the words of a document, until its language has enough."""
        known = self.words.setdefault(language(record), [])
        if len(known) < VOCABULARY_UNITS:
            known += [unit.encode() for unit in units(str(record["text"]))[:200] if len(unit) <= 20]

    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(bytes of all words, where each word begins, which word is the first of each language)."""
        every = [word for words in self.words.values() for word in words]
        sizes = [len(words) for words in self.words.values()]
        data = np.frombuffer(b"".join(every), np.uint8).copy()
        return data, np.cumsum([0, *map(len, every)]), np.cumsum([0, *sizes])


def language(record: Record) -> str:
    """The language whose words replace those of the record."""
    return str(record.get("lang", "und"))


def variants(records: Iterable[Record], vocabulary: Vocabulary, number: int, seed: int) -> Iterator[Record]:
    """The records as round `number` has them."""
    words, word_offsets, first_words = vocabulary.arrays()
    places = {name: place for place, name in enumerate(vocabulary.words)}
    longest = int(np.diff(word_offsets).max(initial=1))
    round_seed = np.uint64((seed * 1_000_003 + number) * int(_MIX) & (2**64 - 1))
    for batch in batches(records):
        encoded = [str(record["text"]).encode() for record in batch]
        data = np.frombuffer(b"".join(encoded), np.uint8).copy()
        offsets = np.cumsum([0, *map(len, encoded)])
        codes = np.array([places[language(record)] for record in batch], np.int64)
        # This always suffices: every byte a unit, each replaced by the longest word. Pages not written are not used.
        out = np.empty(len(data) * (longest + 1), np.uint8)
        out_offsets = np.zeros(len(offsets), np.int64)
        vary(data, offsets, codes, words, word_offsets, first_words, round_seed, out, out_offsets)
        for record, begin, end in zip(batch, out_offsets[:-1].tolist(), out_offsets[1:].tolist(), strict=True):
            yield record | {"id": f"{record['id']}~{number}", "text": out[begin:end].tobytes().decode()}


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in lists of about 8 MB of text."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(str(record["text"]))
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def rounds(source: Path, seed: int) -> Iterator[tuple[int, Record]]:
    """Every record of every round, without end: (round, record)."""
    vocabulary = Vocabulary()
    for record in read_records(source):
        vocabulary.learn(record)
        yield 0, record
    if not vocabulary.words:
        raise SystemExit(f"{source}: no documents in it")
    for number in itertools.count(1):
        for record in variants(read_records(source), vocabulary, number, seed):
            yield number, record


class Truth:
    """Carries the planted pairs of the input over to every round."""

    def __init__(self, path: Path) -> None:
        self.pairs = list(read_records(path)) if path.exists() else []
        self.members = {str(pair[side]) for pair in self.pairs for side in ("a", "b")}
        self.texts: dict[str, str] = {}

    def see(self, number: int, record: Record) -> None:
        """Remember the text of a planted document of this round."""
        name = original_id(record, number)
        if name in self.members:
            self.texts[name] = str(record["text"])

    def close(self, number: int) -> list[Record]:
        """The pairs of the round that were written in full, and forget its texts."""
        tail = f"~{number}" if number else ""
        lines: list[Record] = []
        for pair in self.pairs:
            a, b = str(pair["a"]), str(pair["b"])
            if a in self.texts and b in self.texts:
                similarity = jaccard(self.texts[a], self.texts[b]) if number else pair["jaccard"]
                lines.append(pair | {"a": a + tail, "b": b + tail, "jaccard": similarity})
        self.texts.clear()
        return lines


def original_id(record: Record, number: int) -> str:
    """The id that the record has in the input."""
    return str(record["id"]).removesuffix(f"~{number}") if number else str(record["id"])


def grow(source: Path, out: Path, wanted: int, seed: int) -> tuple[int, int]:
    """Write rounds until `wanted` bytes of text are there; returns (documents, rounds)."""
    truth = Truth(truth_path(source))
    size = count = current = 0
    opened = zstandard.open if out.suffix == ".zst" else open
    with opened(out, "wt", encoding="utf-8") as file, opened(truth_path(out), "wt", encoding="utf-8") as planted:

        def finish() -> None:
            planted.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in truth.close(current))

        for number, record in rounds(source, seed):
            if number != current:
                finish()
                current = number
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            truth.see(number, record)
            count += 1
            size += len(str(record["text"]).encode())
            if size >= wanted:
                break
        finish()
    return count, current + 1


def main() -> None:
    """Read the command line, grow, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=int, required=True, help="MB of text in all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count, number = grow(options.source, options.out, options.megabytes * 1_000_000, options.seed)
    print(f"{count} documents in {number} rounds")


if __name__ == "__main__":
    main()
