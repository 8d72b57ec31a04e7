"""A client of the service, typed: what `curator runs --server` uses, and programs may.

    ServiceRefusalError (UserError)    the service will not do it: the code of the problem is in `code`
    TransientError                it does not answer, or says that it cannot for now

A submission carries an Idempotency-Key, so it is sent again when no answer came, and makes one run all the same. A
stream of events that breaks off goes on after the last event that was read.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from curator.errors import Bug, DataError, TransientError, UserError
from serve.models import (
    DecisionPage,
    Explanations,
    FailureList,
    Funnel,
    Log,
    Me,
    Problem,
    RecipeChoice,
    RecipeList,
    Run,
    RunDetails,
    RunPage,
    RunRequest,
    ShardList,
    ShardPreview,
    StoredEvent,
    ValidRecipe,
)
from serve.states import State
from serve.training_models import Curve, Training, TrainingDetails, TrainingPage, TrainingRequest

TIMEOUT_S = 60.0
TRIES = 5
"""How often a request is sent where no answer comes, or one that says to try again."""
TRY_AGAIN = (429, 502, 503, 504)
"""Answers after which the same may be asked again; 502 and 504 are those of a proxy whose service is away."""
LONGEST_WAIT_S = 30.0

PAGE = 200
"""The most that a page of a list may hold."""
LOG_BYTES = 65_536

_VISIBLE = re.compile("[!-~]+")

Told = TypeVar("Told", bound=BaseModel)
Page = TypeVar("Page", RunPage, TrainingPage)
Query = Mapping[str, str | int | float | Sequence[str]]


class ServiceRefusalError(UserError):
    """What the service will not do. `code` is that of the problem."""

    code: str = ""

    @classmethod
    def of(cls, problem: Problem) -> ServiceRefusalError:
        """The refusal that a problem tells."""
        refusal = cls(f"{problem.title.lower()}: {problem.detail}", hint=problem.hint)
        refusal.code = problem.code
        return refusal


class Client:
    """Talks to one service, with one token."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S, tries: int = TRIES) -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{url!r} is not the URL of a service", hint="http://HOST:PORT or https://HOST")
        if not _VISIBLE.fullmatch(token):
            raise UserError("the token holds what no token does", hint="`curator tokens create` prints one on one line")
        self._url = url.rstrip("/")
        self._tries = tries
        try:
            self._http = httpx2.Client(
                base_url=self._url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=timeout_s,
                follow_redirects=False,
            )
        except httpx2.InvalidURL as error:
            raise UserError(f"{url!r} is not a URL: {error}", hint="http://HOST:PORT or https://HOST") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def me(self) -> Me:
        """Whose token it is."""
        return self._get(Me, "/v1/me")

    def submit(self, request: RunRequest, key: str | None = None) -> Run:
        """Make a run; the one that this key made before, if it did."""
        headers = {"Idempotency-Key": _checked(key) or secrets.token_hex(16)}
        return self._post(Run, "/v1/runs", request.model_dump(mode="json", exclude_unset=True), headers)

    def runs(
        self, states: Sequence[State] = (), labels: Mapping[str, str] | None = None, most: int | None = None
    ) -> Iterator[Run]:
        """Runs, the newest first."""
        for page in self._pages(RunPage, "/v1/runs", states, labels, most):
            yield from page.runs

    def trainings(
        self, states: Sequence[State] = (), labels: Mapping[str, str] | None = None, most: int | None = None
    ) -> Iterator[Training]:
        """Trainings, the newest first."""
        for page in self._pages(TrainingPage, "/v1/trainings", states, labels, most):
            yield from page.trainings

    def run(self, run: str) -> RunDetails:
        """A run with its attempts and history."""
        return self._get(RunDetails, _path(run))

    def cancel(self, run: str) -> Run:
        """End a run."""
        return self._post(Run, _path(run, "cancel"))

    def resume(self, run: str, max_error_rate: float | None = None) -> Run:
        """Go on with a run that has ended without success, where given with another `max_error_rate`."""
        body = None if max_error_rate is None else {"max_error_rate": max_error_rate}
        return self._post(Run, _path(run, "resume"), body)

    def train(self, request: TrainingRequest, key: str | None = None) -> Training:
        """Make a training; the one that this key made before, if it did."""
        headers = {"Idempotency-Key": _checked(key) or secrets.token_hex(16)}
        return self._post(Training, "/v1/trainings", request.model_dump(mode="json", exclude_unset=True), headers)

    def training(self, training: str) -> TrainingDetails:
        """A training with its attempts and history."""
        return self._get(TrainingDetails, _training(training))

    def cancel_training(self, training: str) -> Training:
        """End a training, with a checkpoint."""
        return self._post(Training, _training(training, "cancel"))

    def resume_training(self, training: str) -> Training:
        """Go on with a training from its last checkpoint."""
        return self._post(Training, _training(training, "resume"))

    def training_events(self, training: str, after: int = 0) -> Iterator[StoredEvent]:
        """The events of a training as they come, until it has ended."""
        return self._follow(_training(training, "events"), after)

    def training_log(self, training: str, *, attempt: int | None = None, begin: int | None = None) -> Log:
        """A range of what an attempt of a training wrote, its end if no beginning is given."""
        return self._log(_training(training, "logs"), attempt, begin, LOG_BYTES)

    def curve(self, training: str, points: int = 400) -> Curve:
        """The losses of a training by step."""
        return self._get(Curve, _training(training, "curve"), {"points": points})

    def events(self, run: str, after: int = 0) -> Iterator[StoredEvent]:
        """The events of a run as they come, until it has ended."""
        return self._follow(_path(run, "events"), after)

    def _follow(self, path: str, after: int) -> Iterator[StoredEvent]:
        silent = 0
        while True:
            try:
                for event in self._stream(path, after):
                    if event is None:
                        return
                    after, silent = event.id, 0
                    yield event
            except (httpx2.TransportError, TransientError) as error:
                silent += 1
                if silent == self._tries:
                    raise self._silent(error) from error
                time.sleep(_wait(silent))

    def wait(self, run: str) -> RunDetails:
        """Wait until a run has ended."""
        for _ in self.events(run):
            pass
        return self.run(run)

    def log(self, run: str, *, attempt: int | None = None, begin: int | None = None, limit: int = LOG_BYTES) -> Log:
        """A range of what an attempt wrote, its end if no beginning is given."""
        return self._log(_path(run, "logs"), attempt, begin, limit)

    def _log(self, path: str, attempt: int | None, begin: int | None, limit: int) -> Log:
        query: dict[str, str | int | float | Sequence[str]] = {"limit": limit}
        if attempt is not None:
            query["attempt"] = attempt
        if begin is not None:
            query["begin"] = begin
        return self._get(Log, path, query)

    def funnel(self, run: str) -> Funnel:
        """What came in, what each rule took, what is left."""
        return self._get(Funnel, _path(run, "funnel"))

    def decisions(self, run: str, cursor: str | None = None, **equal: str) -> DecisionPage:
        """A page of decisions, those whose columns have these values."""
        query: dict[str, str | int | float | Sequence[str]] = {**equal}
        if cursor is not None:
            query["cursor"] = cursor
        return self._get(DecisionPage, _path(run, "decisions"), query)

    def failures(self, run: str) -> FailureList:
        """What could not be read, by reason and file."""
        return self._get(FailureList, _path(run, "failures"))

    def explain(self, run: str, document: str) -> Explanations:
        """What happened to a document, and why."""
        return self._get(Explanations, _path(run, f"documents/{quote(document, safe='')}/explain"))

    def shards(self, run: str) -> ShardList:
        """The shards of a run."""
        return self._get(ShardList, _path(run, "shards"))

    def preview(self, run: str, shard: str, offset: int = 0, limit: int = 20) -> ShardPreview:
        """Some documents of a shard."""
        path = _path(run, f"shards/{quote(shard, safe='')}/preview")
        return self._get(ShardPreview, path, {"offset": offset, "limit": limit})

    def report(self, run: str) -> bytes:
        """The report, as HTML."""
        return self._send("GET", _path(run, "report")).content

    def recipes(self) -> RecipeList:
        """The packaged recipes."""
        return self._get(RecipeList, "/v1/recipes")

    def validate(self, choice: RecipeChoice) -> ValidRecipe:
        """Whether a recipe can run on the service."""
        return self._post(ValidRecipe, "/v1/recipes/validate", choice.model_dump(mode="json", exclude_unset=True))

    def _pages(
        self,
        model: type[Page],
        path: str,
        states: Sequence[State],
        labels: Mapping[str, str] | None,
        most: int | None,
    ) -> Iterator[Page]:
        """Pages with at most so many of what they list; the last may hold more than are left."""
        query: dict[str, str | int | float | Sequence[str]] = {}
        if states:
            query["state"] = [*states]
        if labels:
            query["label"] = [f"{name}={value}" for name, value in labels.items()]
        left = most
        while left is None or left > 0:
            query["limit"] = PAGE if left is None else min(left, PAGE)
            page = self._get(model, path, query)
            yield page
            if page.next is None:
                return
            query["cursor"] = page.next
            left = None if left is None else left - PAGE

    def _get(self, model: type[Told], path: str, query: Query | None = None) -> Told:
        return self._parse(model, self._send("GET", path, query=query))

    def _post(
        self,
        model: type[Told],
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        return self._parse(model, self._send("POST", path, body=body, headers=headers))

    def _parse(self, model: type[Told], response: httpx2.Response) -> Told:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise UserError(
                f"{self._url} does not answer as this version of Curator does", hint="is it a service of Curator?"
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send a request, again where that may help: every one of them changes nothing when it is sent twice."""
        for tries in range(1, self._tries + 1):
            wait = _wait(tries)
            try:
                response = self._http.request(method, path, params=query, json=body, headers=headers)
            except httpx2.TransportError as error:
                if tries == self._tries:
                    raise self._silent(error) from error
            else:
                if response.status_code not in TRY_AGAIN or tries == self._tries:
                    self._check(response)
                    return response
                told = response.headers.get("Retry-After", "")
                wait = min(float(told), LONGEST_WAIT_S) if told.isdecimal() else wait  # a proxy may give a date
            time.sleep(wait)
        raise Bug("the last try returns or raises")

    def _stream(self, path: str, after: int) -> Iterator[StoredEvent | None]:
        """The events of one connection; None when what it tells of has ended."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._http.stream("GET", path, headers=headers) as response:
            if response.status_code != 200:
                response.read()
                self._check(response)
            kind, data = "", ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line and kind == "end":
                    yield None
                elif not line and data:
                    yield StoredEvent.model_validate_json(data)
                    kind, data = "", ""
        raise TransientError("the stream broke off")

    def _check(self, response: httpx2.Response) -> None:
        if response.is_success:
            return
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError as error:
            said = f"{self._url} answers {response.status_code}"
            if response.status_code in TRY_AGAIN:
                raise TransientError(said, hint="a proxy says that the service does not answer: is it up?") from error
            raise UserError(said, hint="is it a service of Curator?") from error
        if problem.code == "run.damaged":
            raise DataError(f"{problem.title.lower()}: {problem.detail}", hint=problem.hint)
        if problem.status >= 500 or problem.status == 429:
            raise TransientError(f"{problem.title.lower()}: {problem.detail}", hint=problem.hint or "try again later")
        raise ServiceRefusalError.of(problem)

    def _silent(self, error: Exception) -> TransientError:
        return TransientError(f"{self._url} does not answer: {error}", hint="is the service up?")


def _checked(key: str | None) -> str | None:
    if key and not _VISIBLE.fullmatch(key):
        raise UserError(f"{key!r} is no Idempotency-Key", hint="visible ASCII characters, without blanks")
    return key


def _wait(tries: int) -> float:
    return min(0.25 * 2.0**tries, LONGEST_WAIT_S)


def _training(training: str, rest: str = "") -> str:
    path = f"/v1/trainings/{quote(training, safe='')}"
    return f"{path}/{rest}" if rest else path


def _path(run: str, rest: str = "") -> str:
    path = f"/v1/runs/{quote(run, safe='')}"
    return f"{path}/{rest}" if rest else path
