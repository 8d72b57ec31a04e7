"""Names: two signs make one, one sign does not."""

from __future__ import annotations

import importlib.resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.text.fold import hash_terms
from stages.pii.build_names import feminines, serbian_cyrillic, terms, turkic_lower
from stages.pii.gazetteer import FIRST, LAST, TITLE, WORD, gazetteer
from stages.pii.names import CUES_ONLY, NOT_CHECKED, name_coverage
from tests.stages.pii.helpers import find, spans


def names(text: str, language: str) -> list[str]:
    return [value for _, value in find(text, language, ["name"])]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Yesterday Anna Miller came.", "en", ["Anna Miller"]),
        ("Mr. Quibblesworth and Mrs O'Hanlon-Reed left.", "en", ["Quibblesworth", "O'Hanlon-Reed"]),
        ("My name is Zorblax Quux.", "en", ["Zorblax"]),
        ("Mr. Xyzzu Smith came, and Mme Zzylka Dupont.", "en", ["Xyzzu Smith", "Zzylka Dupont"]),
        ("Mr. Xyzzu Will Visit Paris", "en", ["Xyzzu"]),
        ("Sayın Ayşe Yılmaz geldi", "tr", ["Ayşe Yılmaz"]),
        ("SAYIN YILDIRIM, ADI SOYADI: MEHMET YILMAZ", "tr", ["YILDIRIM", "MEHMET YILMAZ"]),
        ("г-н Ыывап Иванов пришёл", "ru", ["Ыывап Иванов"]),
        ("Dr. John Q. Smith met J. R. Miller", "en", ["John Q. Smith", "J. R. Miller"]),
        ("It was Will Johnson, not will.", "en", ["Will Johnson"]),
        ("So spoke Daniel Wuttke before noon.", "en", ["Daniel Wuttke"]),
        ("Frau Dr. Anna Schmidt und Herr Müller", "de", ["Anna Schmidt", "Müller"]),
        ("Ludwig van Beethoven", "de", ["Ludwig van Beethoven"]),
        (
            "von Johann Wolfgang von Goethe und Friedrich Wilhelm",
            "de",
            ["Johann Wolfgang von Goethe", "Friedrich Wilhelm"],
        ),
        ("Frau Ayşe Yılmaz und Herr Xyzzu Demir", "de", ["Ayşe Yılmaz", "Xyzzu Demir"]),
        ("Ayşe Yılmaz ve Şerife Kaya", "tr", ["Ayşe Yılmaz", "Şerife Kaya"]),
        ("آقای علی رضایی و خانم مریم علی‌زاده", "fa", ["علی رضایی", "مریم علی‌زاده"]),
        ("قال السيد أحمد الزهراني إن", "ar", ["أحمد الزهراني"]),
        ("מר דוד טרבלסי; מר דוד אמר", "he", ["דוד טרבלסי", "דוד"]),
        ("陈妍、吴艳艳和王国强", "zh", ["吴艳艳", "王国强"]),
        ("Madame Dupont et M. Jean-Pierre Lefèvre", "fr", ["Dupont", "Jean-Pierre Lefèvre"]),
        ("la señora María García López", "es", ["María García López"]),
        ("Sig. Rossi, la dott.ssa Bianchi e l'on. Mario Verdi", "it", ["Rossi", "Bianchi", "Mario Verdi"]),
        ("Ing. Xyzzák a paní Nováková", "cs", ["Xyzzák", "Nováková"]),
        ("o senhor João da Silva", "pt", ["João da Silva"]),
        ("pani Kowalska i pan Jan Nowak", "pl", ["Kowalska", "Jan Nowak"]),
        ("г-н Иванов и Иван Иванович Петров", "ru", ["Иванов", "Иван Иванович Петров"]),
        ("Иванов Иван Иванович", "ru", ["Иванов Иван Иванович"]),
        ("ο κ. Παπαδόπουλος", "el", ["Παπαδόπουλος"]),
        ("Ahmet Bey ve Fatma Yılmaz geldi", "tr", ["Ahmet", "Fatma Yılmaz"]),
        ("Kovács János és Nagy úr", "hu", ["Kovács János", "Nagy"]),
        ("佐藤さんと鈴木太郎様", "ja", ["佐藤", "鈴木太郎"]),
        ("王先生和李小明女士", "zh", ["王", "李小明"]),
        ("联系人：张伟", "zh", ["张伟"]),
        ("高老师、郑振铎教授和公司的何总经理", "zh", ["高", "郑振铎", "何"]),
        ("今井様、原先生、小林氏自身、隣の森さん", "ja", ["今井", "原", "小林", "森"]),
        ("이동하 씨와 안정은 교수, 박뷁뷁 의원", "ko", ["이동하", "안정은", "박뷁뷁"]),
        ("김철수 씨와 이영희는", "ko", ["김철수", "이영희"]),
        ("السيد محمد علي", "ar", ["محمد علي"]),
        ("श्री मोहन शर्मा", "hi", ["मोहन शर्मा"]),
        ("נפגשתי עם מר כהן", "he", ["כהן"]),
    ],
)
def test_names_are_found(text: str, language: str, expected: list[str]) -> None:
    assert names(text, language) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Paris, Jordan and May. Will Mark come to Georgia in April?", "en"),
        ("Open the Page Styles window, click Add Field.", "en"),
        ("Mr President, the Victoria Station is in London.", "en"),
        ("MS Office and DR Kongo", "en"),
        ("Der Herr der Ringe und die Frau Holle", "de"),
        ("Der Wolf, der Koch und der Schneider backen Rosen.", "de"),
        ("die Benutzeroberfläche von Math und Peer-Benachrichtungen", "de"),
        ("Notre-Dame de Paris en avril", "fr"),
        ("Вера и надежда, роман и лев", "ru"),
        ("選択した範囲、東京と大阪", "ja"),
        ("智慧、成果、高山和王国", "zh"),
        ("선택한 이미지를 원이나 선으로", "ko"),
        ("祖国强大，全国平均，国家宏观调控", "zh"),
        ("Name: Ein Name, der sich davon unterscheidet", "de"),
        ("כל זכות או חירות מן הזכויות, בני אדם נולדו בני חורין", "he"),
        ("部门经理和公司总经理，这位先生，各位老师和几位同志", "zh"),
        ("语文老师和美国教授说：向建国五十年献礼，下世纪中叶建国一百年", "zh"),
        ("值班经理；上班的太太；高级律师；公司律师；高中老师；和老师说", "zh"),
        ("関する様々な問題、東大教授、森の熊さん、西洋の殿、林檎屋さん", "ja"),
        ("이동하는 것은 우정은 안정은 한정자 가지수", "ko"),
        ("한국의 대통령, 경제학 교수, 구매자 님, 노조의 대표, 유명한 교수", "ko"),
        ("تم العثور على سالم في البيت، وهو على صالح العمل", "ar"),
        ("Anna Schmidt", "und"),
        ("Anna Schmidt", "br"),
        ("Yes, sir. Certainly it was. Thank you, Madam. Quietly she left.", "en"),
        ("Era la casa de su señor. Isto no lo sabía.", "es"),
        ("Ele era o senhor. Então veio o fim.", "pt"),
        ("Wykonuje rozkaz swojej pani. Wierność takich kreatur.", "pl"),
        ("Splnil přání své paní. Tato stvoření jsou věrná.", "cs"),
        ("Ispunio je želju svog gospodina. Ovo stvorenje je verno.", "sr"),
        ("Teşekkürler bayan. Gerçekten öyle.", "tr"),
        ("Это был его господин. Потом он ушёл.", "ru"),
        ("Make sure that it is switched on. Open the panel.", "it"),
    ],
)
def test_places_months_words_and_unknown_languages_stay(text: str, language: str) -> None:
    assert names(text, language) == []


