"""What a tokenizer is trained on: originals, mixed by an exponent that acts once and whatever the sizes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.shards import open_corpus
from model.vocabulary.sample import (
    COUNT_STEPS,
    LanguageSize,
    counts_of_text,
    lines_of,
    measure_languages,
    mix_weights,
    quotas,
    take_held_out,
    take_sample,
)
from tests.model.corpora import make_documents, write_run

ALL = 10**9


def documents(lang: str, count: int, first: int = 0) -> list[dict[str, object]]:
    """So many documents of 24 bytes."""
    rows = range(first, first + count)
    return [{"id": f"d{row}", "text": f"{lang} words {row:015d}", "lang": lang, "weight": 1.0} for row in rows]


@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 10**9), min_size=1, max_size=8),
    alpha=st.floats(0, 1),
    total=st.integers(0, 10**9),
)
def test_quotas_never_exceed_a_language_or_the_total(sizes: dict[str, int], alpha: float, total: int) -> None:
    found = quotas(sizes, mix_weights({name: LanguageSize(size, size) for name, size in sizes.items()}, alpha), total)
    assert set(found) == set(sizes)
    assert all(0 <= found[name] <= sizes[name] for name in sizes)
    assert sum(found.values()) <= max(total, 0) + len(sizes)
    assert sum(found.values()) >= min(total, sum(sizes.values())) - len(sizes) - 1


@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 10**6), min_size=1, max_size=8),
    alpha=st.floats(0, 1),
    total=st.integers(100, 10**6),
)
def test_text_counts_so_that_languages_stand_as_the_exponent_says(
    sizes: dict[str, int], alpha: float, total: int
) -> None:
    weights = mix_weights({name: LanguageSize(size, size) for name, size in sizes.items()}, alpha)
    taken = {name: size for name, size in quotas(sizes, weights, total).items() if size}
    counts = counts_of_text(taken, weights)
    assert min(counts.values(), default=COUNT_STEPS) == COUNT_STEPS
    whole = sum(taken[name] * counts[name] for name in taken)
    scale = sum(weights[name] for name in taken)
    for name in taken:
        assert taken[name] * counts[name] / whole == pytest.approx(weights[name] / scale, rel=1 / COUNT_STEPS)


def test_the_exponent_acts_where_all_text_is_taken(tmp_path: Path) -> None:
    corpora = [open_corpus(write_run(tmp_path / "run", documents("en", 100) + documents("br", 4, 100), shards=1))]
    sizes = measure_languages(corpora)
    found = {alpha: take_sample(corpora, sizes, alpha=alpha, sample_bytes=ALL, seed=0) for alpha in (0.0, 0.5, 1.0)}
    assert {len(sample.texts) for sample in found.values()} == {104}
    assert found[0.0].counts_of == {"en": COUNT_STEPS, "br": 25 * COUNT_STEPS}
    assert found[0.5].counts_of == {"en": COUNT_STEPS, "br": 5 * COUNT_STEPS}
    assert found[1.0].counts_of == {"en": COUNT_STEPS, "br": COUNT_STEPS}


def test_the_exponent_is_over_sizes_before_sampling(tmp_path: Path) -> None:
    """Sampling has left 10 of 1,000 English documents, and the mix has to be that of the 1,000."""
    place = write_run(tmp_path / "run", documents("en", 10) + documents("br", 10, 10), shards=1)
    path = Path(place) / "manifest.json"
    manifest = json.loads(path.read_text())
    rows = [{"language": name, "tokens": tokens} for name, tokens in (("en", 3000), ("br", 30))]
    path.write_text(json.dumps(manifest | {"facts": {"sampling": {"languages": rows}}}))
    corpora = [open_corpus(place)]
    sizes = measure_languages(corpora)
    assert sizes["en"].bytes == sizes["br"].bytes == 240
    assert sizes["en"].bytes_before_sampling == pytest.approx(100 * sizes["br"].bytes_before_sampling)
    sample = take_sample(corpora, sizes, alpha=0.5, sample_bytes=ALL, seed=0)
    assert sample.counts_of == {"br": COUNT_STEPS, "en": 10 * COUNT_STEPS}


def test_copies_and_children_are_left_out(tmp_path: Path) -> None:
    plain = make_documents(60)
    copies = [{**found, "copy": 1} for found in plain]
    children = [{**found, "id": f"d{number + 100}", "parent": "d0"} for number, found in enumerate(plain)]
    ours, theirs = (
        [open_corpus(write_run(tmp_path / name, rows, shards=1))]
        for name, rows in (("plain", plain), ("mixed", [*plain, *copies, *children]))
    )
    assert measure_languages(ours) == measure_languages(theirs)
    first, second = (
        take_sample(corpora, measure_languages(corpora), alpha=0.5, sample_bytes=2000, seed=1)
        for corpora in (ours, theirs)
    )
    assert first == second


def test_what_is_held_out_is_not_in_the_sample(place: str) -> None:
    corpora = [open_corpus(place)]
    sizes = measure_languages(corpora)
    sample = take_sample(corpora, sizes, alpha=1.0, sample_bytes=ALL, seed=2, held_out=0.3)
    apart = take_held_out(corpora, sizes, each_bytes=ALL, seed=2, share=0.3)
    held_out = [text for texts in apart.values() for text in texts]
    whole = take_sample(corpora, sizes, alpha=1.0, sample_bytes=ALL, seed=2)
    assert Counter([*sample.texts, *held_out]) == Counter(whole.texts)
    assert 20 < len(held_out) < 100


def test_a_sample_has_about_its_bytes(place: str) -> None:
    corpora = [open_corpus(place)]
    sample = take_sample(corpora, measure_languages(corpora), alpha=0.5, sample_bytes=5000, seed=0)
    assert 5000 <= sum(sample.bytes_of.values()) <= 5000 + 5 * 500


def test_lines_are_cut_at_tabs_and_rare_characters(tmp_path: Path) -> None:
    rows = [{"id": f"d{row}", "text": "ab\tba\nab", "lang": "en", "weight": 1.0} for row in range(3000)]
    rows.append({"id": "d9999", "text": "abψba", "lang": "en", "weight": 1.0})
    corpora = [open_corpus(write_run(tmp_path / "run", rows, shards=1, rows=4000))]
    sample = take_sample(corpora, measure_languages(corpora), alpha=1.0, sample_bytes=ALL, seed=0)
    assert Counter(lines_of(sample, 400)) == {f"ab\t{COUNT_STEPS}": 6001, f"ba\t{COUNT_STEPS}": 3001}
