"""Byte sizes as people write them."""

import pytest

from curator.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("128MB", 128_000_000),
        ("4GB", 4_000_000_000),
        ("4 GiB", 4 << 30),
        ("500m", 500_000_000),
        ("1.5kB", 1500),
        ("100TB", 10**14),
        ("2PB", 2 * 10**15),
        ("7", 7),
        (7, 7),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str | int, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "4XB", "1 2", True, None, 1.5])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (999, "999 B"), (12_345_678, "12.3 MB"), (2e12, "2 TB"), (3e16, "30 PB")]
)
def test_a_size_is_shown_with_three_digits(size: float, expected: str) -> None:
    assert format_size(size) == expected
