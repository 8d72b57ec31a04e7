"""Code pages: text in one is read right, as bytes and where it was read as Windows-1252; other text is left alone."""

from __future__ import annotations

import random
import string

import pytest

from curator.language.code_pages import read_code_pages

SENTENCES = {
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.",
    "be": "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах. Яны надзелены розумам і сумленнем.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум и съвест.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Άλλος είναι ο λόγος.",
    "fa": "تمام افراد بشر آزاد بدنیا میایند و از لحاظ حیثیت و حقوق با هم برابرند. همه دارای عقل و وجدان میباشند.",
    "he": "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 이성을 부여받았다.",
    "mk": "Сите човечки суштества се раѓаат слободни и еднакви по достоинство и права. Тие се обдарени со разум.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима. Она су обдарена разумом и свешћу.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю.",
    "ur": "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔ انہیں ضمیر اور عقل ودیعت ہوئی ہے۔",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "zh-Hant": "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。",
}  # Universal Declaration of Human Rights, article 1
LATIN = {
    "fo": "Øll menniskju eru fødd fræls og jøvn til virðingar og mannarættindi. Tey hava skil og samvitsku.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. « Là où naît l’été », dit-elle.",
    "is": "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum. Menn eru gæddir vitsmunum og samvizku.",
    "nv": "Bilaʼashdaʼii tʼáá ałtsoh yiníkʼehgo bidizhchįh dóó aheełtʼeego ílį́į́go bee baahóchįʼ.",
    "pt": "TODOS OS SERES HUMANOS NASCEM LIVRES E IGUAIS. A NAÇÃO, AS RAZÕES, OS CORAÇÕES, A IRMÃ, O PÃO E A MÃE.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. À, ồ, ấy!",
}

IN_PAGES = [
    *((language, "cp1251") for language in ("be", "bg", "mk", "ru", "sr", "uk")),
    *((language, "iso8859_5") for language in ("be", "bg", "mk", "ru", "sr", "uk")),
    *((language, "koi8_u") for language in ("bg", "ru", "uk")),
    *((language, "cp866") for language in ("bg", "ru")),
    ("el", "cp1253"),
    ("el", "iso8859_7"),
    ("he", "cp1255"),
    ("he", "iso8859_8"),
    ("ar", "cp1256"),
    ("ar", "iso8859_6"),
    ("th", "cp874"),
    ("th", "tis_620"),
    ("zh", "gb2312"),
    ("zh", "gb18030"),
    ("zh-Hant", "big5"),
    ("zh-Hant", "gbk"),
    ("ja", "shift_jis"),
    ("ja", "euc_jp"),
    ("ko", "euc_kr"),
    ("ko", "cp949"),
]


