"""Alarms go off for what is wrong, and for nothing else."""

from __future__ import annotations

import json
import random

from curator.training import AlarmSection
from model.alarms import Alarms, alarm_state

SECTION = AlarmSection(divergence=1.5, divergence_steps=5, dead_expert_steps=4)
EVEN = [[5, 5], [5, 5]]


def test_a_loss_that_falls_with_noise_is_no_alarm() -> None:
    alarms, chosen = Alarms(SECTION), random.Random(0)
    assert all(alarms.observe(8 / (1 + step / 50) + chosen.gauss(0, 0.3), EVEN) is None for step in range(300))


def test_one_spike_is_no_alarm() -> None:
    alarms = Alarms(SECTION)
    assert all(alarms.observe(50.0 if step == 60 else 4.0, EVEN) is None for step in range(100))


def test_a_loss_that_stays_high_is() -> None:
    alarms = Alarms(SECTION)
    for _ in range(50):
        assert alarms.observe(4.0, EVEN) is None
    told = [alarms.observe(7.0, EVEN) for _ in range(5)]
    assert told[:4] == [None] * 4
    assert told[4] is not None
    assert "diverged" in told[4]


def test_an_expert_that_gets_nothing_is_named() -> None:
    alarms = Alarms(SECTION)
    told = [alarms.observe(4.0, [[5, 5], [10, 0]]) for _ in range(4)]
    assert told[:3] == [None] * 3
    assert told[3] is not None
    assert told[3].endswith("1.1")


def test_one_token_wakes_an_expert() -> None:
    alarms = Alarms(SECTION)
    for step in range(20):
        assert alarms.observe(4.0, [[9, 1 if step % 4 == 3 else 0]]) is None


def test_the_state_goes_through_json() -> None:
    alarms, restored = Alarms(SECTION), Alarms(SECTION)
    for step in range(60):
        loss, counts = 4.0 + step % 7, [[step % 3, 5]]
        restored = Alarms(SECTION, alarm_state(json.loads(json.dumps(restored.as_json(), allow_nan=False))))
        assert alarms.observe(loss, counts) == restored.observe(loss, counts)
        assert alarms.state == restored.state
