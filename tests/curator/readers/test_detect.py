"""Which files a run reads, what they are called, and what is said about those that it cannot read."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from curator.readers.base import InputFile
from curator.readers.detect import describe_skipped, discover, extension_of, read_heads, sniff_format, take_inventory
from tests.curator.readers.reader_files import COMPRESS, xz_of_window


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, data: bytes = b'{"text": "a"}\n') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(*inputs: str, format_name: str = "auto") -> list[str]:
    return [file.name for file in discover(inputs, format_name)]


def test_a_file_is_called_by_its_base_name(folder: Path) -> None:
    write(folder / "deep" / "a.jsonl")
    [file] = discover(["deep/a.jsonl"])
    assert (file.name, file.path, file.format, file.compression) == ("a.jsonl", "deep/a.jsonl", "jsonl", "none")
    assert file.size == 14
    assert file.mtime_ns == (folder / "deep" / "a.jsonl").stat().st_mtime_ns


def test_names_do_not_depend_on_where_the_input_lies(folder: Path) -> None:
    for place in ("x", "y/z"):
        write(folder / place / "data" / "de" / "1.jsonl")
    assert names("x/data") == names(str(folder / "y/z/data")) == names("x/data/") == ["de/1.jsonl"]


def test_a_directory_is_read_recursively_and_sorted_without_hidden_files(folder: Path) -> None:
    for name in ("b/2.jsonl", "b/10.jsonl", "a.jsonl", ".hidden.jsonl", ".git/c.jsonl", "b/_SUCCESS", "b/_metadata"):
        write(folder / "data" / name)
    assert names("data") == ["a.jsonl", "b/10.jsonl", "b/2.jsonl"]


def test_several_inputs_keep_their_order_and_directories_their_base_names(folder: Path) -> None:
    for name in ("one/a.jsonl", "two/a.jsonl", "c.jsonl"):
        write(folder / name)
    assert names("two", "c.jsonl", "one/") == ["two/a.jsonl", "c.jsonl", "one/a.jsonl"]
    assert names("two/*.jsonl", "one/*.jsonl") == ["two/a.jsonl", "one/a.jsonl"]
    assert names(".") == ["c.jsonl", "one/a.jsonl", "two/a.jsonl"]


def test_a_glob_names_files_from_its_fixed_part(folder: Path) -> None:
    for name in ("data/de/1.jsonl", "data/fr/1.jsonl", "data/fr/more/2.jsonl", "data/x.txt"):
        write(folder / name)
    assert names("data/*/1.jsonl") == ["de/1.jsonl", "fr/1.jsonl"]
    assert names("data/**/*.jsonl") == ["de/1.jsonl", "fr/1.jsonl", "fr/more/2.jsonl"]
    assert names("data/f*") == ["fr/1.jsonl", "fr/more/2.jsonl"]
    assert names("data/**") == ["de/1.jsonl", "fr/1.jsonl", "fr/more/2.jsonl", "x.txt"]


def test_a_name_with_wildcards_that_exists_is_no_glob(folder: Path) -> None:
    write(folder / "a[1].jsonl")
    write(folder / "a1.jsonl")
    assert names("a[1].jsonl") == ["a[1].jsonl"]


def test_two_files_never_get_one_name(folder: Path) -> None:
    write(folder / "de" / "1.jsonl")
    write(folder / "fr" / "1.jsonl")
    with pytest.raises(UserError, match=r"de/1\.jsonl and fr/1\.jsonl would both be called '1\.jsonl'"):
        discover(["de/1.jsonl", "fr/1.jsonl"])
    write(folder / "x" / "de" / "1.jsonl")
    with pytest.raises(UserError, match=r"de/1\.jsonl and x/de/1\.jsonl would both be called 'de/1\.jsonl'"):
        discover(["de", "x/de"])


@pytest.mark.parametrize("inputs", [("d", "d/1.jsonl"), ("d", "d/"), ("d/1.jsonl", "./d/../d/1.jsonl")])
def test_a_file_is_not_read_twice(folder: Path, inputs: tuple[str, str]) -> None:
    write(folder / "d" / "1.jsonl")
    with pytest.raises(UserError, match="is given twice"):
        discover(inputs)


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'  {"text": "a"}', "jsonl"),
        (b'\xef\xbb\xbf{"text": "a"}', "jsonl"),
        (b'[\n  {\n    "text": "a"}]', "jsonl"),
        (b"{}\n{}", "jsonl"),
        (b"PAR1....", "parquet"),
        (b"WARC/1.0\r\n", "warc"),
        (b"<!DOCTYPE HTML><p>", "html"),
        (b"\n<html lang=de>", "html"),
        (b'<?xml version="1.0"?><!DOCTYPE x><html>', "html"),
    ],
)
def test_without_an_extension_content_tells_format_and_compression(
    folder: Path, data: bytes, expected: str, compression: str
) -> None:
    write(folder / "part-0000", COMPRESS[compression](data))
    [file] = discover(["part-0000"])
    assert (file.format, file.compression) == (expected, compression)


@pytest.mark.parametrize(
    "data",
    [b"", b"some text", b"a,b\n1,2\n", b"<p>not quite", b"\x00\x01", b"[A link](x)", b"[main]\nx=1", b"{\\rtf1 a}"],
)
def test_other_content_tells_nothing(data: bytes) -> None:
    assert sniff_format(data) is None


def test_compression_is_told_by_content_and_never_by_extension(folder: Path) -> None:
    write(folder / "a.jsonl.gz")
    write(folder / "b.jsonl", COMPRESS["xz"](b"{}\n"))
    assert [(file.format, file.compression) for file in discover(["a.jsonl.gz", "b.jsonl"])] == [
        ("jsonl", "none"),
        ("jsonl", "xz"),
    ]


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.JSONL.GZ", ".jsonl"), ("a.warc.wet.gz", ".wet"), ("x/a.tsv.bz2", ".tsv"), ("a.gz", ""), ("b.c/a", "")],
)
def test_the_extension_of_a_compression_is_taken_off(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_extensions_tell_formats(folder: Path) -> None:
    found = {}
    for name in ("a.json", "a.ndjson", "a.md", "a.csv", "a.tab", "a.htm", "a.wet", "a.pq"):
        write(folder / name)
        found[name] = discover([name])[0].format
    assert list(found.values()) == ["jsonl", "jsonl", "text", "csv", "tsv", "html", "warc", "parquet"]


def test_files_of_unknown_format_are_skipped_in_directories_and_named_in_the_inventory(folder: Path) -> None:
    write(folder / "d" / "a.jsonl")
    write(folder / "d" / "README", b"Read this.")
    write(folder / "d" / "b.zip", b"PK\x03\x04")
    os.mkfifo(folder / "d" / "pipe")
    inventory = take_inventory(["d"])
    assert [file.name for file in inventory.files] == ["a.jsonl"]
    assert [(Path(entry.path).name, entry.reason.split(":")[0]) for entry in inventory.skipped] == [
        ("README", "is of unknown format"),
        ("b.zip", "is a ZIP archive, which is not read"),
        ("pipe", "is not a regular file"),
    ]


def test_what_is_not_read_is_described_by_reason_but_for_what_other_systems_leave(folder: Path) -> None:
    for name in ("a.jsonl", "README", "x/README", "y/README", "z/README", "_SUCCESS"):
        write(folder / "d" / name, b"Read this.")
    write(folder / "d" / "b.zip", b"PK\x03\x04")
    unknown = "is of unknown format: neither its extension nor its content tells"
    assert describe_skipped(take_inventory(["d"]).skipped) == [
        "1 file is not read: d/b.zip; it is a ZIP archive, which is not read: unpack it first",
        f"4 files are not read: d/README, d/x/README, d/y/README and 1 more; each {unknown}",
    ]


def test_a_named_format_takes_files_without_extension_and_leaves_those_of_another(folder: Path) -> None:
    for name, data in (
        ("part-0", b"one line"),
        ("part-1.txt", b"text"),
        ("x.jsonl", b"{}"),
        ("page", b"<html>"),
        ("y.bin", b"a\x00b"),
    ):
        write(folder / "d" / name, data)
    assert names("d", format_name="text") == ["part-0", "part-1.txt"]
    assert names("d/x.jsonl", format_name="text") == ["x.jsonl"]


def test_an_unknown_format_is_refused_with_those_that_there_are(folder: Path) -> None:
    write(folder / "a.jsonl")
    with pytest.raises(UserError, match=r"input\.format is 'jsonlines' \(one of auto, jsonl, parquet"):
        discover(["a.jsonl"], "jsonlines")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere/a.jsonl", r"nowhere/a\.jsonl: does not exist \(the last directory on the way that exists is \.\)"),
        ("d/b.jsonl", r"d/b\.jsonl: does not exist \(check the name\)"),
        ("d/*.parquet", r"matches no file"),
        ("d/" + "a" * 300, r"cannot be read: File name too long \(check the name\)"),
        ("empty", r"empty: is an empty directory"),
        ("pictures", r"holds no file that can be read; extensions seen: \.jpg \(1\), \.png \(2\), no extension \(1\)"),
        ("pictures/LICENSE", r"is of unknown format.*--set input\.format=NAME: jsonl, parquet"),
        ("d/archive", r"is a ZIP archive, which is not read: unpack it first$"),
        ("pipe", r"is not a regular file"),
        ("dangling.jsonl", r"is a link to nothing"),
        ("https://example.org/a.jsonl", r"is a URL"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(folder: Path, given: str, message: str) -> None:
    write(folder / "d" / "a.jsonl")
    write(folder / "d" / "archive", b"PK\x03\x04")
    (folder / "empty").mkdir()
    for name in ("1.png", "2.png", "3.jpg", "LICENSE"):
        write(folder / "pictures" / name, b"\x89PNG")
    os.mkfifo(folder / "pipe")
    (folder / "dangling.jsonl").symlink_to("gone")
    with pytest.raises(UserError, match=message) as caught:
        discover([given])
    assert "\n" not in str(caught.value)


def test_no_input_is_an_error() -> None:
    with pytest.raises(UserError, match="no input is given"):
        discover([])


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv", "empty"])
def test_an_empty_file_is_fine(folder: Path, name: str) -> None:
    write(folder / name, b"")
    assert [file.size for file in discover([name])] == [0]


def test_links_to_files_are_followed(folder: Path) -> None:
    write(folder / "blobs" / "1234")
    (folder / "data").mkdir()
    (folder / "data" / "a.jsonl").symlink_to("../blobs/1234")
    assert [(file.name, file.size) for file in discover(["data"])] == [("a.jsonl", 14)]


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    path = os.fsencode(str(folder)) + b"/caf\xe9.jsonl"
    with io.FileIO(path, "w") as handle:
        handle.write(b"{}")
    with pytest.raises(UserError, match=r"caf\\udce9\.jsonl'?: has a name that is not UTF-8") as caught:
        discover([str(folder)])
    str(caught.value).encode()


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A directory of a user without privileges, as whom the test runs."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        privileged = os.geteuid() == 0
        if privileged:
            os.chown(folder, nobody, nobody)
            os.seteuid(nobody)
        try:
            yield Path(folder)
        finally:
            if privileged:
                os.seteuid(0)


def test_a_file_or_directory_without_permission_is_one_clear_line(ordinary_user: Path) -> None:
    locked = write(ordinary_user / "a.jsonl")
    locked.chmod(0)
    with pytest.raises(UserError, match=r"a\.jsonl: cannot be read: Permission denied"):
        discover([str(locked)])
    with pytest.raises(UserError, match=r"a\.jsonl: cannot be read: Permission denied"):
        discover([str(ordinary_user)])
    locked.unlink()
    (ordinary_user / "d").mkdir(mode=0)
    try:
        with pytest.raises(UserError, match=r"/d: cannot be read: Permission denied"):
            discover([str(ordinary_user)])
    finally:
        (ordinary_user / "d").chmod(0o755)


def test_parquet_with_any_extension_is_found(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), folder / "data.bin")
    assert discover(["data.bin"])[0].format == "parquet"


@pytest.mark.slow
def test_first_bytes_are_asked_for_together_but_of_no_more_than_a_thousand_files(folder: Path) -> None:
    for number in range(1203):
        write(folder / "d" / f"{number:04}.jsonl")
    inputs = ["d"] + [str(write(folder / f"{number}.jsonl")) for number in range(4)]
    asked: list[int] = []

    def heads(files: Sequence[InputFile]) -> Iterator[bytes]:
        asked.append(len(files))
        return read_heads(files)

    files = take_inventory(inputs, heads=heads).files
    assert asked == [1000, 207]
    assert files == take_inventory(inputs).files
    assert [file.name for file in files[1201:1205]] == ["d/1201.jsonl", "d/1202.jsonl", "0.jsonl", "1.jsonl"]


def test_what_files_contain_is_asked_of_those_first_bytes_alone(folder: Path) -> None:
    inputs = [str(write(folder / name)) for name in ("a", "b")]
    assert [file.format for file in discover(inputs, heads=lambda _: [b"WARC/1.0", b"PAR1"])] == ["warc", "parquet"]


BAD = {
    "missing": "does not exist",
    "pipe": "is not a regular file",
    "unknown": "is of unknown format",
    "empty": "is an empty directory",
    "useless": "holds no file that can be read",
    "large": "needs more memory to decompress",
}


@pytest.mark.parametrize("first", BAD)
@pytest.mark.parametrize("second", BAD)
def test_of_several_inputs_that_will_not_do_the_first_is_named(folder: Path, first: str, second: str) -> None:
    os.mkfifo(folder / "pipe")
    write(folder / "unknown", b"some text")
    (folder / "empty").mkdir()
    write(folder / "useless" / "README", b"Read this.")
    write(folder / "large", xz_of_window(b"{}", 1 << 30))
    inputs = [str(write(folder / "a.jsonl")), first, *([second] if second != first else [])]
    with pytest.raises(UserError, match=BAD[first]) as error:
        discover(inputs)
    assert error.value.file == first
