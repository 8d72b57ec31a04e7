"""The limited process: one question on standard input, one answer on standard output, both JSON.

`python -m serve.guarded.read MEMORY_BYTES SECONDS OUTPUT_BYTES MAPPED_BYTES WRITTEN_BYTES`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from serve.guarded.limits import limit_process

if TYPE_CHECKING:
    from curator.errors import CuratorError, UserError
    from curator.recipe import Recipe

Json = object


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Question(_Strict):
    """`process` is the module that answers; `mapped_bytes` are what it may map of files beside its memory,
    `written_bytes` what it may write into each."""

    process: ClassVar[str] = "serve.guarded.read"
    mapped_bytes: ClassVar[int] = 0
    written_bytes: ClassVar[int] = 0


class PreviewQuestion(_Question):
    """Some rows of a shard, their texts cut at `characters`."""

    kind: Literal["preview"] = "preview"
    path: str
    offset: int
    limit: int
    characters: int


class DecisionsQuestion(_Question):
    """Some decisions of a run from row `row` of file `file` on, those whose columns have the values of `equal`."""

    kind: Literal["decisions"] = "decisions"
    run: str
    equal: dict[str, str]
    file: int
    row: int
    limit: int


class ExplainQuestion(_Question):
    """What happened to a document."""

    kind: Literal["explain"] = "explain"
    run: str
    document: str


class FailuresQuestion(_Question):
    """Which records of a run could not be read, by code and file; the `limit` most frequent."""

    kind: Literal["failures"] = "failures"
    run: str
    limit: int


class PackedFile(_Strict):
    """A compressed file of an input, as `curator.readers.base.InputFile` has it. Where its first bytes are here already
    `beginning` is a file that holds so many of them."""

    path: str
    name: str
    size: int
    compression: str
    etag: str | None
    beginning: str | None
    held: int


class HeadsQuestion(_Question):
    """The first (decompressed) bytes of each of some files, which are all on a disk, or all in storage."""

    process: ClassVar[str] = "serve.guarded.unpack"

    kind: Literal["heads"] = "heads"
    files: tuple[PackedFile, ...]


class RecipeQuestion(_Question):
    """Whether the stages of a recipe, as JSON, can run here. Models are mapped (GlotLID has 1.7 GB, the weights of
    NLLB 13); what is written are compiled kernels, and Parquet that is compressed once more, unpacked."""

    mapped_bytes: ClassVar[int] = 32 << 30
    written_bytes: ClassVar[int] = 256 << 20

    kind: Literal["recipe"] = "recipe"
    recipe: str

    @classmethod
    def of(cls, recipe: Recipe) -> RecipeQuestion:
        """The question of a recipe."""
        return cls(recipe=recipe.model_dump_json())


AnsweredHere = PreviewQuestion | DecisionsQuestion | ExplainQuestion | FailuresQuestion | RecipeQuestion
Question = AnsweredHere | HeadsQuestion


ToldKind = Literal["UserError", "DataError", "TransientError"]


class ToldError(_Strict):
    """An error of ours as it passes from process to process: which it is, and what it says."""

    kind: ToldKind
    message: str
    file: str | None
    hint: str | None

    @classmethod
    def of(cls, error: CuratorError) -> ToldError:
        """What is told of an error, which is one of `kind`, or of a kind of these."""
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in get_args(ToldKind))
        return cls.model_validate({"kind": kind, "message": error.message, "file": error.file, "hint": error.hint})

    def as_error(self) -> CuratorError:
        """The error that was told."""
        from curator.errors import DataError, TransientError, UserError

        kinds = {kind.__name__: kind for kind in (UserError, DataError, TransientError)}
        return kinds[self.kind](self.message, file=self.file, hint=self.hint)


class HeadsAnswer(_Strict):
    """The first bytes of each file, in base64; or why there are none."""

    heads: tuple[str, ...] = ()
    error: ToldError | None = None


class RecipeAnswer(_Strict):
    """The phases of a recipe in words; or why it cannot run."""

    phases: tuple[str, ...] = ()
    error: ToldError | None = None


class Answer(_Strict):
    """What was read; or the code of a problem, with what is wrong; or the `detail` and `trace` of a fault of another
    package; or an error that goes on as it is."""

    value: Json = None
    code: str | None = None
    detail: str = ""
    hint: str | None = None
    trace: str = ""
    error: ToldError | None = None


def main(memory_bytes: int, seconds: int, output_bytes: int, mapped_bytes: int, written_bytes: int) -> None:
    """Answer one question within the limits."""
    limit_process(memory_bytes, seconds, mapped_bytes, written_bytes)
    from curator.errors import DataError, TransientError, UserError

    asked: AnsweredHere = TypeAdapter(Annotated[AnsweredHere, Field(discriminator="kind")]).validate_json(
        sys.stdin.buffer.read()
    )
    try:
        answer = Answer(value=_answer(asked))
    except UserError as error:
        answer = _fault(error, Answer(code=_code_of(error), detail=error.message, hint=error.hint))
    except TransientError as error:
        answer = Answer(error=ToldError.of(error))
    except DataError as error:
        answer = Answer(code="run.damaged", detail=error.message, hint=error.hint)
    except MemoryError:
        answer = Answer(code="preview.failed", detail=f"it takes more than {memory_bytes:,} bytes of memory")
    except (Exception, SystemExit) as error:  # noqa: BLE001 (another package may raise anything; what is ours goes on)
        answer = _fault(error)
    text = json.dumps(answer.model_dump(), default=str).encode()
    if len(text) > output_bytes:
        text = Answer(code="preview.failed", detail="there is too much of it").model_dump_json().encode()
    sys.stdout.buffer.write(text)


def _code_of(error: UserError) -> str:
    """The code of the problem that an error is: that a run has no such document, or that it cannot be read at all."""
    from curator.explain import UnknownDocumentError

    return "document.unknown" if isinstance(error, UnknownDocumentError) else "run.damaged"


def _fault(error: BaseException, otherwise: Answer | None = None) -> Answer:
    """What is told of an error that is one of another package. Of any other what is said `otherwise`; without that it
    goes on, and ends this process."""
    from serve.packages import fault_of

    fault = fault_of(error)
    if fault is not None:
        return Answer(detail=fault.detail, trace=fault.trace)
    if otherwise is None:
        raise error
    return otherwise


def _answer(asked: AnsweredHere) -> Json:
    if isinstance(asked, PreviewQuestion):
        return _preview(asked)
    if isinstance(asked, DecisionsQuestion):
        return _decisions(asked)
    if isinstance(asked, FailuresQuestion):
        return _failures(asked)
    if isinstance(asked, RecipeQuestion):
        return _recipe(asked).model_dump()
    from curator.explain import explain
    from curator.run.directory import RunDirectory
    from curator.storage.path import as_path

    return [found.as_json() for found in explain(RunDirectory(as_path(asked.run)), asked.document)]


def _preview(asked: PreviewQuestion) -> Json:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from curator.errors import DataError
    from curator.storage.path import as_path, readable

    columns = ["id", "lang", "source", "tokens", "copy", "text"]
    found: list[dict[str, object]] = []
    try:
        file = pq.ParquetFile(readable(as_path(asked.path)))
        rows = file.metadata.num_rows
        passed = 0
        for number in range(file.num_row_groups):
            here = file.metadata.row_group(number).num_rows
            if passed + here > asked.offset and len(found) < asked.limit:
                table = file.read_row_group(number, columns=columns, use_threads=False)
                begin = max(0, asked.offset - passed)
                found += table.slice(begin, asked.limit - len(found)).to_pylist()
            passed += here
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError("cannot be read", hint="`curator verify` tells what is damaged") from error
    documents = [
        {
            "id": row["id"],
            "lang": row["lang"],
            "source": row["source"],
            "tokens": row["tokens"],
            "copy_number": row["copy"],
            "text": str(row["text"])[: asked.characters],
            "is_cut": len(str(row["text"])) > asked.characters,
        }
        for row in found
    ]
    return {"rows": rows, "documents": documents}


def _failures(asked: FailuresQuestion) -> Json:
    import pyarrow as pa

    from curator.errors import DataError
    from curator.run.directory import RunDirectory
    from curator.run.failures import failures_of
    from curator.storage.path import as_path

    try:
        found = failures_of(RunDirectory(as_path(asked.run)).failed)
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError("cannot be read", hint="`curator verify` tells what is damaged") from error
    rows = [
        {
            "code": each.code,
            "file": each.file,
            "records": each.records,
            "position": each.position,
            "line": each.line,
            "meaning": each.meaning.words,
            "advice": each.meaning.advice,
        }
        for each in found[: asked.limit]
    ]
    return {"failures": rows, "records": sum(each.records for each in found)}


def _recipe(asked: RecipeQuestion) -> RecipeAnswer:
    from curator.errors import DataError, TransientError, UserError
    from curator.recipe import Recipe
    from serve.packages import fault_of
    from serve.stage_checks import check_stages

    try:
        return RecipeAnswer(phases=check_stages(Recipe.model_validate_json(asked.recipe)))
    except (UserError, DataError, TransientError) as error:
        if fault_of(error) is not None:
            raise
        return RecipeAnswer(error=ToldError.of(error))


_DECISION_COLUMNS = ["id", "key", "stage", "action", "rule", "score", "threshold", "lang", "keeper"]


def _decisions(asked: DecisionsQuestion) -> Json:
    found: list[dict[str, object]] = []
    for file, row, values in _matching_decisions(asked):
        if len(found) == asked.limit:
            return {"decisions": found, "next": f"{file}:{row}"}
        found.append(values)
    return {"decisions": found, "next": None}


def _matching_decisions(asked: DecisionsQuestion) -> Iterator[tuple[int, int, dict[str, object]]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from curator.errors import DataError
    from curator.run.directory import RunDirectory
    from curator.storage.path import as_path, matching, readable

    paths = matching(RunDirectory(as_path(asked.run)).decisions, "*.parquet")
    for file, path in enumerate(paths[asked.file :], start=asked.file):
        begin = asked.row if file == asked.file else 0
        passed = 0
        try:
            parquet = pq.ParquetFile(readable(path))
            for number in range(parquet.num_row_groups):
                here = parquet.metadata.row_group(number).num_rows
                if passed + here > begin:
                    table = parquet.read_row_group(number, columns=_DECISION_COLUMNS, use_threads=False)
                    rows = pa.array(range(passed, passed + here), pa.int64())
                    table = table.append_column("row", rows).filter(pc.field("row") >= begin)
                    for name, value in asked.equal.items():
                        table = table.filter(pc.field(name) == value)
                    for values in table.to_pylist():
                        row = values.pop("row")
                        yield file, row, {**values, "key": values["key"].hex()}
                passed += here
        except pa.ArrowMemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise DataError("cannot be read", hint="`curator verify` tells what is damaged") from error


if __name__ == "__main__":
    main(*map(int, sys.argv[1:6]))
