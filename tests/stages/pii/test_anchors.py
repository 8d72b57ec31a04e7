"""What stands beside a word: birth dates, plates and addresses, in the languages that have words for them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.document import Codes, string_buffer
from curator.language.tags import list_language
from curator.text.fold import hash_terms
from curator.text.segment import segment
from stages.pii.anchors import ENDING, anchors
from stages.pii.anchors import find as find_anchors
from tests.stages.pii.helpers import LONG, find

KINDS = ("birthdate", "plate", "address")


@pytest.mark.parametrize(
    ("language", "text", "value"),
    [
        ("en", "Date of birth: 12.05.1970", "12.05.1970"),
        ("en", "DOB 1970-05-12", "1970-05-12"),
        ("en", "she was born on 12 May 1970 in Kent", "12 May 1970"),
        ("en", "Born in Leeds on the 3rd of March 1981.", "3rd of March 1981"),
        ("en", "Born May 12, 1970", "May 12, 1970"),
        ("de", "Geburtsdatum: 5.3.1971", "5.3.1971"),
        ("de", "geb. am 03. März 1981", "03. März 1981"),
        ("fr", "née le 1er mai 1970 à Lyon", "1er mai 1970"),
        ("es", "nació el 12 de mayo de 1970", "12 de mayo de 1970"),
        ("pt", "nascido em 12 de maio de 1970", "12 de maio de 1970"),
        ("hu", "született 1970. május 12-én", "1970. május 12"),
        ("it", "nata a Roma il 12 maggio 1970", "12 maggio 1970"),
        ("nl", "geboren op 12 mei 1970", "12 mei 1970"),
        ("pl", "urodzona 12 maja 1970", "12 maja 1970"),
        ("ru", "родился 12 мая 1970 года", "12 мая 1970"),
        ("tr", "doğum tarihi: 12.05.1970", "12.05.1970"),
        ("ar", "تاريخ الميلاد: ١٢/٠٥/١٩٧٠", "١٢/٠٥/١٩٧٠"),
        ("hi", "जन्म तिथि: 12 मई 1970", "12 मई 1970"),
        ("ar", "تاريخ الميلاد: 12/05/1390هـ", "12/05/1390هـ"),
        ("fa", "تاریخ تولد: ۱۳۵۹/۰۳/۱۵", "۱۳۵۹/۰۳/۱۵"),
        ("fa", "متولد ۱۵ خرداد ۱۳۵۹ در تهران", "۱۵ خرداد ۱۳۵۹"),
        ("th", "วันเกิด 5 มีนาคม 2523", "5 มีนาคม 2523"),
        ("th", "เกิดวันที่ ๕ มีนาคม พ.ศ. ๒๕๒๓ ที่เชียงใหม่", "๕ มีนาคม พ.ศ. ๒๕๒๓"),
        ("th", "วันเดือนปีเกิด: 05/03/2523", "05/03/2523"),
        ("lo", "ວັນເດືອນປີເກີດ: 05/03/1980", "05/03/1980"),
        ("km", "ថ្ងៃខែឆ្នាំកំណើត៖ ៥ ខែមីនា ឆ្នាំ១៩៨០", "៥ ខែមីនា ឆ្នាំ១៩៨០"),
        ("km", "កើតនៅថ្ងៃទី៥ ខែមីនា ឆ្នាំ១៩៨០", "៥ ខែមីនា ឆ្នាំ១៩៨០"),
        ("my", "မွေးသက္ကရာဇ် ၁၉၈၀ ခုနှစ်၊ မတ်လ ၅ ရက်", "၁၉၈၀ ခုနှစ်၊ မတ်လ ၅"),
        ("my", "မွေးနေ့ ၅-၃-၁၉၈၀", "၅-၃-၁၉၈၀"),
        ("am", "የትውልድ ቀን: መጋቢት 5 ቀን 1980", "መጋቢት 5 ቀን 1980"),
        ("am", "የትውልድ ቀን፦ 05/03/1980", "05/03/1980"),
        ("ka", "დაბადების თარიღი: 5 მარტი, 1980", "5 მარტი, 1980"),
        ("ka", "დაიბადა 1980 წლის 5 მარტს", "1980 წლის 5 მარტს"),
        ("ta", "பிறந்த தேதி: 05-03-1980", "05-03-1980"),
        ("ta", "பிறந்த நாள் 1980 மார்ச் 5", "1980 மார்ச் 5"),
        ("ur", "تاریخ پیدائش: 5 مارچ 1980", "5 مارچ 1980"),
        ("hy", "Ծննդյան ամսաթիվ՝ 05.03.1980", "05.03.1980"),
        ("te", "పుట్టిన తేదీ: 05-03-1980", "05-03-1980"),
        ("kn", "ಹುಟ್ಟಿದ ದಿನಾಂಕ: 05-03-1980", "05-03-1980"),
        ("ml", "ജനനത്തീയതി: 05-03-1980", "05-03-1980"),
        ("gu", "જન્મ તારીખ: 05-03-1980", "05-03-1980"),
        ("pa", "ਜਨਮ ਮਿਤੀ: 05-03-1980", "05-03-1980"),
        ("sr", "Датум рођења: 5.3.1980", "5.3.1980"),
        ("hr", "Rođena 5. ožujka 1980. u Splitu", "5. ožujka 1980"),
        ("sl", "Datum rojstva: 5. marec 1980", "5. marec 1980"),
        ("et", "Sünniaeg: 05.03.1980", "05.03.1980"),
        ("lv", "Dzimšanas datums: 05.03.1980", "05.03.1980"),
        ("lt", "Gimimo data: 1980-03-05", "1980-03-05"),
        ("az", "Doğum tarixi: 05.03.1980", "05.03.1980"),
        ("kk", "Туған күні: 05.03.1980", "05.03.1980"),
        ("zh", "出生日期：1970年5月12日", "1970年5月12日"),
        ("zh", "出生日期：民國69年3月5日", "民國69年3月5日"),
        ("ja", "生年月日：昭和55年3月5日", "昭和55年3月5日"),
        ("ja", "生年月日 平成 元年 3月5日", "平成 元年 3月5日"),
        ("ja", "生年月日：1970年5月12日", "1970年5月12日"),
        ("ko", "생년월일: 1970년 5월 12일", "1970년 5월 12일"),
    ],
)
def test_whole_dates_behind_a_word_for_birth_are_found(language: str, text: str, value: str) -> None:
    assert find(text, language, KINDS) == [("birthdate", value)]
    assert find(value, language, KINDS) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "born in 1970"),
        ("en", "date of issue 12.05.1990"),
        ("en", "Bach was born on 21 March 1685"),
        ("en", "born 45.13.1970, DOB 1970-13-40"),
        ("en", "He was born. Today is 12 May 2020"),
        ("fr", "date of birth 12.05.1970"),
        ("en", "born on 5 March 2523, DOB 1359/03/15"),
        ("fa", "متولد ۱۵ خرداد ۱۲۴۰؛ تاریخ ۱۳۵۹/۰۳/۱۵"),
        ("ar", "مواليد 12 مايو 1390"),
        ("th", "วันที่ 5 มีนาคม 2523 เกิดวันที่ 5 มีนาคม 2323"),
        ("ta", "பிறந்த நாள் 1980"),
        ("ja", "昭和55年3月5日の発売。生年月日：明治20年3月5日"),
        ("de", "Das Unternehmen wurde am 12.05.1970 gegründet"),
    ],
)
def test_years_and_other_dates_stay(language: str, text: str) -> None:
    assert find(text, language, KINDS) == []


@pytest.mark.parametrize(
    ("language", "text", "value"),
    [
        ("en", "license plate 7ABC123", "7ABC123"),
        ("en", "the number plate: AB12 CDE.", "AB12 CDE"),
        ("en", "plate no. ABC-1234", "ABC-1234"),
        ("de", "Kennzeichen B-MW 1234", "B-MW 1234"),
        ("fr", "immatriculée AB-123-CD", "AB-123-CD"),
        ("es", "matrícula 1234 BCD", "1234 BCD"),
        ("it", "targa AB 123 CD", "AB 123 CD"),
        ("nl", "kenteken 12-ABC-3", "12-ABC-3"),
        ("pt", "placa ABC1D23", "ABC1D23"),
        ("pl", "numer rejestracyjny WA 12345", "WA 12345"),
        ("ru", "госномер А123ВС 77", "А123ВС 77"),
        ("tr", "plaka 34 ABC 123", "34 ABC 123"),
        ("tr", "PLAKASI 34 ABC 123", "34 ABC 123"),
        ("zh", "车牌号京A12345", "京A12345"),
        ("ja", "ナンバープレート 品川 300 あ 12-34", "品川 300 あ 12-34"),
        ("ko", "차량번호 12가 3456", "12가 3456"),
    ],
)
def test_plates_behind_a_word_for_them_are_found(language: str, text: str, value: str) -> None:
    assert find(text, language, KINDS) == [("plate", value)]
    assert find(value, language, KINDS) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The plate weighs 12 kg; plate 2020, plate A1, a plate of ABC"),
        ("en", "plate 1234567"),
        ("de", "Kennzeichen ist die Zahl 12345"),
        ("es", "la placa de 1234 vatios"),
    ],
)
def test_what_is_no_plate_stays(language: str, text: str) -> None:
    assert find(text, language, KINDS) == []


@pytest.mark.parametrize(
    ("language", "text", "value"),
    [
        ("en", "at 221B Baker Street, London NW1 6XE, and", "221B Baker Street, London NW1 6XE"),
        (
            "en",
            "to 1600 Pennsylvania Avenue NW, Washington, DC 20500.",
            "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        ),
        ("en", "Address: 12 Example Close, Springfield, IL 62704\nnext", "12 Example Close, Springfield, IL 62704"),
        ("de", "in der Hauptstraße 5, 10115 Berlin; und", "Hauptstraße 5, 10115 Berlin"),
        ("de", "Anschrift: Dorf 3, 12345 Ort", "Dorf 3, 12345 Ort"),
        ("fr", "au 12 rue de la Paix, 75002 Paris", "12 rue de la Paix, 75002 Paris"),
        ("es", "en la Calle Mayor 5, 28013 Madrid", "Calle Mayor 5, 28013 Madrid"),
        ("it", "in Via Roma 10, 00184 Roma", "Via Roma 10, 00184 Roma"),
        ("pt", "na Rua Augusta, 1200, 01304-001 São Paulo", "Rua Augusta, 1200, 01304-001 São Paulo"),
        ("nl", "op Kerkstraat 12, 1017 GL Amsterdam", "Kerkstraat 12, 1017 GL Amsterdam"),
        ("sv", "på Storgatan 5, 111 22 Stockholm", "Storgatan 5, 111 22 Stockholm"),
        ("pl", "przy ul. Długa 3/5, 00-238 Warszawa", "ul. Długa 3/5, 00-238 Warszawa"),
        ("ru", "по адресу ул. Ленина, д. 5, кв. 12", "ул. Ленина, д. 5, кв. 12"),
        ("tr", "evi Atatürk Caddesi No: 5", "Atatürk Caddesi No: 5"),
        ("fi", "osoite on Mannerheimintie 12, 00100 Helsinki", "Mannerheimintie 12, 00100 Helsinki"),
        ("zh", "北京市朝阳区建国路88号", "北京市朝阳区建国路88号"),
        ("ja", "住所：東京都千代田区千代田1-1-1", "東京都千代田区千代田1-1-1"),
        ("ko", "서울특별시 강남구 테헤란로 123", "서울특별시 강남구 테헤란로 123"),
        ("ko", "강남구 역삼동 테헤란로 152번길 12-3이다", "강남구 역삼동 테헤란로 152번길 12-3"),
        ("ko", "대전광역시 유성구 대학로 291에서, 세종대로", "대전광역시 유성구 대학로 291"),
        ("zh", "台北市中山北路二段12巷5號3樓。", "台北市中山北路二段12巷5號3樓"),
        ("zh", "高雄市三多四路100巷20弄5號", "高雄市三多四路100巷20弄5號"),
        ("es", "Vivo en C/ Mayor 12, 28013 Madrid", "C/ Mayor 12, 28013 Madrid"),
        ("es", "en C/Alcalá 45", "C/Alcalá 45"),
        ("pt", "Av. Paulista, 1578, São Paulo", "Av. Paulista, 1578, São Paulo"),
        ("el", "Οδός Ερμού 12, 105 63 Αθήνα", "Οδός Ερμού 12, 105 63 Αθήνα"),
        ("id", "Jl. Merdeka No. 12, Jakarta 10110", "Jl. Merdeka No. 12, Jakarta 10110"),
        ("he", "גר ברחוב הרצל 5, תל אביב", "ברחוב הרצל 5"),
        ("he", "רחוב ז'בוטינסקי 12 דירה 4, רמת גן 5252007 ועוד", "רחוב ז'בוטינסקי 12 דירה 4, רמת גן 5252007"),
        ("he", "כתובת: הרצל 5, תל אביב 6688312", "הרצל 5, תל אביב 6688312"),
        ("ar", "يسكن في شارع الملك فهد، مبنى رقم 25، شقة 4.", "شارع الملك فهد، مبنى رقم 25، شقة 4"),
        ("ar", "العنوان هو ٢٥ شارع التحرير، القاهرة", "٢٥ شارع التحرير"),
        ("fa", "تهران، خیابان ولیعصر، کوچه نیلوفر، پلاک ۱۲، واحد ۳", "خیابان ولیعصر، کوچه نیلوفر، پلاک ۱۲، واحد ۳"),
        ("fa", "آدرس: تهران، ولیعصر ۱۲، کد پستی ۱۲۳۴۵۶۷۸۹۰", "تهران، ولیعصر ۱۲، کد پستی ۱۲۳۴۵۶۷۸۹۰"),
        ("hi", "पता: 12 गांधी मार्ग, नई दिल्ली 110001", "12 गांधी मार्ग, नई दिल्ली 110001"),
        ("de", "HAUPTSTRASSE 5, 10115 BERLIN", "HAUPTSTRASSE 5, 10115 BERLIN"),
        ("de", "HAUPTSTRAẞE 5", "HAUPTSTRAẞE 5"),
        ("nl", "KERKSTRAAT 12, 1017 GP AMSTERDAM", "KERKSTRAAT 12, 1017 GP AMSTERDAM"),
        ("sv", "KÖPMANGRÄND 12, 111 51 STOCKHOLM", "KÖPMANGRÄND 12, 111 51 STOCKHOLM"),
        ("tr", "ATATÜRK CADDESİ NO: 5", "ATATÜRK CADDESİ NO: 5"),
        ("ru", "УЛ. ЛЕНИНА, Д. 5, КВ. 3", "УЛ. ЛЕНИНА, Д. 5, КВ. 3"),
        (
            "fr",
            "12\u00a0rue\u00a0de\u00a0la\u00a0Paix, 75002 Paris",
            "12\u00a0rue\u00a0de\u00a0la\u00a0Paix, 75002 Paris",
        ),
        ("zh", "家住延吉路１００号", "家住延吉路１００号"),
    ],
)
def test_streets_with_a_number_and_lines_behind_a_label_are_found(language: str, text: str, value: str) -> None:
    assert find(text, language, KINDS) == [("address", value)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "See the Address: 0x7fff0000 12345 and address: http://10.0.0.1:8080/12345 1"),
        ("en", "the 3 Golden Place settings, 5 Way close, Baker Street"),
        ("de", "Absatz 5 und Platz 3, im Ring 4, weg 5 m"),
        ("ko", "왼쪽에서 오른쪽으로 2열 떨어진, 내부적으로 64비트"),
        ("ko", "액면 가치로 100 통화, 화면 비율로 16, 자동 모드로 2, 다시 서울로 7시, 정도 길이로 20"),
        ("el", "η οδός είναι 5 χιλιόμετρα"),
        ("uk", "вулиця їхня 5"),
        ("es", "vitamina C Natural 500, 3 euros c/u 12"),
        ("id", "kami jalan 5 km"),
        ("ru", "ул. Ленина очень длинная"),
        ("fr", "la rue de la Paix, 12 rue"),
        ("he", "ברחוב היו 5 אנשים, רחוב ארוך"),
        ("ar", "رصف 25 شارع رئيسي، وفي شارع الملك فهد 25 محلا"),
        ("fa", "خیابان ولیعصر ۱۲ کیلومتر است؛ خودرو با پلاک ۱۲"),
    ],
)
def test_streets_without_a_number_and_technical_addresses_stay(language: str, text: str) -> None:
    assert find(text, language, KINDS) == []


def plain_anchors(text: str, language: str) -> list[tuple[int, int, str]]:
    """(first byte, byte after, kind) of each anchor, read unit by unit."""
    table = anchors()
    if language not in table.languages:
        return []
    bit = 1 << table.languages.index(language)
    data, offsets = string_buffer(pa.array([text], LONG))
    units = segment(data, offsets)
    raw = text.encode()
    keys = [key.tolist() for key in hash_terms([anchor.term for anchor in table.anchors])]
    endings = [
        (bytes(table.endings[low:high]), int(mask))
        for (low, high), mask in zip(pairwise(table.ending_offsets.tolist()), table.ending_masks, strict=True)
    ]
    found = []
    for place, (start, end) in enumerate(zip(units.starts.tolist(), units.ends.tolist(), strict=True)):
        own = units.hashes[place:].tolist()
        for key, mask, anchor in zip(keys, table.masks.tolist(), table.anchors, strict=True):
            if mask & bit and len(own) >= len(key) and own[0] == key[0] and own[len(key) - 1] == key[-1]:
                found.append((start, end, anchor.kind))
        following = int(units.starts[place + 1]) if place + 1 < len(units.starts) else -1
        if 0 <= following - end <= 2 and raw[following : following + 1].isdigit():
            found += [(start, end, ENDING) for ending, mask in endings if mask & bit and raw[:end].endswith(ending)][:1]
    return found


FRAGMENTS = st.sampled_from(
    [
        "date of birth",
        "DOB",
        "Date",
        "of",
        "born",
        "Hauptstraße",
        "5",
        " 12",
        ". ",
        "weg",
        "plate",
        "Straße",
        "ул",
        "路",
        "12",
    ]
)


@pytest.mark.slow
@given(
    st.lists(st.one_of(FRAGMENTS, st.sampled_from([" ", "-", "\n", "x"])), max_size=12),
    st.sampled_from(["en", "de", "ru", "zh", "la"]),
)
def test_anchors_are_those_read_plainly(pieces: list[str], language: str) -> None:
    text = "".join(pieces)
    data, offsets = string_buffer(pa.array([text], LONG))
    codes = Codes(np.zeros(1, dtype=np.int32), (language,))
    found = [
        (start, end, ENDING if anchor is None else anchor.kind)
        for _, start, end, anchor in find_anchors(data, segment(data, offsets), codes)
    ]
    assert sorted(found) == sorted(plain_anchors(text, language))


def test_languages_of_anchors_are_list_languages() -> None:
    assert [language for language in anchors().languages if list_language(language) != language] == []


def test_terms_that_begin_alike_are_told_apart_by_all_their_words() -> None:
    assert find("date of purchase 12.05.1970; date of birth 12.05.1971", "en", KINDS) == [("birthdate", "12.05.1971")]
