"""What streams share: channels that know how far they go back, and one look at the store for all."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.feed import MOST_EVENTS, Channel, ended_with
from serve.models import StoredEvent
from serve.states import Begin, Launch, State, Succeed
from tests.serve.servers import Running
from tests.serve.test_stream import finish, make_run, put_events, read_stream


def event(number: int, **fields: object) -> StoredEvent:
    kind = "state.changed" if fields else "note"
    return StoredEvent(id=number, origin="service", attempt=1, seq=number, time=0.0, kind=kind, fields=fields)


def ids(data: bytes) -> list[int]:
    return [int(line[4:]) for line in data.decode().splitlines() if line.startswith("id: ")]


@given(floor=st.integers(0, 50), gaps=st.lists(st.integers(1, 9), max_size=40), after=st.integers(0, 500))
def test_a_channel_has_what_is_beyond_an_id_or_says_that_it_does_not_go_back_so_far(
    floor: int, gaps: list[int], after: int
) -> None:
    channel = Channel(floor)
    numbers = [floor + sum(gaps[: place + 1]) for place in range(len(gaps))]
    for number in numbers:
        channel.add(event(number))
    part = channel.beyond(after)
    if after < floor:
        assert part is None
    else:
        assert part is not None
        assert ids(part.data) == [number for number in numbers if number > after]
        assert part.until == max([after, *numbers])


def test_a_channel_forgets_the_oldest_and_knows_it() -> None:
    channel = Channel(0)
    for number in range(1, MOST_EVENTS + 11):
        channel.add(event(number))
    assert channel.beyond(9) is None
    part = channel.beyond(10)
    assert part is not None
    assert ids(part.data) == list(range(11, MOST_EVENTS + 11))


def test_a_new_channel_sends_nobody_anything() -> None:
    assert Channel().beyond(0) is None


def test_a_run_has_ended_when_the_last_change_of_its_state_says_so() -> None:
    end, again = event(1, after="lost", final=True), event(3, after="queued", final=False)
    assert ended_with([end, event(2)]) == State.LOST
    assert ended_with([end, again]) is None
    assert ended_with([event(2)]) is None


@pytest.mark.slow
def test_streams_that_come_while_runs_write_have_every_event_once_and_in_order(resting: Running) -> None:
    runs = [make_run(resting, f"feed{number}") for number in range(3)]
    begun = threading.Event()

    def write() -> None:
        for piece in range(1, 41):
            for run in runs:
                put_events(resting, run, piece, [piece])
            begun.set()
        for run in runs:
            finish(resting, run, Launch(), Begin(), Succeed())

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        writing = pool.submit(write)
        begun.wait()
        streams = [(run, pool.submit(read_stream, resting, run.id)) for run in runs for _ in range(6)]
        found = {
            run.id: {tuple(stream.result(timeout=240)) for other, stream in streams if other is run} for run in runs
        }
        writing.result()
    for run in runs:
        assert found[run.id] == {tuple(read_stream(resting, run.id))}
        (whole,) = found[run.id]
        assert [kind for _, kind in whole].count("note") == 40
