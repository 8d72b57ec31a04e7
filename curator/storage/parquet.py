"""Parquet files of a run as tables, from a disk or from object storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.errors import DataError
from curator.storage.path import AnyPath, matching, readable


@contextmanager
def read_of_run(path: AnyPath) -> Iterator[None]:
    """What reads a file that a run wrote: DataError where it is damaged. A file that may not be read, or that memory is
    too small for, is another matter."""
    try:
        yield
    except (PermissionError, pa.ArrowMemoryError):
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError("cannot be read", file=str(path), hint="`curator verify` tells what is damaged") from error


def batches_of_run(folder: AnyPath, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of the files that a run wrote into a folder, in batches of at most 65,536 rows. DataError where one
    is damaged."""
    for path in matching(folder, "*.parquet"):
        with read_of_run(path), open_parquet(path) as file:
            yield from file.iter_batches(columns=list(columns), use_threads=False)


def open_parquet(path: AnyPath) -> pq.ParquetFile:
    """A file that is read by this thread alone, if its reads are told `use_threads=False`. Raises what pyarrow does.

    A thread of Arrow's that still holds an object of Python when the interpreter ends takes the process down with
    SIGABRT (apache/arrow issue 34314); through `pyarrow.parquet.read_table` on object storage 7 of 40 commands ended
    so. `pre_buffer`, which pyarrow turns on, reads by threads as well.
    """
    return pq.ParquetFile(readable(path), pre_buffer=False)


def parquet_tables(
    path: AnyPath, columns: Sequence[str] | None = None, condition: pc.Expression | None = None
) -> Iterator[pa.Table]:
    """The row groups of a file, `columns` of them, those rows that `condition` (of these columns) takes."""
    with open_parquet(path) as file:
        yield from _tables(file, columns, condition)


def parquet_table(
    path: AnyPath, columns: Sequence[str] | None = None, condition: pc.Expression | None = None
) -> pa.Table:
    """The whole file, as `parquet_tables` gives it."""
    with open_parquet(path) as file:
        if condition is None:
            return file.read(columns=columns, use_threads=False)
        empty = file.schema_arrow.empty_table().select(columns or file.schema_arrow.names)
        return pa.concat_tables([empty, *_tables(file, columns, condition)])


def _tables(file: pq.ParquetFile, columns: Sequence[str] | None, condition: pc.Expression | None) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=columns, use_threads=False)
        yield table if condition is None else table.filter(condition)
