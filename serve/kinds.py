"""The kinds of work that the service queues, leases, cancels and resumes alike."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What is worked on: a run of a recipe, or a training on the shards of runs."""

    RUN = "run"
    TRAINING = "training"
