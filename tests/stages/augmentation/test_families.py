"""Models that serve several languages: M2M100, NLLB and MADLAD in small, told source and target as each wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from curator.errors import UserError
from stages.augmentation.hugging_face import HuggingFace
from tests.stages.augmentation.models import SENTENCES, make_m2m100, make_madlad, make_nllb

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of transformers, none of ours

BARE = {"oc": "oc", "fr": "fr", "es": "es"}
FLORES = {"oc": "oci_Latn", "fr": "fra_Latn", "es": "spa_Latn"}
MARKED = {language: f"__{language}__" for language in BARE}
FAMILIES = [
    pytest.param(make_m2m100, BARE, "code", id="m2m100"),
    pytest.param(make_m2m100, MARKED, "code", id="m2m100-marked"),
    pytest.param(make_nllb, FLORES, "code", id="nllb"),
    pytest.param(make_madlad, BARE, "prefix", id="madlad"),
]


def translator(folder: Path, languages: dict[str, str], style: str) -> HuggingFace:
    return HuggingFace(model=str(folder), languages=languages, style=style, max_tokens=100)


@pytest.mark.parametrize(("make", "languages", "style"), FAMILIES)
def test_a_family_is_told_the_languages_and_gives_text_without_marks(
    make: Callable[[Path], Path], languages: dict[str, str], style: str, tmp_path: Path
) -> None:
    model = translator(make(tmp_path / "model"), languages, style)
    assert model.requirement(("oc", "fr")).problem is None
    found = {pair: model.translate(*pair, SENTENCES) for pair in (("oc", "fr"), ("oc", "es"), ("es", "fr"))}
    assert found["oc", "fr"] == model.translate("oc", "fr", SENTENCES)
    assert sum(text is not None for text in found["oc", "fr"]) >= 3
    assert found["oc", "fr"] != found["oc", "es"], "the target reaches the model"
    assert (found["oc", "fr"] != found["es", "fr"]) == (style == "code"), "and so does the source, where it is told"
    marks = [*languages.values(), "</s>", "<pad>", "<2"]
    assert not [text for text in found["oc", "fr"] if text and text.startswith(tuple(marks))]


def test_a_code_that_a_model_does_not_know_is_said(tmp_path: Path) -> None:
    for make, known, wrong in ((make_m2m100, "fr", "xx"), (make_nllb, "fra_Latn", "fr_FR")):
        model = translator(make(tmp_path / make.__name__), {"fr": known, "oc": wrong}, "code")
        for pair in (("fr", "oc"), ("oc", "fr")):
            with pytest.raises(UserError, match=f"does not know the language code '{wrong}'"):
                model.translate(*pair, SENTENCES[:1])
