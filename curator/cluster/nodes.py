"""What each node is asked before a run begins: has it the packages and models, does it see input and output.

Runs within a job, in tasks pinned to the nodes. A task asks for no CPU, so that a busy node answers too. The driver
answers for its own node itself: what it imports and sees, tasks beside it do, and a process takes seconds to start.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from curator.cluster.dashboard import last_line
from curator.cluster.distributions import installed_version
from curator.errors import CuratorError, UserError
from curator.run.fingerprint import python_version
from curator.run.store import make_folder, put
from curator.storage.path import AnyPath, as_path, matching

if TYPE_CHECKING:
    from curator.cluster.specification import Specification

ANSWER_SECONDS = 60.0
"""How long a node may take to lay out what was shipped and to answer."""

MOST_FILES = 1000
"""Of more input files, so many, evenly spread, are looked for on each node."""

MOST_CHARACTERS = 300
"""How much of a message of Ray an error repeats."""

LISTED = 3
"""How many problems an error names; the rest is counted."""


_SHARE = "put it on storage that all nodes mount at the same path"
_VERSIONS = "use an image with the same versions as here, or --install"
_MODELS = "what a recipe names must be the same on every node, at the same absolute path"
_LOOK = "`ray status` on the head, and the log of the node, tell more"


@dataclass(frozen=True)
class Question:
    """What a node is asked: versions and models to compare, the files of the input with their sizes, and the folder of
    the output in which the file `token` lies."""

    expected: Mapping[str, str]
    models: Mapping[str, str]
    recipe: str
    files: tuple[tuple[str, int], ...]
    output: str
    token: str


@dataclass(frozen=True)
class Problem:
    """What is wrong on a node, and what to do about it."""

    text: str
    hint: str


@dataclass(frozen=True)
class Answer:
    """What a node said; `written` is the name of a file that it wrote into the output, where nothing is wrong."""

    problems: tuple[Problem, ...]
    written: str | None = None


class NodeCheck:
    """Asks every node that can run a task, from its entering on; on leaving, the output is as it was before."""

    def __init__(self, specification: Specification, files: Sequence[tuple[str, int]]) -> None:
        self._output = as_path(specification.output)
        self._question = Question(
            expected=specification.expected,
            models=specification.models,
            recipe=specification.recipe.model_dump_json(),
            files=tuple(_some(files)),
            output=specification.output,
            token=f".shared-{secrets.token_hex(8)}",
        )
        self._missing: list[Path] = []
        self._asked: dict[Any, str] = {}
        self._own: tuple[str, str] | None = None

    def __enter__(self) -> NodeCheck:
        if isinstance(self._output, Path):
            self._missing = [path for path in (self._output, *self._output.parents) if not path.exists()]
        make_folder(self._output)
        put(self._output / self._question.token, self._question.token.encode(), durable=False)
        self._asked, self._own = _ask_all(self._question)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path in matching(self._output, f"{self._question.token}*"):
            path.unlink(missing_ok=True)
        for path in self._missing:
            if not any(path.iterdir()):
                path.rmdir()

    def finish(self) -> None:
        """Wait for the answers. UserError that names what is wrong, and where."""
        problems: list[Problem] = []
        if self._own is not None:
            node, called = self._own
            problems.extend(_named(called, ask(self._question, node), self._output))
        problems.extend(_problems(self._asked, self._output))
        if problems:
            more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
            raise UserError("; ".join(found.text for found in problems[:LISTED]) + more, hint=problems[0].hint)


def ask(question: Question, node: str) -> Answer:
    """Answer on a node, whose id is `node`."""
    problems = list(_wrong_versions(question.expected)) or list(_wrong_models(question.recipe, question.models))
    problems.extend(_wrong_input(question.files))
    output = as_path(question.output)
    problems.extend(_wrong_output(output, question.token))
    if problems:
        return Answer(tuple(problems))
    written = f"{question.token}-{node}"
    try:
        put(output / written, node.encode(), durable=False)
    except CuratorError as error:
        return Answer((Problem(str(error), _SHARE),))
    return Answer((), written)


def _ask_all(question: Question) -> tuple[dict[Any, str], tuple[str, str] | None]:
    """Start a task on each other node; its reference, and what the node is called. Id and name of the own node, where
    tasks can run on it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it without types
    here = ray.get_runtime_context().get_node_id()
    asked: dict[Any, str] = {}
    own: tuple[str, str] | None = None
    for node in nodes:
        called = f"node {node['NodeManagerAddress']} ({node['NodeID'][:8]})"
        if not node["Alive"] or not node["Resources"].get("CPU", 0):
            continue
        if node["NodeID"] == here:
            own = here, called
        else:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = ray.remote(ask).options(num_cpus=0, max_retries=1, scheduling_strategy=place, name="curator")
            ref = remote.remote(question, node["NodeID"])
            asked[ref] = called
    return asked, own


