"""Overlays: thresholds laid over a recipe, and where each value of a recipe came from.

An overlay is a YAML file with `stages`, written as in a recipe, whose values take the place of the recipe's; and, where
`curator calibrate` wrote it, `calibration`: on what its thresholds were fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from curator.errors import Bug

Origin = Literal["recipe", "overlay", "set"]
"""Where a value was given: in the recipe, in the overlay, or by `--set`. What was given nowhere is a default."""

OVERLAY_KEYS = ("stages", "calibration")

_WIDTH = 120


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class CorpusFile(_Strict):
    """A file of the known-good text: its name, its size, and the digest of what was read, as a manifest has them."""

    name: str
    bytes: int
    digest: str


class Fitted(_Strict):
    """A threshold that was fitted: for which language in which source group (None: in any), on how many documents that
    the rule looked at, how many of them pass, and between which shares of fresh text of the kind pass it."""

    stage: str
    parameter: str
    source: str | None
    language: str
    threshold: float
    documents: int = Field(ge=1)
    passing: int = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class Unfitted(_Strict):
    """What kept the thresholds of the recipe, for too few documents: one threshold of a language in a source group, or
    (stage and parameter None) all that could have been fitted there."""

    stage: str | None
    parameter: str | None
    source: str | None
    language: str
    documents: int
    needed: int


class Calibration(_Strict):
    """On what the thresholds of an overlay were fitted.

    Of text like the `corpus`, a share of at least `share` passes all of them, in each group, with `confidence`.
    `stages` has a hash of the source code of each stage, whose scores are of use to no other version. `unlisted` are
    groups with fewer documents than those of `unfitted`.
    """

    share: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    corpus: tuple[CorpusFile, ...]
    stages: Mapping[str, str]
    fitted: tuple[Fitted, ...]
    unfitted: tuple[Unfitted, ...] = ()
    unlisted: int = 0


class OverlayOrigin(_Strict):
    """Which overlay a recipe was merged with: the name of its file, the BLAKE3 of its bytes, and its calibration."""

    name: str
    digest: str
    calibration: Calibration | None = None


class Origins(_Strict):
    """Where the given parameters of the stages came from: `STAGE.PARAMETER…` -> origin."""

    parameters: Mapping[str, Origin] = Field(default_factory=dict)
    overlay: OverlayOrigin | None = None


def dump_overlay(recipe: str, calibration: Calibration) -> str:
    """The overlay of fitted thresholds as YAML. `recipe` is the name of the recipe that they were fitted for."""
    stages: dict[str, dict[str, object]] = {}
    for fitted in calibration.fitted:
        path = ("languages", fitted.language)
        target = stages.setdefault(fitted.stage, {})
        for key in path if fitted.source is None else ("sources", fitted.source, *path):
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                raise Bug(f"{fitted.stage}.{key} is a threshold and a group")
            target = inner
        target[fitted.parameter] = fitted.threshold
    values = {
        "stages": [{name: thresholds} for name, thresholds in stages.items()],
        "calibration": calibration.model_dump(mode="json"),
    }
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=_WIDTH)
    return (
        f"# Thresholds for the recipe {recipe!r}, fitted by `curator calibrate`: use it with `--overlay FILE`.\n"
        f"# In each group, at least {calibration.share:.6g} of text like the corpus passes all of them,"
        f" with confidence {calibration.confidence:.6g}.\n{text}"
    )