def test_a_name_given_in_full_is_found_again_by_its_parts() -> None:
    text = "Anna Kowalczyk came. Then of course Kowalczyk slept, while Anna read in Kowalczyk Street."
    assert names(text, "en") == ["Anna Kowalczyk", "Kowalczyk", "Anna"]


def test_titles_stay_in_the_text() -> None:
    assert find("Mr. Smith", "en") == [("name", "Smith")]


WORDS = (
    *(
        "Anna",
        "Smith",
        "Mr.",
        "Will",
        "Paris",
        "Müller",
        "и",
        "Иван",
        "Иванов",
        "г-н",
        "王",
        "先生",
        "佐藤",
        "さん",
        "김철수",
        "씨",
    ),
    *("محمد", "J.", "-", ",", ".", "\n", "de", "van", "\0", "é", "🙂", "1", "O'Hara"),
)
NASTY = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)
LANGUAGES = st.sampled_from(["en", "de", "fr", "ru", "hu", "zh", "ja", "ko", "ar", "th", "und"])


@pytest.mark.slow
@given(st.lists(st.tuples(NASTY, LANGUAGES), max_size=5))
def test_names_of_a_document_do_not_depend_on_its_batch(documents: list[tuple[str, str]]) -> None:
    texts, languages = [text for text, _ in documents], [language for _, language in documents]
    assert spans(texts, languages, ["name"]) == [find(text, language, ["name"]) for text, language in documents]


