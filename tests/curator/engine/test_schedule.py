"""What the local engine begins, and when, without a process."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.engine.executor import Task
from curator.engine.job import Job
from curator.engine.schedule import MAX_ATTEMPTS, Attempt, Schedule
from curator.errors import TransientError
from curator.run.journal import CAREFUL_ATTEMPTS
from curator.run.store import Outputs


@dataclass(frozen=True)
class Number:
    value: int

    @property
    def name(self) -> str:
        return f"{self.value:04d}"


def plain(item: Number, outputs: Outputs) -> Mapping[str, object]:
    return {}


@dataclass(frozen=True)
class Careful:
    """A task that can be done carefully."""

    journal: bool = False

    def carefully(self) -> Task[Number] | None:
        return None if self.journal else Careful(journal=True)

    def __call__(self, item: Number, outputs: Outputs) -> Mapping[str, object]:
        return {}


def jobs(count: int, task: Task[Number] = plain) -> Iterator[tuple[int, Job[Number]]]:
    return ((index, Job("folder", task, Number(index))) for index in range(count))


def begin_all(schedule: Schedule[Number]) -> list[Attempt[Number]]:
    return list(iter(schedule.begin, None))


def begin_one(schedule: Schedule[Number]) -> Attempt[Number]:
    attempt = schedule.begin()
    assert attempt is not None
    return attempt


def test_one_job_waits_behind_each_that_runs_and_no_more_are_drawn() -> None:
    drawn = itertools.count()
    schedule = Schedule(((index, job) for index, job in jobs(100) if next(drawn) >= 0), 3)
    begun = begin_all(schedule)
    assert [attempt.index for attempt in begun] == [0, 1, 2, 3, 4, 5]
    assert next(drawn) == 6
    schedule.end(begun[4])
    assert [attempt.index for attempt in begin_all(schedule)] == [6]


def test_an_attempt_that_could_not_begin_is_the_next_one() -> None:
    schedule = Schedule(jobs(9), 2)
    begun = begin_all(schedule)
    schedule.put_back(begun[3])
    assert schedule.waits
    schedule.end(begun[0])
    assert [attempt.index for attempt in begin_all(schedule)] == [3, 4]


def test_those_whose_workers_were_ended_for_anothers_sake_are_begun_again_before_others_and_count_no_death() -> None:
    schedule = Schedule(jobs(9), 2)
    begun = begin_all(schedule)
    schedule.die(begun[2])
    schedule.interrupt()
    again = begin_all(schedule)
    assert [(attempt.index, attempt.number) for attempt in again] == [(2, 2), (0, 1), (1, 1), (3, 1)]


def test_a_task_that_cannot_be_done_carefully_ends_the_run_with_its_last_attempt() -> None:
    schedule = Schedule(jobs(1), 1)
    for _ in range(MAX_ATTEMPTS - 1):
        schedule.die(begin_one(schedule))
    with pytest.raises(TransientError, match=f"died {MAX_ATTEMPTS} times on 0000"):
        schedule.die(begin_one(schedule))


def test_careful_attempts_come_last_one_after_the_other_and_have_their_own_number() -> None:
    schedule = Schedule(jobs(5, Careful()), 1)
    for index in (0, 1):
        for number in range(MAX_ATTEMPTS):
            attempt = begin_one(schedule)
            assert (attempt.index, attempt.number, attempt.is_careful) == (index, number + 1, False)
            schedule.die(attempt)
    ordinary = begin_all(schedule)
    assert [attempt.index for attempt in ordinary] == [2, 3]
    schedule.end(ordinary[0])
    ordinary = [ordinary[1], *begin_all(schedule)]
    assert [attempt.index for attempt in ordinary] == [3, 4]
    schedule.end(ordinary[0])
    assert begin_all(schedule) == []  # the careful ones wait until the last of the others has ended
    schedule.end(ordinary[1])
    (careful,) = begin_all(schedule)  # one, though there is room for two
    assert (careful.index, careful.number, careful.is_careful) == (0, 1, True)
    assert careful.job.task == Careful(journal=True)
    schedule.put_back(careful)
    assert begin_all(schedule) == [careful]
    for _ in range(CAREFUL_ATTEMPTS - 1):
        schedule.die(careful)
        careful = begin_one(schedule)
        if careful.index == 1:  # the next one is taken in turn
            schedule.end(careful)
            careful = begin_one(schedule)
    with pytest.raises(TransientError, match=f"died {CAREFUL_ATTEMPTS} times on 0000"):
        schedule.die(careful)


@pytest.mark.slow
@given(
    st.integers(0, 12),
    st.integers(1, 4),
    st.dictionaries(st.integers(0, 11), st.integers(1, MAX_ATTEMPTS + CAREFUL_ATTEMPTS - 1)),
    st.randoms(use_true_random=False),
)
def test_whatever_dies_and_in_whatever_order_every_job_ends_once_and_only_deaths_count(
    count: int, workers: int, deaths: dict[int, int], chosen: random.Random
) -> None:
    """`deaths`: how often each job loses its worker before it ends."""
    schedule = Schedule(jobs(count, Careful()), workers)
    running: list[Attempt[Number]] = []
    died: Counter[int] = Counter()
    ended: list[int] = []
    while True:
        while (attempt := schedule.begin()) is not None:
            if chosen.random() < 0.1:
                schedule.put_back(attempt)
                break
            running.append(attempt)
            assert len(running) <= 2 * workers
            assert attempt.number + MAX_ATTEMPTS * attempt.is_careful == died[attempt.index] + 1
            assert len(running) == 1 or not any(other.is_careful for other in running)
        if not running:
            if schedule.waits:
                continue
            break
        attempt = running.pop(chosen.randrange(len(running)))
        if died[attempt.index] < deaths.get(attempt.index, 0):
            died[attempt.index] += 1
            schedule.die(attempt)
            running.clear()
            schedule.interrupt()
        else:
            schedule.end(attempt)
            ended.append(attempt.index)
    assert sorted(ended) == list(range(count))
