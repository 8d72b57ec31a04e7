"""The choice of the next run."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serve.runner.choose import choose_next
from serve.store.queries import Waiting

OWNERS = st.sampled_from("abc")
QUEUES = st.lists(st.tuples(OWNERS, st.integers(-1, 1)), max_size=12).map(
    lambda found: [Waiting(number, 1, owner, priority) for number, (owner, priority) in enumerate(found)]
)


@given(QUEUES, st.dictionaries(OWNERS, st.integers(0, 3)))
def test_it_is_of_the_highest_priority_then_of_who_has_fewest_then_the_oldest(
    queue: list[Waiting], working: dict[str, int]
) -> None:
    chosen = choose_next(queue, working)
    if chosen is None:
        assert queue == []
        return
    for other in queue:
        better = (other.priority, -working.get(other.owner, 0), -other.run)
        assert better <= (chosen.priority, -working.get(chosen.owner, 0), -chosen.run)


@given(QUEUES, st.integers(1, 4))
def test_owners_share_the_room_whoever_asked_first(queue: list[Waiting], room: int) -> None:
    queue = [Waiting(one.run, 1, one.owner, 0) for one in queue]
    working: Counter[str] = Counter()
    left = list(queue)
    while left and sum(working.values()) < room:
        chosen = choose_next(left, working)
        assert chosen is not None
        left.remove(chosen)
        working[chosen.owner] += 1
    waiting = {one.owner for one in left}
    assert all(working[owner] + 1 >= working[other] for owner in waiting for other in working)