def as_windows(raw: bytes) -> str:
    """Bytes as browsers read them in Windows-1252."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in raw)


def read(text: bytes | str) -> str | None:
    return read_code_pages([text])[0]


@pytest.mark.parametrize(("language", "encoding"), IN_PAGES)
def test_a_text_in_a_code_page_is_read_as_it_was_written(language: str, encoding: str) -> None:
    sentence = SENTENCES[language]
    raw = sentence.encode(encoding)
    assert read_code_pages([raw, as_windows(raw), raw.decode("latin-1")]) == [sentence] * 3


def test_persian_and_urdu_keep_the_letters_that_their_code_page_has() -> None:
    for language in ("fa", "ur"):
        raw = SENTENCES[language].encode("cp1256", "ignore")
        assert read(raw) == raw.decode("cp1256")


def test_letters_that_only_the_wider_page_of_two_has_are_read() -> None:
    korean = SENTENCES["ko"] + " 똠방각하 펲시콜라"
    japanese = SENTENCES["ja"] + "①㈱"
    assert read(korean.encode("cp949")) == korean
    assert read(japanese.encode("cp932")) == japanese


def test_english_around_it_stays() -> None:
    page = f"Home | About | Contact us\n{SENTENCES['ru']}\nCopyright 2004, all rights reserved. Powered by phpBB."
    assert read(as_windows(page.encode("cp1251"))) == page


def test_english_says_nothing_of_what_stands_beside_it() -> None:
    english = "All human beings are born free and equal in dignity and rights. They are endowed with reason. " * 3
    letters = "ãôäóßýüèøþçåõíüçëíåæâæãäöåàý ëöäîßï ëßüïàå úâïþóíâðçòáêõùßòå"
    assert read(english + letters) is None
    assert read((english + SENTENCES["el"]).encode("cp1253")) == english + SENTENCES["el"]


@pytest.mark.parametrize(
    "letters",
    [
        "§°ÉÄËµÈ¥¢ËËÁÈ¸ÇÇÈ¥ÊÈ¸¥³«¨¨ÅÃ¤Å¤¢½´Ã³½ÊÅ´£§¤ÀÀË¥§±£°§¥¢¼ÄÉÈÄ¢",  # in Chinese, but no words
        "ÍàãáæÉûçýóóÏâÝéîâï ÓÔäÕÁÈÏìÃÊäÛñôúÌÎïØÌ  ÙãûÜ å áÍÏËääÏÃÔõÎË",  # capitals within Greek words
    ],
)
def test_letters_that_are_no_words_in_the_page_that_the_detector_names_are_left_alone(letters: str) -> None:
    assert read(letters) is None


def test_a_few_characters_that_no_byte_was_read_as_stay_in_their_places() -> None:
    misread = as_windows(SENTENCES["ru"].encode("cp1251"))
    assert read(f"\U0001f600 {misread} 中") == f"\U0001f600 {SENTENCES['ru']} 中"
    assert read(misread + "中" * 20) is None
    assert read(misread + "\ufffd") is None
    assert read(misread + "\x1a") is None


def test_a_character_that_was_cut_at_the_end_is_left_out() -> None:
    raw = SENTENCES["zh"].encode("gb18030")
    assert read(raw[:-1]) == SENTENCES["zh"][:-1]


@pytest.mark.parametrize("language", [*SENTENCES, *LATIN])
def test_text_that_is_in_no_code_page_is_left_alone(language: str) -> None:
    text = {**SENTENCES, **LATIN}[language]
    assert read_code_pages([text, text.upper(), text.encode(), text.encode().decode("latin-1")]) == [None] * 4


@pytest.mark.parametrize("encoding", ["latin-1", "cp1250", "cp1254", "cp1257", "mac-roman", "cp437"])
def test_text_in_a_latin_code_page_is_left_alone(encoding: str) -> None:
    for text in (*LATIN.values(), "Žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń, pchnąć w tę łódź jeża."):
        assert read((text * 3).encode(encoding, "ignore")) is None


LATIN_1 = "".join(map(chr, range(0xC0, 0x100)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        LATIN_1,
        " ".join(LATIN_1),
        "\n".join(letter + letter.lower() for letter in LATIN_1[:30]),
        "ÉÍÍÍÍÍÍ»\nº      º\nÈÍÍÍÍÍÍ¼\n" * 10,
        "ñ" * 80,
        "é à ù ê â î ô û " * 20,
        "ÄÖÜ äöü ß " * 20,
        "«\u00a0»" * 40,
        "· · · ····· …… —— " * 20,
        "£££ €€€ ¥¥¥ ¢¢¢ " * 20,
        "Äiti, Öölannin yöööjuna, häätäänpä pääjääjää, Hääyöaie, söösääö, äöäö, ääööåå " * 3,
        "é à ê çà ôû îï ëü ÿ àâ éè ùû çé êâ ïî üö " * 5,
    ],
)
def test_letters_of_latin_1_that_mean_nothing_in_a_code_page_are_left_alone(text: str) -> None:
    assert read(text) is None


def test_utf_8_that_lost_its_control_characters_is_left_alone() -> None:
    for language in ("am", *SENTENCES):
        text = {**SENTENCES, "am": "የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው።፡የተፈጥሮ፡ማስተዋልና፡ሕሊና፡ስላለው"}[language]
        misread = text.encode().decode("latin-1")
        assert read("".join(character for character in misread if not "\x80" <= character < "\xa0")) is None


def test_random_bytes_are_left_alone() -> None:
    drawn = random.Random(5)
    raws = [bytes(drawn.randrange(0x20, 0x100) for _ in range(size)) for size in (40, 400, 4000) for _ in range(30)]
    assert read_code_pages(raws) == [None] * len(raws)


def test_what_is_too_short_to_be_sure_of_is_left_alone() -> None:
    assert read("Все люди".encode("cp1251")) is None
    assert read("Никой не може да бъ".encode("koi8_r")) is None  # which the detector takes for Greek
    assert read(string.ascii_letters.encode() * 4 + "Все люди".encode("cp1251")) is None


def test_a_text_that_could_be_in_two_code_pages_is_left_alone() -> None:
    # Without capitals and without я, Mac Cyrillic and Windows-1251 differ in no letter but і.
    raw = "мир и право, слово о законе, народ и свобода, год и город; iдол".encode("cp1251").replace(b"i", b"\xb4")
    assert read(raw) is None


def test_what_a_text_is_does_not_depend_on_those_beside_it() -> None:
    texts: list[bytes | str] = [SENTENCES[language].encode(encoding) for language, encoding in IN_PAGES]
    texts += [*LATIN.values(), *(as_windows(SENTENCES[language].encode(encoding)) for language, encoding in IN_PAGES)]
    assert read_code_pages(texts) == list(map(read, texts))
