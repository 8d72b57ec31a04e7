"""What stops a training by itself: a loss that is no number, a loss that grows, experts that nothing goes to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from curator.training import AlarmSection

AVERAGE_DECAY = 0.95
"""Of the average of the loss: it looks back some 20 steps."""
SETTLING_STEPS = 20
"""The first steps, whose average is not yet one."""


@dataclass
class AlarmState:
    """What the alarms remember: JSON."""

    average: float = 0.0
    lowest: float = math.inf
    seen: int = 0
    above: int = 0
    idle: list[list[int]] = field(default_factory=list)
    """Steps in a row without a token, for each layer and expert."""


class Alarms:
    """Watches the steps of a training."""

    def __init__(self, section: AlarmSection, state: AlarmState | None = None) -> None:
        self._section = section
        self.state = state or AlarmState()

    def observe(self, loss: float, counts: list[list[int]]) -> str | None:
        """Note a step that was taken: its loss, and the tokens of each layer's experts. What is wrong, if something
        is."""
        return self._divergence(loss) or self._dead_expert(counts)

    @property
    def has_diverged(self) -> bool:
        """Whether the loss was too high for as many steps as the alarm waits."""
        return self.state.above >= self._section.divergence_steps

    def as_json(self) -> dict[str, object]:
        """The state; infinity, which JSON has no word for, is null."""
        values = asdict(self.state)
        return values | {"lowest": None if math.isinf(self.state.lowest) else self.state.lowest}

    def _divergence(self, loss: float) -> str | None:
        state, section = self.state, self._section
        state.seen += 1
        state.average = loss if state.seen == 1 else AVERAGE_DECAY * state.average + (1 - AVERAGE_DECAY) * loss
        if state.seen >= SETTLING_STEPS:
            state.lowest = min(state.lowest, state.average)
        state.above = state.above + 1 if loss > section.divergence * state.lowest else 0
        if not self.has_diverged:
            return None
        return (
            f"the loss diverged: {loss:.3g}, for {state.above} steps above {section.divergence:g} times the lowest "
            f"average {state.lowest:.3g}"
        )

    def _dead_expert(self, counts: list[list[int]]) -> str | None:
        state = self.state
        before = state.idle or [[0] * len(row) for row in counts]
        state.idle = [
            [0 if count else idle + 1 for idle, count in zip(idles, row, strict=True)]
            for idles, row in zip(before, counts, strict=True)
        ]
        steps = self._section.dead_expert_steps
        dead = [
            f"{layer}.{expert}"
            for layer, row in enumerate(state.idle)
            for expert, idle in enumerate(row)
            if idle >= steps
        ]
        if not dead:
            return None
        return f"experts without a token for {steps} steps (layer.expert): {', '.join(dead[:8])}"


def alarm_state(values: dict[str, object]) -> AlarmState:
    """The state that `as_json` gave."""
    return AlarmState(**{**values, "lowest": math.inf if values["lowest"] is None else values["lowest"]})  # type: ignore[arg-type] # what as_json wrote
