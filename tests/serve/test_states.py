"""The rules of states, over the full product of states and rules."""

import pytest

from curator.errors import Bug
from serve.states import RULES, TERMINAL, State, Transition, check_transition

ALLOWED = {
    ("Launch", "queued", "starting"),
    ("CancelQueued", "queued", "cancelled"),
    ("Begin", "starting", "running"),
    ("AskToCancel", "starting", "cancelling"),
    ("AskToCancel", "running", "cancelling"),
    ("Succeed", "starting", "succeeded"),
    ("Succeed", "running", "succeeded"),
    ("Succeed", "cancelling", "succeeded"),
    ("Fail", "starting", "failed"),
    ("Fail", "running", "failed"),
    ("Fail", "cancelling", "failed"),
    ("Lose", "starting", "lost"),
    ("Lose", "running", "lost"),
    ("Cancel", "cancelling", "cancelled"),
}
"""Every transition that there is."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", State)
def test_a_rule_starts_from_its_states_and_from_no_other(state: State, rule: type[Transition]) -> None:
    is_allowed = (rule.__name__, state.value, rule.TO.value) in ALLOWED
    assert rule().allows(state) is is_allowed
    if is_allowed:
        check_transition(state, rule())
    else:
        with pytest.raises(Bug):
            check_transition(state, rule())


def test_nothing_leaves_a_terminal_state() -> None:
    assert not [rule for rule in RULES for state in rule.FROM if state in TERMINAL]


def test_every_state_is_reached_from_the_queue() -> None:
    reached = {State.QUEUED}
    for _ in State:
        reached |= {rule.TO for rule in RULES if rule.FROM & reached}
    assert reached == set(State)


def test_every_rule_says_why() -> None:
    assert all(rule.WHY and rule.__doc__ and rule.__doc__ != Transition.__doc__ for rule in RULES)
    assert Transition.__subclasses__() == list(RULES)
