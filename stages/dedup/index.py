"""The index of a run: what a later run has to know of the documents that deduplication kept, in files that are mapped.

    header            see `stages.dedup.header`
    keys              uint64[n, 2]     key of each document, in the order in which deduplication took them
    exact             uint64[n, 2]     hash of the folded text
    signatures        uint32[n, p]     MinHash signature
    ids, ids.offsets  uint8, int64[n + 1]    ids as UTF-8
    shingles, shingles.offsets    uint64, int64[n + 1]    distinct shingles of each document, ascending
    exact.keys, exact.rows        uint64[n], uint32[n]    first words of `exact`, mixed and ascending; their documents
    bands.keys, bands.rows        uint64[n b], uint32[n b]    the same of the band keys of all signatures

Where the run compared URLs, there stand those that no index it was held against has. Each is that of the first document
with it, which may have been dropped by its text, and so is none of the n:

    urls                          uint64[m, 2]    hash of each canonical URL
    urls.owners                   uint64[m, 2]    key of its document
    urls.ids, urls.ids.offsets    uint8, int64[m + 1]     id of its document
    urls.keys, urls.rows          uint64[m], uint32[m]    first words of `urls`, mixed and ascending; their places there

Numbers are little-endian, nothing is compressed and nothing is pickled. Mixed means `curator.keys.mix64`, a bijection:
so a table is in one order however many partitions it was sorted in. A question is a binary search in a mapped table:
it touches pages in number logarithmic in the size of the index, and the signatures of the documents that it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
from blake3 import blake3

from curator.document import string_buffer
from curator.errors import DataError
from curator.kernel import kernel
from curator.keys import mix64
from curator.storage.path import AnyPath
from curator.storage.spool import lasting_file
from curator.text.content import content_hashes
from curator.text.segment import read_only, segment
from curator.text.tables import tables
from stages.dedup.header import Scheme, damaged, open_index
from stages.dedup.minhash import Ragged, band_keys, export_lean, minhash, shingle_hashes

if TYPE_CHECKING:
    from datasketch import LeanMinHash
    from numpy.typing import NDArray

MAX_DOCUMENTS = 1 << 32
"""Documents are numbered by 32 bits in the tables."""

PAGE_BYTES = 4096
_PAGE_KEYS = PAGE_BYTES // 8

_PROBES = (
    "The House, stands on a_small hill: it's 3.5 km from co-op's river; ﬁne ＡＢＣ Straße ΣΊΣΥΦΟΣ İstanbul e\u0301",
    "घर नदी के पास क्\u200dष एक छोटी पहाड़ी पर है ১২৩",
    "短い文。これはカタカナとｶﾞの試験です 한국어 문장 สวัสดีชาวโลก ລາວ ខ្មែរ မြန်မာ",
    'שלום צה"ל ג׳ירפה مرحبا ب\u0640العالم ۱۲۳ 👩\u200d👩\u200d👧 🇩🇪',
    "!!!",
    "-=( o )=-",
    "",
)
"""Texts that meet the rules of segmentation and folding: what they hash to tells whether two versions compare texts in
the same way."""


@cache
def text_scheme() -> str:
    """A digest of what segmentation, folding and the hashes of texts do: of their tables and of probes."""
    table = tables()
    hasher = blake3()
    for array in (table.classes, table.folds, table.expansions, table.ascii_folds):
        hasher.update(np.ascontiguousarray(array).tobytes())
    data, offsets = string_buffer(pa.array(_PROBES, pa.string()))
    units = segment(data, offsets)
    hasher.update(content_hashes(units, data, offsets).tobytes())
    for size in (1, 5):
        shingles = shingle_hashes(units, data, offsets, size)
        hasher.update(shingles.values.tobytes())
        hasher.update(band_keys(minhash(shingles, 64), 16, 4).tobytes())
    return str(hasher.hexdigest()[:32])


class Index:
    """An index, mapped; of one in a storage, copies of the files that are asked for. `pages` counts the pages of the
    tables that searches touched, each time anew."""

    def __init__(self, path: AnyPath, checksum: str | None = None) -> None:
        """DataError when it has not the header with this checksum any more (somebody erased a document)."""
        self.folder, self.header = open_index(path)
        if checksum is not None and self.header.checksum != checksum:
            raise DataError("changed while it was read", stage="dedup", file=str(path), hint="run it again")
        self.pages = 0

    def __len__(self) -> int:
        return self.header.documents

    def array(self, name: str, dtype: str, width: int = 0) -> NDArray[np.generic]:
        """A file of the index, mapped: dtype[n], or dtype[n, width]."""
        size, digest = self.header.files[name].bytes, self.header.files[name].blake3
        if size == 0:
            return np.zeros((0, width) if width else 0, dtype=dtype)
        try:
            file = lasting_file(self.folder / name, self.header.checksum, size, digest)
        except FileNotFoundError:
            raise damaged(self.folder, name, "is missing") from None
        if file.stat().st_size != size:
            raise damaged(self.folder, name, "changed while it was read")
        flat = np.asarray(np.memmap(file, dtype=dtype, mode="r"))
        return flat.reshape(-1, width) if width else flat

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """Key of each document: uint64[n, 2]."""
        return cast("NDArray[np.uint64]", self.array("keys", "<u8", 2))

    @cached_property
    def exact(self) -> NDArray[np.uint64]:
        """Hash of each folded text: uint64[n, 2]."""
        return cast("NDArray[np.uint64]", self.array("exact", "<u8", 2))

    @cached_property
    def signatures(self) -> NDArray[np.uint32]:
        """Signature of each document: uint32[n, permutations]."""
        return cast("NDArray[np.uint32]", self.array("signatures", "<u4", self.header.scheme.permutations))

    @cached_property
    def shingles(self) -> Ragged:
        """The distinct shingles of each document, ascending."""
        offsets = cast("NDArray[np.int64]", self.array("shingles.offsets", "<i8"))
        return Ragged(offsets, cast("NDArray[np.uint64]", self.array("shingles", "<u8")))

    @cached_property
    def urls(self) -> NDArray[np.uint64]:
        """Hash of each URL: uint64[m, 2]."""
        return self._of_urls("urls")

    @cached_property
    def url_owners(self) -> NDArray[np.uint64]:
        """Key of the document of each URL: uint64[m, 2]."""
        return self._of_urls("urls.owners")

    def _of_urls(self, name: str) -> NDArray[np.uint64]:
        if not self.header.urls:
            return np.zeros((0, 2), dtype=np.uint64)
        return cast("NDArray[np.uint64]", self.array(name, "<u8", 2))

    def ids(self, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """The ids of these documents."""
        return self._strings("ids", rows)

    def url_ids(self, places: NDArray[np.int64]) -> list[str]:
        """The ids of the documents of these URLs."""
        return self._strings("urls.ids", places)

    def _strings(self, name: str, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        offsets, data = cast("NDArray[np.int64]", self.array(f"{name}.offsets", "<i8")), self.array(name, "u1")
        places = np.asarray(rows, dtype=np.int64)
        self.check_spans(f"{name}.offsets", offsets, places, len(data))
        return [data[offsets[row] : offsets[row + 1]].tobytes().decode(errors="replace") for row in places.tolist()]

    def check_spans(self, name: str, offsets: NDArray[np.int64], rows: NDArray[np.int64], size: int) -> None:
        """DataError unless the lists of these documents lie within `size` values: a kernel would read beyond them."""
        begins, ends = offsets[rows], offsets[rows + 1]
        if ((begins < 0) | (begins > ends) | (ends > size)).any():
            raise damaged(self.folder, name)

    def find_exact(self, exact: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each hash of a folded text the document that has it, -1 where none has: int64[n]."""
        return self._find("exact", self.exact, exact)

    def find_urls(self, urls: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each hash of a canonical URL its place in `urls`, -1 where it is not there: int64[n]."""
        if not self.header.urls:
            return np.full(len(urls), -1, dtype=np.int64)
        return self._find("urls", self.urls, urls)

    def _find(self, table: str, there: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each hash its place in `there`, whose first words `table` has; -1 where it is not there: int64[n]."""
        found = np.full(len(hashes), -1, dtype=np.int64)
        asked, rows = self._search(table, hashes[:, 0], len(there), len(there))
        same = np.flatnonzero((there[rows] == hashes[asked]).all(axis=1))[::-1]
        found[asked[same]] = rows[same]  # written last stays: the first of several
        return found

    def candidates(self, signatures: NDArray[np.uint32], most: int) -> NDArray[np.int64]:
        """Documents that share a band with these signatures, of each band at most the first `most`: pairs (place in
        `signatures`, document), each once, sorted: int64[pairs, 2]."""
        scheme = self.header.scheme
        keys = band_keys(np.ascontiguousarray(signatures), scheme.bands, scheme.rows_per_band)
        asked, rows = self._search("bands", keys.reshape(-1), most, len(self))
        pairs = np.unique(asked // scheme.bands * MAX_DOCUMENTS + rows)
        return np.column_stack([pairs // MAX_DOCUMENTS, pairs % MAX_DOCUMENTS])

    def _search(
        self, table: str, keys: NDArray[np.uint64], most: int, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(place in `keys`, one of `size` documents) of what a table has under these keys, at most the first `most` of
        a key."""
        there = cast("NDArray[np.uint64]", self.array(f"{table}.keys", "<u8"))
        documents = cast("NDArray[np.uint32]", self.array(f"{table}.rows", "<u4"))
        mixed = mix64(keys)
        order = np.argsort(mixed, kind="stable")
        begins, counts = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        self.pages += search_sorted(read_only(there), mixed[order], most, begins, counts)
        asked = np.repeat(order, counts)
        within = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = documents[np.repeat(begins, counts) + within].astype(np.int64)
        if (found >= size).any():
            raise damaged(self.folder, f"{table}.rows")
        return asked, found


@kernel
def search_sorted(
    table: NDArray[np.uint64],
    wanted: NDArray[np.uint64],
    most: int,
    begins: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Where each of the ascending `wanted` begins in the ascending `table`, and how often it stands there, `most` at
    most. Returns how many pages of the table were looked at, each time anew."""
    pages = 0
    last = -1
    begin = 0
    for place in range(wanted.size):
        value = wanted[place]
        low = begin
        high = table.size
        while low < high:
            middle = (low + high) >> 1
            if middle // _PAGE_KEYS != last:
                last = middle // _PAGE_KEYS
                pages += 1
            if table[middle] < value:
                low = middle + 1
            else:
                high = middle
        begin = low
        end = low
        while end < table.size and end - low < most and table[end] == value:
            if end // _PAGE_KEYS != last:
                last = end // _PAGE_KEYS
                pages += 1
            end += 1
        begins[place] = low
        counts[place] = end - low
    return pages


def read_minhashes(path: Path) -> Iterator[tuple[str, str, LeanMinHash]]:
    """(key in hexadecimal, id, signature as an object of datasketch) of every document of an index.

    `datasketch.MinHashLSH(num_perm=p, params=(b, r))` with the permutations, bands and rows of the index
    (`read_header(path).scheme`) finds the same candidates as `Index.candidates`."""
    index = Index(path)
    for row in range(len(index)):
        (signature,) = export_lean(np.array(index.signatures[row : row + 1]), index.header.scheme.signature_seed)
        yield index.keys[row].tobytes().hex(), index.ids([row])[0], signature


def sign(texts: Sequence[str], scheme: Scheme) -> list[LeanMinHash]:
    """The signatures of texts (NFC) as objects of datasketch, made as those of an index of this scheme are."""
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    shingles = shingle_hashes(segment(data, offsets), data, offsets, scheme.shingle_units)
    return export_lean(minhash(shingles, scheme.permutations, scheme.signature_seed), scheme.signature_seed)
