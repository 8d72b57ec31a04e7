"""The report of a tokenizer: what it counts, on which aligned lines, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard

from curator.errors import DataError, UserError
from curator.tokenize import Tokenizer, load_tokenizer
from model.vocabulary.fairness import compare_languages, measure_cost
from model.vocabulary.parallel import ParallelText, load_parallel
from tests.curator.test_tokenize import json_tokenizer


def test_the_packaged_articles_are_aligned() -> None:
    text = load_parallel()
    assert text.english == "en"
    assert len(text.lines) == 97
    assert {len(lines) for lines in text.lines.values()} == {30}
    assert text.lines["en"][2] == "Everyone has the right to life, liberty and the security of person."
    assert text.lines["fr"][2] == "Tout individu a droit à la vie, à la liberté et à la sûreté de sa personne."


def test_both_formats_give_the_same_lines(tmp_path: Path) -> None:
    rows = [{"en": "one", "fr": "un"}, {"en": "two"}, {"en": "three", "fr": "trois"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "lines.jsonl").write_bytes(lines)
    (tmp_path / "lines.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines))
    (tmp_path / "lines.tsv").write_text("en\tfr\r\none\tun\r\ntwo\t\nthree\ttrois\n")
    found = [load_parallel(tmp_path / name).lines for name in ("lines.jsonl", "lines.jsonl.zst", "lines.tsv")]
    assert found[0] == found[1] == found[2] == {"en": ("one", "two", "three"), "fr": ("un", None, "trois")}


def test_only_lines_that_both_have_are_compared(tokenizer: Tokenizer) -> None:
    text = ParallelText("it", {"en": ("the house", "a very long line"), "fr": ("the house", None)})
    found = compare_languages(tokenizer, "it", text)
    assert {row.language: row.against_english for row in found.languages} == {"en": 1.0, "fr": 1.0}


def test_without_english_nothing_is_compared_with_it(tokenizer: Tokenizer) -> None:
    found = compare_languages(tokenizer, "it", ParallelText("it", {"de": ("ein",), "fr": ("un",)}))
    assert [row.against_english for row in found.languages] == [None, None]


def test_what_is_counted(tokenizer: Tokenizer) -> None:
    cost = measure_cost(tokenizer, ["the house", "", "家家"])
    assert (cost.words, cost.characters) == (4, 11)
    assert cost.tokens == sum(map(len, tokenizer.encode(["the house", "", "家家"])))
    assert (cost.parts, cost.unknown) == (6, 0)  # two characters of three bytes that have no token
    assert cost.tokens_per_word == cost.tokens / 4


def test_parts_of_characters_are_known_in_byte_level_files(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(json_tokenizer(tmp_path, "<s>", "</s>"))
    assert measure_cost(tokenizer, ["a"]).parts == 0
    assert measure_cost(tokenizer, ["家"]).parts == 3
    assert tokenizer.unknown is None


def test_unknown_tokens_are_counted(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as TokenizerFile
    from tokenizers import models, pre_tokenizers

    made = TokenizerFile(models.WordLevel({"[UNK]": 0, "</s>": 1, "a": 2}, unk_token="[UNK]"))  # noqa: S106 (a token of text)
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "words.json"))
    cost = measure_cost(load_tokenizer(tmp_path / "words.json"), ["a b c"])
    assert (cost.tokens, cost.unknown) == (3, 2)


def test_the_dearest_language_is_first(tokenizer: Tokenizer) -> None:
    found = compare_languages(tokenizer, "it", load_parallel(), ["en", "ja", "fr"])
    assert [row.language for row in found.languages] == ["ja", "fr", "en"]
    assert found.mean_tokens_per_word == pytest.approx(sum(row.cost.tokens_per_word for row in found.languages) / 3)


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b'{"en": "one"}\n', UserError, "fewer than two languages"),
        (b'{"en": "one", "fr": 1}\n', UserError, "no object of texts"),
        (b'{"en": "one", "fr": "un"}\n[1]\n', UserError, "no object of texts"),
        (b'{"en": "one", "fr"\n', DataError, "not JSON"),
        (b"en\tfr\none\n", UserError, "a line has 1 cells, the first 2"),
        (b"\xff\xfe\n", DataError, "not UTF-8"),
        (zstandard.ZstdCompressor().compress(b'{"en": "one", "fr": "un"}\n' * 99)[:-9], DataError, "decompressed"),
    ],
)
def test_what_is_no_aligned_text_is_refused(tmp_path: Path, content: bytes, error: type[Exception], told: str) -> None:
    (tmp_path / "lines").write_bytes(content)
    with pytest.raises(error, match=told):
        load_parallel(tmp_path / "lines")


def test_a_language_that_is_not_there_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="has no xx"):
        compare_languages(tokenizer, "it", load_parallel(), ["xx"])
