"""A state machine: users, the runner and restarts in any order, against the real routes and a real store."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from serve.models import RunDetails
from serve.states import Begin, Cancel, Fail, Launch, Lose, State, Succeed, Transition
from serve.store.runs import Ended
from tests.serve.servers import LOOSE, Running, make_settings, running, small_request

WORDS: tuple[Transition, ...] = (Launch(), Begin(), Succeed(), Fail(), Cancel(), Lose())
"""What the runner may want to say, at the right time or too late."""


class Service(RuleBasedStateMachine):
    """Submits, cancels and resumes by REST; speaks for the runner as it would; starts the server anew."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="curator-machine-"))
        self.stack = ExitStack()
        self.made: dict[str, str] = {}
        self.told: dict[str, list[int]] = {}
        self.ends: dict[tuple[str, int], State] = {}

    @initialize()
    def start(self) -> None:
        """A server, of the state folder that there is."""
        self.server: Running = self.stack.enter_context(running(make_settings(self.folder, limits=LOOSE), work=False))

    @rule()
    def restart(self) -> None:
        """The server ends, and another begins."""
        self.stack.close()
        self.start()

    @rule(target=runs, key=st.sampled_from("abcd"))
    def submit(self, key: str) -> str:
        """The same key makes the same run."""
        with self.server.http(self._token()) as client:
            body = small_request(self.folder, f"out-{key}")
            answer = client.post("/v1/runs", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        run = str(answer.json()["id"])
        assert self.made.setdefault(key, run) == run
        return run

    @rule(run=runs)
    def cancel(self, run: str) -> None:
        """Refused exactly where the run has ended."""
        before = self._run(run)
        with self.server.http() as client:
            answer = client.post(f"/v1/runs/{run}/cancel")
        assert (answer.status_code == 409) is before.state.is_terminal

    @rule(run=runs)
    def resume(self, run: str) -> None:
        """Taken exactly where the run has ended without success."""
        before = self._run(run)
        with self.server.http() as client:
            answer = client.post(f"/v1/runs/{run}/resume")
        may = before.state.is_terminal and before.state != State.SUCCEEDED
        assert (answer.status_code == 202) is may
        assert self._run(run).attempt == before.attempt + may

    @rule(run=runs, word=st.sampled_from(WORDS), late=st.booleans())
    def say(self, run: str, word: Transition, late: bool) -> None:
        """The runner says something about the last attempt, or about the one before: that changes nothing."""
        before = self._run(run)
        attempt = before.attempt - late
        if attempt < 1 or not (late or before.state.is_terminal or word.allows(before.state)):
            return
        with self.server.server.service.runs.write() as writer:
            row = writer.run(run)
            assert row is not None
            taken = writer.take(row, attempt, word, ended=Ended(0) if isinstance(word, Succeed) else None)
        assert taken is (not late and not before.state.is_terminal)

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def read_on(self, data: st.DataObject) -> None:
        """A client reads some events, from where it was."""
        run = data.draw(st.sampled_from(sorted(self.made.values())))
        seen = self.told.setdefault(run, [])
        with self.server.http() as client:
            query = {"after": seen[-1] if seen else 0, "limit": data.draw(st.integers(1, 4))}
            seen += [event["id"] for event in client.get(f"/v1/runs/{run}/events", params=query).json()["events"]]

    @invariant()
    def history_is_whole_and_ends_are_final(self) -> None:
        """Versions without a gap; each attempt ends once, and stays ended as it did."""
        for run in self.made.values():
            found = self._run(run)
            assert [change.version for change in found.history] == list(range(1, found.version + 1))
            assert [attempt.number for attempt in found.attempts] == list(range(1, found.attempt + 1))
            assert found.attempts[-1].state == found.state
            for attempt in found.attempts:
                ends = [c for c in found.history if c.attempt == attempt.number and c.after.is_terminal]
                assert len(ends) == attempt.state.is_terminal
                if attempt.state.is_terminal:
                    assert self.ends.setdefault((run, attempt.number), attempt.state) == attempt.state

    @invariant()
    def runs_are_counted_once(self) -> None:
        """As many runs as were made, each in one state."""
        if hasattr(self, "server"):
            counts = self.server.server.service.runs.counts()
            assert sum(counts.values()) == len(self.made)

    def teardown(self) -> None:
        """What clients read by and by is what there is; the audit log is whole."""
        for run, seen in self.told.items():
            with self.server.http() as client:
                events = client.get(f"/v1/runs/{run}/events", params={"limit": 1000}).json()["events"]
            ids = [event["id"] for event in events]
            assert ids == sorted(set(ids))
            assert seen == ids[: len(seen)]
        if hasattr(self, "server"):
            service = self.server.server.service
            with service.runs.database.read() as session:
                service.runs.auditor.verify(session)
        self.stack.close()
        shutil.rmtree(self.folder)

    def _run(self, run: str) -> RunDetails:
        found = self.server.server.service.runs.details(run)
        assert found is not None
        return found

    def _token(self) -> str:
        """One owner over restarts, to whom keys belong."""
        return self.server.token


TestService = pytest.mark.slow(Service.TestCase)
TestService.settings = settings(max_examples=6, stateful_step_count=20)


class LongService(Service):
    """The same, for longer."""


# Beside other work on the machine it may take longer than the ten minutes that other tests may.
TestLongService = pytest.mark.timeout(1800)(pytest.mark.long(LongService.TestCase))
TestLongService.settings = settings(max_examples=60, stateful_step_count=60)
