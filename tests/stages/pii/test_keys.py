"""Keys, MAC addresses, user names in URLs, and passports: what counts, and what looks like them and stays."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.pii.helpers import find

ALPHABET = string.ascii_letters + string.digits


def token(size: int, alphabet: str = ALPHABET) -> str:
    """Letters and digits of a key, the same in every run (none of them opens anything)."""
    made = "".join(random.Random(size).choices(alphabet, k=size - 2))
    return f"{made}a7" if alphabet == ALPHABET else f"{made}77"


JWT = f"eyJ{token(33)}.eyJ{token(60)}.{token(43)}"
KEYS = {
    "aws": f"AKIA{token(16, string.ascii_uppercase)}",
    "google": f"AIza{token(35)}",
    "github": f"ghp_{token(36)}",
    "github fine-grained": f"github_pat_{token(22)}_{token(59)}",
    "gitlab": f"glpat-{token(20)}",
    "slack": f"xoxb-{'1' * 12}-{'2' * 12}-{token(24)}",
    "stripe": f"sk_live_{token(24)}",
    "openai": f"sk-{token(48)}",
    "npm": f"npm_{token(36)}",
    "sendgrid": f"SG.{token(22)}.{token(43)}",
    "jwt": JWT,
}
LINE = f"{token(64)}\n"
BLOCK = f"-----BEGIN RSA PRIVATE KEY-----\n{LINE * 20}-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
@pytest.mark.parametrize("frame", ["{}", "key={}", 'export KEY="{}"', "令牌{}。", "<{}>, and"])
def test_keys_are_found_whole(key: str, frame: str) -> None:
    assert find(frame.format(key), "und", ["secret"]) == [("secret", key)]


@pytest.mark.parametrize("key", [key for name, key in KEYS.items() if name in ("aws", "google", "github", "npm")])
def test_a_key_of_another_length_stays(key: str) -> None:
    assert find(f"{key[:-3]} or x{key}", "en", ["secret"]) == []


def test_the_secret_behind_an_access_key_of_amazon_goes_too() -> None:
    secret = f"{token(20)}/{token(9)}+{token(9)}"
    text = f"aws_access_key_id = {KEYS['aws']}\naws_secret_access_key = {secret}\nregion = eu-central-1"
    assert find(text, "en", ["secret"]) == [("secret", KEYS["aws"]), ("secret", secret)]


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""])
def test_private_keys_are_found_from_hyphen_to_hyphen(kind: str) -> None:
    block = BLOCK.replace("RSA ", kind)
    assert find(f"cat key.pem\n{block}\n$", "en", ["secret"]) == [("secret", block)]


def test_a_private_key_that_is_cut_off_goes_as_far_as_its_lines_go() -> None:
    head = f"-----BEGIN PRIVATE KEY-----\n{LINE}{LINE}"
    assert find(f"{head}\nNo more of it here.", "en", ["secret"]) == [("secret", head.rstrip("\n"))]


def test_public_keys_and_certificates_stay() -> None:
    for name in ("CERTIFICATE", "PUBLIC KEY", "PGP MESSAGE"):
        assert find(BLOCK.replace("RSA PRIVATE KEY", name), "en", ["secret"]) == []


@pytest.mark.parametrize(
    "address",
    ["3c:22:fb:1a:9e:04", "3C-22-FB-1A-9E-04", "3c22.fb1a.9e04", "00:1B:44:11:3A:B7"],
)
@pytest.mark.parametrize("frame", ["{}", "ether {} txqueuelen 1000", "at {}.", "({}, up)", "MAC:{};"])
def test_mac_addresses_are_found(address: str, frame: str) -> None:
    assert find(frame.format(address), "en", ["mac"]) == [("mac", address)]


@pytest.mark.parametrize(
    "text",
    [
        *("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "00:00:5E:00:53:01", "00:00:00:00:00:00", "00:11:22:33:44:55"),
        *(
            "12:30:45:10:20:30",
            "3c:22:fb:1a:9e",
            "3c:22:fb:1a:9e:04:aa:bb",
            "x3c:22:fb:1a:9e:04",
            "3C-22-FB-1A-9E-04-1",
        ),
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_is_nobodys_mac_address_stays(text: str) -> None:
    assert find(text, "en", ["mac"]) == []


def test_pairs_of_digits_are_an_address_near_a_word_for_one() -> None:
    assert find("MAC 00:60:10:01:23:46", "en", ["mac"]) == [("mac", "00:60:10:01:23:46")]


@given(st.lists(st.integers(0, 255), min_size=6, max_size=6), st.sampled_from(":-"))
def test_every_address_of_one_device_is_found(octets: list[int], joint: str) -> None:
    octets[0] &= 0xFC
    digits = "".join(f"{octet:02X}" for octet in octets)
    address = joint.join(f"{octet:02X}" for octet in octets)
    usual = not digits.isdigit() and len(set(digits)) > 2 and not digits.startswith("00005E")
    if usual and digits.lower() not in ("001122334455", "112233445566", "aabbccddeeff"):
        assert ("mac", address) in find(f"at {address} on", "en", ["mac"])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://twitter.com/jane_doe/status/123", "jane_doe"),
        ("https://x.com/jane_doe?s=20", "jane_doe"),
        ("https://www.instagram.com/jane.doe/", "jane.doe"),
        ("http://m.facebook.com/jane.doe.12", "jane.doe.12"),
        ("https://facebook.com/profile.php?id=100001234567890", "100001234567890"),
        ("https://www.linkedin.com/in/jane-doe-12345/", "jane-doe-12345"),
        ("https://old.reddit.com/user/jane_doe", "jane_doe"),
        ("https://github.com/janedoe.", "janedoe"),
        ("https://www.youtube.com/@janedoe", "janedoe"),
        ("https://mastodon.example/@janedoe", "janedoe"),
        ("http://www.cs.example.edu/~jdoe/papers.html", "jdoe"),
        ("https://vk.com/id12345", "id12345"),
        ("https://stackoverflow.com/users/12345/jane-doe", "jane-doe"),
    ],
)
def test_user_names_go_and_the_rest_of_the_url_stays(url: str, name: str) -> None:
    assert find(f"see {url} there", "en", ["username"]) == [("username", name)]


@pytest.mark.parametrize(
    "url",
    [
        *("https://twitter.com/search?q=x", "https://x.com/i/flow", "https://github.com/features"),
        *("https://github.com/janedoe/project", "https://www.linkedin.com/company/acme", "https://example.com/users/1"),
        *("https://t.me/", "http://localhost/~jdoe", "https://instagram.com/explore/tags", "ftp://x.org/~/a"),
    ],
)
def test_pages_and_repositories_are_no_accounts(url: str) -> None:
    assert find(f"see {url} there", "en", ["username"]) == []


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("Passport No. AB1234567 was lost", "en", "AB1234567"),
        ("passport number: 123456789", "en", "123456789"),
        ("Reisepass Nr. C01X00T47", "de", "C01X00T47"),
        ("Passeport n° 12AB34567", "fr", "12AB34567"),
        ("pasaporte: AAA123456", "es", "AAA123456"),
        ("passaporto YA 1234567", "it", "YA 1234567"),
        ("паспорт 45 08 123456", "ru", "45 08 123456"),
        ("护照号码：E12345678", "zh", "E12345678"),
        ("旅券番号 TK1234567", "ja", "TK1234567"),
        ("여권번호 M12345678", "ko", "M12345678"),
    ],
)
def test_passports_are_found_near_their_word(text: str, language: str, number: str) -> None:
    assert find(text, language, ["passport"]) == [("passport", number)]
    assert find(number, language, ["passport"]) == []


def test_a_number_of_its_own_kind_near_a_passport_keeps_its_kind() -> None:
    assert find("passport or PESEL 44051401359", "pl") == [("id", "44051401359")]
    assert find("Passport 2019-01-02, 20190102", "en", ["passport"]) == []
