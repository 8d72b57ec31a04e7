"""Batches for the tests of the stage `quality`, and text that is nasty to measure."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import strategies as st

from curator.document import Batch

WORDS = (
    st.sampled_from(
        [
            "a",
            "the",
            "The",
            "of",
            "ключ",
            "x1",
            "42",
            "字",
            "典",
            "の",
            "は",
            "ไ",
            "ท",
            "é",
            "e\u0301",
            "😀",
            "\u200d",
            "ع",
        ]
    )
    | st.sampled_from(
        ["שלום", "\U00020000", "ꀀ", "ꦲ", "JavaScript", "lorem", "ipsum", "Ipsum", "한국어", "각x", "PDF를", "ꔀ"]
    )
    | st.sampled_from(
        ["مِّن", "مـن", "ٱلَّذِى", "ٱلَّذِي", "من", "أَن", "אֵת", "את", "καὶ", "ΚΑΙ", "ΤΗΣ", "τῆς", "ἀπὸ", "απο", "ᾳ", "κx"]
    )
)
SEPARATORS = st.sampled_from([" ", "\n", "\n\n", ".\n", "... "]) | st.sampled_from(
    [
        "  \n",
        "…\n",
        "\u3000",
        "\xa0\n",
        ")\n",
        '."\n',
        "\n- ",
        "\n• ",
        "#",
        "{",
        "\0",
        "\u202e",
        "",
        "……",
        "。\n",
        "\n*",
        "\t",
    ]
)
TEXT = st.one_of(
    st.lists(st.tuples(WORDS, SEPARATORS), max_size=60).map(lambda parts: "".join(a + b for a, b in parts)),
    st.tuples(st.text(st.sampled_from("abAB1 .…#-•字典ไท😀éж\n"), max_size=60), st.integers(1, 9)).map(
        lambda pair: pair[0] * pair[1]
    ),
    st.text(st.characters(codec="utf-8"), max_size=60),
)


def batch_of(texts: Sequence[str], lang: str | Sequence[str] = "en", source: str = "web") -> Batch:
    """Texts as a stage sees them; one language for all, or one for each."""
    languages = [lang] * len(texts) if isinstance(lang, str) else list(lang)
    return Batch(
        pa.RecordBatch.from_pydict(
            {
                "text": pa.array(texts, pa.string()),
                "source": pa.array([source] * len(texts), pa.string()),
                "lang": pa.array(languages, pa.string()),
            }
        )
    )
