"""A sample as distinct words: their counts, the budget, and that a tokenizer is as good as one that read the lines."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.tokenize import read_tokenizer
from curator.training import TokenizerSection
from model.tokenizer_training import train_on
from model.vocabulary.parallel import load_parallel
from model.vocabulary.sample import LINE_BYTES, Sample, lines_of
from model.vocabulary.words import words_of

PLENTY = 10**9


def sample_of(texts: dict[str, list[str]], counts: dict[str, int]) -> Sample:
    every = [(text, name) for name, own in texts.items() for text in own]
    sizes = {name: sum(len(text.encode()) for text in own) for name, own in texts.items()}
    return Sample([text for text, _ in every], [name for _, name in every], sizes, counts)


def counted(lines: list[str]) -> dict[str, int]:
    return {word: int(count) for word, _, count in (line.rpartition("\t") for line in lines)}


def test_a_word_counts_as_often_as_it_stands_in_each_language() -> None:
    sample = sample_of({"en": ["is it\n is\tso", "it  it"], "fr": ["il est", "it"]}, {"en": 16, "fr": 40})
    assert counted(list(words_of(sample, 400, PLENTY))) == {"is": 32, "it": 48 + 40, "so": 16, "il": 40, "est": 40}


def test_words_end_where_a_character_has_no_token_and_long_ones_are_cut() -> None:
    sample = sample_of({"en": ["ab ba " * 3000 + "abψba", "a" * (LINE_BYTES // 4 + 3)]}, {"en": 16})
    found = counted(list(words_of(sample, 400, PLENTY)))
    assert found == {"ab": 16 * 3001, "ba": 16 * 3001, "a" * (LINE_BYTES // 4): 16, "aaa": 16}


@settings(max_examples=50, deadline=None)
@given(
    words=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=200),
    budget=st.integers(1, 20_000),
)
def test_counts_are_scaled_to_the_budget_and_keep_their_proportions(words: list[str], budget: int) -> None:
    sample = sample_of({"en": [" ".join(words)]}, {"en": 16})
    whole = {word: 16 * count for word, count in Counter(words).items()}
    found = counted(list(words_of(sample, 400, budget)))
    size = sum(count * (len(word) + 1) for word, count in whole.items())
    step = max(1, -(-size // budget))
    assert sum(found.values()) == sum(whole.values()) // step
    assert all(abs(found.get(word, 0) - count / step) < 1 for word, count in whole.items())
    ordered, running = sorted(whole), 0
    for place, word in enumerate(ordered):
        running += found.get(word, 0)
        assert running == sum(whole[each] for each in ordered[: place + 1]) // step


@pytest.mark.slow
def test_a_tokenizer_that_saw_words_is_as_good_as_one_that_saw_lines() -> None:
    from sentencepiece import SentencePieceTrainer

    text = load_parallel()
    tags = ("en", "fr", "ru", "th")
    sample = sample_of({tag: text.texts(tag)[:24] for tag in tags}, dict.fromkeys(tags, 16))
    section = TokenizerSection(vocabulary=1200, kind="unigram")
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=lines_of(sample, section.vocabulary),
        model_writer=model,
        input_format="tsv",
        vocab_size=section.vocabulary,
        model_type="unigram",
        byte_fallback=True,
        character_coverage=1.0,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
    )
    ours, theirs = read_tokenizer(train_on(sample, section), "words"), read_tokenizer(model.getvalue(), "lines")
    for tag in tags:
        unseen = text.texts(tag)[24:]
        mine, others = (sum(map(len, tokenizer.encode(unseen))) for tokenizer in (ours, theirs))
        assert mine <= 1.05 * others, tag