def _listed() -> list[tuple[str, frozenset[str], frozenset[str], frozenset[str]]]:
    text = importlib.resources.files("stages.pii").joinpath("data", "names.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [(row[0], *(frozenset(column.split(",")) for column in row[1:])) for row in rows]  # type: ignore[misc]


@pytest.mark.slow
def test_the_table_says_what_the_data_file_says() -> None:
    table = gazetteer()
    rows = _listed()[::97]
    for (term, first, last, also), hashes in zip(rows, hash_terms([row[0] for row in rows]), strict=True):
        if len(hashes) != 1:
            continue
        row = table.row(int(hashes[0]))
        for language in ("en", "de", "ru", "zh", "pl"):
            flags = int(table.flags[row, table.column(language)])
            assert bool(flags & FIRST) == (language in first), term
            assert bool(flags & LAST) == (language in last), term
            assert bool(flags & WORD) >= bool({language, "*"} & also), term


def test_cues_stand_in_the_table() -> None:
    table = gazetteer()
    (hashes,) = hash_terms(["Mister"])
    row = table.row(int(hashes[0]))
    assert table.flags[row, table.column("en")] & TITLE
    assert not table.flags[row, table.column("pl")] & TITLE


def test_unknown_units_have_no_row() -> None:
    table = gazetteer()
    assert table.row(12345) == 0
    assert not table.flags[0].any()


def test_coverage_names_languages_without_a_gazetteer() -> None:
    assert name_coverage("en") is None
    assert name_coverage("und") == NOT_CHECKED
    assert name_coverage("br") == NOT_CHECKED
    assert name_coverage("th") == name_coverage("gl") == CUES_ONLY
    assert len(gazetteer().named) >= 50


def test_names_are_taken_apart_for_the_table() -> None:
    assert list(terms("Jean-Pierre de la Tour", "fr")) == ["Jean", "Pierre", "Tour"]
    assert list(terms("SMITH", "en")) == ["Smith"]
    assert list(terms("王", "zh")) == ["王"]
    assert list(terms("मोहन", "hi")) == ["मोहन"]
    assert list(terms("X2 {{name}}", "en")) == []


def test_names_are_written_in_the_other_forms_of_their_language() -> None:
    assert list(feminines("Достоевский")) == ["Достоевская"]
    assert list(feminines("Иванов")) == ["Иванова"]
    assert serbian_cyrillic("Njegoš") == "Његош"
    assert turkic_lower("IŞIK") == "ışık"
