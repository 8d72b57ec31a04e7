"""Prediction equals fastText's own, on every kind of model and text."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Protocol

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.document import string_buffer
from curator.language.classification import Predictions, classify, predict, probability_of
from curator.language.identifier import MODEL_PATH, load_identifier
from curator.language.identify import Policy, identify
from curator.language.kernel import BATCH, PreparedModel, embed, load_prepared, prepare
from curator.language.model import FastTextModel, load_model


class Classifier(Protocol):
    def predict(self, text: str, k: int) -> tuple[tuple[str, ...], list[float]]: ...


@pytest.fixture(scope="module")
def packaged() -> PreparedModel:
    return load_prepared(MODEL_PATH)


@pytest.fixture(scope="module")
def original() -> Classifier:
    model: Classifier = fasttext.load_model(str(MODEL_PATH))
    return model


def predictions(model: PreparedModel, texts: list[str]) -> Predictions:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    return predict(model, data, offsets[:-1], offsets[1:])


def assert_equal(model: PreparedModel, original: Classifier, texts: list[str], step: float = 1e-4) -> None:
    """The same best labels with the same probabilities, `step` being what may differ."""
    ours = predictions(model, texts)
    for row, text in enumerate(texts):
        labels, probabilities = original.predict(text.replace("\n", " "), k=3)
        found = ours.probabilities[row][: len(probabilities)]
        np.testing.assert_allclose(found, probabilities, atol=step, err_msg=repr(text))
        for place, label in enumerate(labels):
            tied = np.isclose(ours.probabilities[row], probabilities[place], atol=step)
            names = {"__label__" + model.model.labels[index] for index in ours.labels[row][tied]}
            # Among equals, at the edge of the best three, any may be named.
            assert label in names or np.isclose(probabilities[place], probabilities[-1], atol=step)


SPACES = b" \t\n\v\f\r\0"


class PlainModel:
    """The rows of words and of n-grams, looked up one by one."""

    def __init__(self, model: FastTextModel) -> None:
        self.model = model
        self.words = {word: number for number, word in enumerate(model.words)}
        kept = range(model.buckets) if model.kept_buckets is None else model.kept_buckets.tolist()
        self.ngrams = {bucket: len(model.words) + row for row, bucket in enumerate(kept)}

    def rows(self, word: bytes) -> list[NDArray[np.float32]]:
        """The rows of the n-grams of a word."""
        text = "<" + word.decode() + ">"
        found = []
        for first in range(len(text)):
            for n in range(max(self.model.min_n, 1), self.model.max_n + 1):
                if first + n > len(text) or (n == 1 and first in {0, len(text) - 1}):
                    continue
                value = 2166136261
                for byte in text[first : first + n].encode():
                    value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
                if value % self.model.buckets in self.ngrams:
                    found.append(self.model.input[self.ngrams[value % self.model.buckets]])
        return found

    def embed(self, text: str) -> tuple[NDArray[np.float32], int]:
        """The sum of the rows of a text, and how many they are; those of a dictionary word are added up beforehand."""
        total, inputs = np.zeros(self.model.dimension, np.float32), 0
        for word in text.encode().translate(bytes.maketrans(SPACES, b" " * len(SPACES))).split(b" "):
            if word in {b"", b"</s>"}:
                continue
            rows = []
            if word in self.words:
                rows = [functools.reduce(np.add, [self.model.input[self.words[word]], *self.rows(word)])]
                inputs += len(self.rows(word))
            elif not word.startswith(b"__label__"):
                rows = self.rows(word)
            for row in rows:
                total += row
            inputs += len(rows)
        return total, inputs


def assert_embedded(prepared: PreparedModel, texts: list[str]) -> None:
    """To the last bit as the plain reference has it."""
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    sums, inputs = embed(prepared, data, offsets[:-1], offsets[1:])
    model = PlainModel(prepared.model)
    plain = [model.embed(text) for text in texts]
    assert inputs.tolist() == [count for _, count in plain]
    np.testing.assert_array_equal(sums, [total for total, _ in plain])


def _step(loss: str) -> float:
    """The sigmoid of single labels is a table: at the edge of a step, a last bit of the sum moves it by 1/128."""
    return 0.008 if loss in ("ova", "ns") else 1e-4


SENTENCES = [
    "All human beings are born free and equal in dignity and rights.",
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "人人生而自由，在尊严和权利上一律平等。",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "Ὅλοι οἱ ἄνθρωποι γεννιοῦνται ἐλεύθεροι",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "",
    " \t\r\n\v\f\0 ",
    "__label__en hello __label__",
    "a",
    "<",
    "é é̈ 👩‍👩‍👧 \u202eabc\u202c",
    "x" * 5000,
]


def test_predictions_on_sentences_and_edges_equal_fasttext(packaged: PreparedModel, original: Classifier) -> None:
    assert_equal(packaged, original, SENTENCES)


def test_predictions_on_text_of_dictionary_words_equal_fasttext(packaged: PreparedModel, original: Classifier) -> None:
    chance = random.Random(7)
    words = [word.decode("utf-8", "ignore") for word in packaged.model.words if word != b"</s>"]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 60))) for _ in range(300)]
    assert_equal(packaged, original, texts)


NASTY = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(" \t\n\0\v\f\r<>_/s\u200d\u0301\u202e"),
        st.sampled_from("abcdeабвгдالعربية中文字हिन्दीไทย😀𐍈"),
    ),
    max_size=80,
)


@pytest.mark.slow
@given(texts=st.lists(NASTY, min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_predictions_on_any_text_equal_fasttext(
    texts: list[str], packaged: PreparedModel, original: Classifier
) -> None:
    assert_equal(packaged, original, [text.replace("</s>", " ") for text in texts])


PIECES = st.sampled_from(
    [
        *SENTENCES,
        "the",
        "house",
        "de",
        "</s>",
        "__label__",
        "__label_",
        "x" * 700,
        "é" * 300,
        "字" * 200,
        "😀𐍈" * 90,
        "",
    ]
)


@pytest.mark.slow
@given(texts=st.lists(st.lists(NASTY | PIECES, max_size=30).map(" ".join), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_sums_of_texts_of_several_batches_are_those_of_their_rows(texts: list[str], packaged: PreparedModel) -> None:
    assert_embedded(packaged, texts)


def test_a_span_ends_where_a_batch_does(packaged: PreparedModel) -> None:
    word = "abcdef"
    for missing in range(len(word) + 3):
        fill = " ".join([word] * (BATCH // (len(word) + 2)) + ["y" * missing])
        assert_embedded(packaged, [fill, "", "and more", "", fill, ""])
    assert_embedded(packaged, ["q7 " * 4000])


def test_the_word_that_ends_a_line_in_fasttext_is_skipped(packaged: PreparedModel) -> None:
    with_end = predictions(packaged, ["the house is </s> ein Haus ist das"])
    without = predictions(packaged, ["the house is ein Haus ist das"])
    np.testing.assert_array_equal(with_end.probabilities, without.probabilities)


def test_a_span_is_predicted_alike_wherever_it_stands(packaged: PreparedModel) -> None:
    together = predictions(packaged, SENTENCES)
    for row, text in enumerate(SENTENCES):
        alone = predictions(packaged, [text])
        np.testing.assert_array_equal(alone.probabilities[0], together.probabilities[row])
        np.testing.assert_array_equal(alone.labels[0], together.labels[row])


@pytest.mark.slow
@given(texts=st.lists(NASTY | st.sampled_from(SENTENCES), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_one_label_has_the_probability_that_it_has_among_the_best(texts: list[str], packaged: PreparedModel) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    sums, inputs = embed(packaged, data, offsets[:-1], offsets[1:])
    best = classify(packaged, sums, inputs)
    for place in range(best.labels.shape[1]):
        alone = probability_of(packaged, sums, inputs, best.labels[:, place].copy())
        assert alone is not None
        np.testing.assert_array_equal(alone, best.probabilities[:, place])


def test_no_label_has_a_probability_in_a_line_without_one(packaged: PreparedModel) -> None:
    sums, inputs = np.zeros((2, packaged.model.dimension), np.float32), np.array([0, 5], np.int32)
    found = probability_of(packaged, sums, inputs, np.array([-1, -1], np.int32))
    assert found is not None
    assert found.tolist() == [0, 0]


SYLLABLES = [
    "aei",
    "oua",
    "éàü",
    "ио",
    "ae",
    "ptk",
    "bdg",
    "kpt",
    "бдг",
    "pk",
    "sfx",
    "zvs",
    "шщ",
    "hsj",
    "lmn",
    "rln",
    "мн",
]


def training_lines(labels: int) -> list[str]:
    """Lines in which each label prefers some syllables, so that probabilities differ."""
    chance = random.Random(labels)
    lines: list[str] = []
    for label in range(labels):
        own = chance.sample(SYLLABLES, 5)
        count = max(2, 40 // (label + 1))
        lines += [f"__label__l{label} " + " ".join(chance.choices(own, k=6)) for _ in range(count)]
    return lines


def train(source: Path, **options: object) -> fasttext.FastText._FastText:
    """A model that fastText trains. It initialises its matrix in tenths, one a thread, and leaves the remainder as the
    memory was: fewer threads than ten, or a dimension that ten does not divide, may end in NaN or a poor model."""
    return fasttext.train_supervised(
        str(source), dim=10, bucket=1000, epoch=3, lr=0.05, thread=10, verbose=0, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
@pytest.mark.parametrize("kind", ["whole", "quantised", "pruned", "all quantised", "no n-grams"])
def test_models_of_every_kind_that_fasttext_writes_predict_alike(loss: str, kind: str, tmp_path: Path) -> None:
    source = tmp_path / "train.txt"
    source.write_text("\n".join(training_lines(300 if kind == "all quantised" else 5)) + "\n", encoding="utf-8")
    ngrams = {"minn": 0, "maxn": 0} if kind == "no n-grams" else {"minn": 1, "maxn": 3}
    model = train(source, loss=loss, **ngrams)
    if kind == "quantised":
        model.quantize(dsub=3)
    elif kind == "pruned":
        model.quantize(input=str(source), cutoff=400, qnorm=True, retrain=False)
    elif kind == "all quantised":
        model.quantize(qnorm=True, qout=True, dsub=2)
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    texts = ["aei oua", "ptk бдг", "неведомо зверушка", "", "sfx lmn rln", "é", "ae pk hsj мн " * 50]
    prepared = prepare(load_model(path))
    assert_equal(prepared, fasttext.load_model(str(path)), texts, _step(loss))
    assert_embedded(prepared, texts)
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    sums, inputs = embed(prepared, data, offsets[:-1], offsets[1:])
    best = classify(prepared, sums, inputs)
    alone = probability_of(prepared, sums, inputs, best.labels[:, 1].copy())
    assert (alone is None) == (loss != "hs")
    if alone is not None:
        np.testing.assert_array_equal(alone, best.probabilities[:, 1])


GLOTLID = ["eng_Latn", "srp_Cyrl", "srp_Latn", "cmn_Hani", "zsm_Latn", "ind_Latn", "arb_Arab", "zxx_Zxxx"]


def labelled_lines() -> list[str]:
    """Lines whose labels are written as GlotLID writes them, each label with words of its own."""
    chance = random.Random(3)
    own = {
        "eng_Latn": "the house stands near river where children play",
        "srp_Cyrl": "кућа стоји поред реке где се деца играју",
        "srp_Latn": "kuća stoji pored reke gde se deca igraju",
        "cmn_Hani": "房子 在 河边 孩子 们 玩耍 的 地方",
        "zsm_Latn": "rumah itu berdiri kerana sungai bahawa awak",
        "ind_Latn": "gedung tersebut berada karena kali bahwa kamu",
        "arb_Arab": "البيت يقف قرب النهر حيث يلعب الأطفال",
        "zxx_Zxxx": "x1 y2 z3 q4 w5 r6 t7",
    }
    assert list(own) == GLOTLID
    return [
        f"__label__{label} " + " ".join(chance.choices(words.split(), k=8))
        for label, words in own.items()
        for _ in range(60)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
@pytest.mark.parametrize("kind", ["whole", "quantised"])
def test_a_model_of_ones_own_names_languages_by_labels_with_scripts(loss: str, kind: str, tmp_path: Path) -> None:
    source = tmp_path / "train.txt"
    lines = labelled_lines()
    random.Random(5).shuffle(lines)
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = fasttext.train_supervised(
        str(source), dim=20, bucket=2000, minn=2, maxn=5, epoch=60, lr=0.1, loss=loss, thread=10, verbose=0
    )
    if kind == "quantised":
        model.quantize(input=str(source), qnorm=True, cutoff=1000, retrain=False)
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    texts = [
        "the children play near the house where the river stands and the house is near the children",
        "деца се играју поред реке где кућа стоји и деца се играју поред куће где стоји река",
        "deca se igraju pored reke gde kuća stoji i deca se igraju pored kuće gde stoji reka i kuća",
        "孩子 们 在 河边 玩耍 的 地方 房子 在 河边 孩子 们 玩耍 的 地方 房子 在 河边 孩子 们 玩耍 的 地方",
        "البيت يقف قرب النهر حيث يلعب الأطفال والبيت يقف قرب النهر حيث يلعب الأطفال",
        "",
    ]
    assert_equal(prepare(load_model(path)), fasttext.load_model(str(path)), texts, _step(loss))
    identifier = load_identifier(path)
    assert set(identifier.names) >= {"und", "en", "sr", "sr-Latn", "zh", "ms", "id", "ar"}
    result = identify(*string_buffer(pa.array(texts)), Policy(confusable="model"), model=identifier)
    named = [identifier.names[code] for code in result.languages.codes]
    assert named == ["en", "sr", "sr-Latn", "zh", "ar", "und"]
