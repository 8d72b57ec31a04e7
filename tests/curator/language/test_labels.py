"""Labels of models as language tags."""

from __future__ import annotations

import pytest

from curator.language.labels import read_labels


@pytest.mark.parametrize(
    ("label", "tag", "scripts"),
    [
        ("eng_Latn", "en", {"Latn"}),
        ("arb_Arab", "ar", {"Arab"}),
        ("cmn_Hani", "zh", {"Hani"}),
        ("zho_Hans", "zh", {"Hani", "Bopo"}),
        ("zho_Hant", "zh-Hant", {"Hani", "Bopo"}),
        ("yue_Hani", "yue", {"Hani"}),
        ("zsm_Latn", "ms", {"Latn"}),
        ("ind_Latn", "id", {"Latn"}),
        ("srp_Cyrl", "sr", {"Cyrl"}),
        ("srp_Latn", "sr-Latn", {"Latn"}),
        ("uzn_Latn", "uz", {"Latn"}),
        ("uzn_Cyrl", "uz-Cyrl", {"Cyrl"}),
        ("azj_Latn", "az", {"Latn"}),
        ("azb_Arab", "azb", {"Arab"}),
        ("nob_Latn", "nb", {"Latn"}),
        ("als_Latn", "sq", {"Latn"}),
        ("kor_Hang", "ko", {"Hang"}),
        ("jpn_Jpan", "ja", {"Hira", "Kana", "Hani"}),
        ("ory_Orya", "or", {"Orya"}),
        ("zxx_Zxxx", "und", set()),
        ("und_Latn", "und", set()),
        ("en", "en", {"Latn"}),
        ("als", "als", {"Latn"}),
        ("nog_Cyrl", "nog-Cyrl", {"Cyrl"}),
        ("nog_Latn", "nog", {"Latn"}),
        ("nog", "nog", set()),
        ("spam", "spam", set()),
        ("", "", set()),
    ],
)
def test_a_label_is_a_tag_without_the_script_that_goes_without_saying(label: str, tag: str, scripts: set[str]) -> None:
    (found,) = read_labels([label])
    assert (found.tag, set(found.scripts)) == (tag, scripts)


def test_codes_of_wikipedias_mean_what_they_mean_there_in_a_model_that_has_them_all() -> None:
    assert [label.tag for label in read_labels(["als", "eml", "bh", "en"])] == ["gsw", "egl", "bho", "en"]
