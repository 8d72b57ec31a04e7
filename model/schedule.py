"""The learning rate over steps: a linear warm-up, then cosines that start anew (Loshchilov and Hutter 2017, SGDR,
https://arxiv.org/abs/1608.03983, equation 5), each longer than the last by a factor."""

from __future__ import annotations

import math

from curator.training import ScheduleSection


def rate_share(step: int, steps: int, section: ScheduleSection) -> float:
    """The share of the full learning rate at a step, counted from 0, of a training of `steps`: in (0, 1]."""
    if step < section.warmup:
        return (step + 1) / (section.warmup + 1)
    place = step - section.warmup
    length = float(section.cycle or max(1, steps - section.warmup))
    while section.cycle is not None and place >= int(length):
        place -= int(length)
        length *= section.cycle_factor
    # A training that goes on beyond its steps stays at the floor.
    turn = min(place / int(length), 1.0)
    return section.floor + (1 - section.floor) * 0.5 * (1 + math.cos(math.pi * turn))