def _problems(asked: dict[Any, str], output: AnyPath) -> Iterator[Problem]:
    """What is wrong on the nodes, each with the node's name before it."""
    import ray

    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    for ref in sorted(ready, key=lambda found: asked[found]):
        yield from _named(asked[ref], _answer_of(ref), output)
    for ref in late:
        ray.cancel(ref, force=True)
        yield Problem(f"{asked[ref]}: no answer within {ANSWER_SECONDS:.0f} s", _LOOK)


def _named(called: str, answer: Answer, output: AnyPath) -> Iterator[Problem]:
    """The problems of a node, with its name; one more where the driver does not see what it wrote."""
    for problem in answer.problems:
        yield Problem(f"{called}: {problem.text}", problem.hint)
    if answer.written is not None and not (output / answer.written).exists():
        yield Problem(f"{called}: the driver does not see what it writes into {output}", _SHARE)


def _answer_of(ref: Any) -> Answer:
    import ray
    from ray.exceptions import RayError

    try:
        answer: Answer = ray.get(ref)
    except RayError as error:
        said = last_line(str(error))[:MOST_CHARACTERS]
        return Answer((Problem(f"the check did not run: {type(error).__name__}: {said}", _LOOK),))
    return answer


def _wrong_versions(expected: Mapping[str, str]) -> Iterator[Problem]:
    for name, wanted in expected.items():
        found = python_version() if name == "python" else installed_version(name)
        if found is None:
            yield Problem(f"{name} {wanted} is not installed", _VERSIONS)
        elif found != wanted:
            yield Problem(f"{name} is {found}, and {wanted} where this was submitted", _VERSIONS)


def _wrong_models(recipe: str, models: Mapping[str, str]) -> Iterator[Problem]:
    from curator.run.pipeline import pipeline_of

    try:
        found = list(pipeline_of(recipe).requirements())
    except UserError as error:
        yield Problem(str(error), _MODELS)
        return
    for user, requirement in found:
        name = f"{user}: {requirement.kind} {requirement.name}"
        if requirement.problem:
            yield Problem(f"{name}: {requirement.problem}", _MODELS)
        elif models.get(name) != requirement.identity:
            yield Problem(f"{name} is another one than where this was submitted", _MODELS)


def _wrong_input(files: Sequence[tuple[str, int]]) -> Iterator[Problem]:
    for path, size in files:
        try:
            found = as_path(path).stat().st_size
        except OSError as error:
            yield Problem(f"does not see the input {path}: {error.strerror}", _SHARE)
            return
        if found != size:
            yield Problem(f"sees the input {path} with {found:,} bytes, the driver with {size:,}", _SHARE)
            return


def _wrong_output(output: AnyPath, token: str) -> Iterator[Problem]:
    try:
        seen = (output / token).read_bytes() == token.encode()
    except OSError:
        seen = False
    if not seen:
        yield Problem(f"does not share the output {output} with the driver", _SHARE)


def _some(files: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    if len(files) <= MOST_FILES:
        return files
    return [files[index * (len(files) - 1) // (MOST_FILES - 1)] for index in range(MOST_FILES)]
