"""The charts of the report as inline SVG.

All horizontal places are percentages and all heights are pixels, so that a chart takes the width that it is given and
its text and strokes keep their size. Colours are CSS classes (`kept`, `s0` to `s7` by stage), which the page defines
for light and dark.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from curator.report.model import ArmRow, Histogram, SamplingRow, Step, Totals

BAR_HEIGHT = 16
HISTOGRAM_HEIGHT = 120
MARGIN = 18
"""Room above (threshold) and below (axis) a histogram, in pixels."""
COLOURS = 8
_MOST_TICKS = 8


@dataclass(frozen=True)
class Part:
    """A piece of a stacked bar: how long it is, its CSS class, what a pointer that rests on it is told."""

    size: float
    colour: str
    title: str


@dataclass(frozen=True)
class FunnelRow:
    """A stage in the funnel: documents that came to it, what its rules did, documents that went on."""

    stage: str
    colour: str
    entering: int
    leaving: int
    dropped: int
    steps: tuple[Step, ...]
    bar: Markup


def stage_colour(stage: str, stages: Sequence[str]) -> str:
    """The CSS class of a stage: `s0` to `s7` in recipe order, `other` for what is no stage of the recipe."""
    return f"s{list(stages).index(stage) % COLOURS}" if stage in stages else "other"


def stacked_bar(parts: Sequence[Part], whole: float, mark: float | None = None, label: str = "") -> Markup:
    """One horizontal bar of `parts` on a scale of 0 to `whole`, with a vertical line at `mark` (a share, 0 to 1).

    Without a `label` the bar is hidden from screen readers: the numbers stand in the cells beside it.
    """
    pieces = []
    left = 0.0
    for part in parts:
        width = 100 * part.size / whole if whole > 0 else 0.0
        if width > 0:
            x, across = _short(left), _short(min(width, 100 - left))
            place = f'x="{x}%" width="{across}%" y="2" height="12"'
            pieces.append(f'<rect class="{part.colour}" {place}>{_title(part.title)}</rect>')
        left += width
    if mark is not None:
        place = _short(100 * min(max(mark, 0.0), 1.0))
        pieces.append(f'<line class="mark" x1="{place}%" x2="{place}%" y1="0" y2="16"/>')
    return _svg("bar", BAR_HEIGHT, pieces, label)


def columns(counts: Sequence[int], colour: str, label: str) -> Markup:
    """A few counts as columns side by side in the height of a bar; one that is not zero shows at least a pixel."""
    peak = max(counts, default=0)
    width = 100 / max(len(counts), 1)
    pieces = []
    for place, count in enumerate(counts):
        if count:
            height = max(1.0, BAR_HEIGHT * count / peak)
            low, high = round(place * width), round((place + 1) * width)
            title = Markup("<title>{}% to {}%: {}</title>").format(low, high, f"{count:,}")
            pieces.append(
                Markup('<rect class="{}" x="{}%" width="{}%" y="{}" height="{}">{}</rect>').format(
                    colour,
                    _short(place * width),
                    _short(0.9 * width),
                    _short(BAR_HEIGHT - height),
                    _short(height),
                    title,
                )
            )
    return _svg("bar", BAR_HEIGHT, pieces, label)


def funnel(steps: Sequence[Step], stages: Sequence[str], totals: Totals) -> list[FunnelRow]:
    """The stages in order, each with its bar on the scale of all documents: what went on, what each rule dropped.

    Records that failed come first, as `reading`; then steps of something that is no stage of the recipe; then the
    stages.
    """
    order = list(dict.fromkeys([*(step.stage for step in steps if step.stage not in stages), *stages]))
    created = sum(step.documents for step in steps if step.action == "create")
    whole = totals.documents_in + created
    entering = totals.documents_in - totals.failed
    rows = []
    if totals.failed:
        parts = [
            Part(entering, "kept", f"{entering:,} read"),
            Part(totals.failed, "other", f"{totals.failed:,} failed"),
        ]
        bar = stacked_bar(parts, whole)
        rows.append(FunnelRow("reading", "other", totals.documents_in, entering, totals.failed, (), bar))
    for stage in order:
        own = tuple(step for step in steps if step.stage == stage)
        drops = [step for step in own if step.action == "drop"]
        dropped = sum(step.documents for step in drops)
        made = sum(step.documents for step in own if step.action == "create")
        leaving = entering - dropped + made
        colour = stage_colour(stage, stages)
        # Shades tell the rules of a stage apart.
        parts = [Part(entering - dropped, "kept", f"{entering - dropped:,} went on")]
        parts += [
            Part(step.documents, f"{colour} shade{place % 3}", f"{step.rule}: {step.documents:,}")
            for place, step in enumerate(drops)
        ]
        if made:
            parts.insert(1, Part(made, f"{colour} made", f"{made:,} created"))
        rows.append(FunnelRow(stage, colour, entering, leaving, dropped, own, stacked_bar(parts, whole)))
        entering = leaving
    return rows


def histogram(data: Histogram, colour: str) -> Markup:
    """The counts as bars on a linear scale; bins on the dropped side of the threshold in `colour`."""
    low, high = data.edges[0], data.edges[-1]
    span = (high - low) or 1.0
    peak = max(data.counts, default=0)
    room = HISTOGRAM_HEIGHT - 2 * MARGIN
    base = HISTOGRAM_HEIGHT - MARGIN
    pieces = [f'<line class="axis" x1="0" x2="100%" y1="{base}.5" y2="{base}.5"/>']
    for count, left, right in zip(data.counts, data.edges, data.edges[1:], strict=False):
        if not count:
            continue
        # A bin that is not empty shows at least a pixel.
        height = max(1.0, room * count / peak)
        shade = colour if _is_dropped(data, (left + right) / 2) else "kept"
        x, across = _short(100 * (left - low) / span), _short(max(100 * (right - left) / span - 0.3, 0.2))
        place = f'x="{x}%" width="{across}%" y="{_short(base - height)}" height="{_short(height)}"'
        title = _title(f"{_number(left)} to {_number(right)}: {count:,}")
        pieces.append(f'<rect class="{shade}" {place}>{title}</rect>')
    pieces += _ends(low, high)
    if data.threshold is not None:
        pieces += _threshold(data.threshold, min(max((data.threshold - low) / span, 0.0), 1.0), base)
    where = "all languages" if data.language is None else data.language
    label = (
        f"Histogram of {data.column}, {where}: {sum(data.counts):,} documents from {_number(low)} to {_number(high)}"
    )
    if data.threshold is not None:
        label += f", threshold {_number(data.threshold)}"
    return _svg("histogram", HISTOGRAM_HEIGHT, pieces, label)


def _is_dropped(data: Histogram, middle: float) -> bool:
    if data.threshold is None or data.dropped is None:
        return False
    return middle < data.threshold if data.dropped == "below" else middle >= data.threshold


def _ends(low: float, high: float) -> list[str]:
    foot = HISTOGRAM_HEIGHT - 5
    return [
        f'<text x="0" y="{foot}" text-anchor="start">{_number(low)}</text>',
        f'<text x="100%" y="{foot}" text-anchor="end">{_number(high)}</text>',
    ]


def _threshold(value: float, place: float, base: int) -> list[str]:
    x = _short(100 * place)
    anchor = "start" if place < 0.15 else "end" if place > 0.85 else "middle"
    return [
        f'<line class="threshold" x1="{x}%" x2="{x}%" y1="{MARGIN - 4}" y2="{base}"/>',
        f'<text class="threshold" x="{x}%" y="10" text-anchor="{anchor}">{_number(value)}</text>',
    ]


@dataclass(frozen=True)
class LogScale:
    """Shares on a logarithmic scale from `low` to `high` (powers of ten, not necessarily whole)."""

    low: float
    high: float

    @staticmethod
    def around(values: Sequence[float]) -> LogScale:
        """The scale that holds all values above zero, with some room, and at least one power of ten."""
        powers = [math.log10(value) for value in values if value > 0] or [0.0]
        low, high = min(powers) - 0.1, max(powers) + 0.1
        return LogScale(low, high) if math.ceil(low) <= high else LogScale(math.floor(low), high)

    def place(self, value: float) -> float:
        """Percent of the width; a value of zero stands at the left edge."""
        if value <= 0:
            return 0.0
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return 100 * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """The powers of ten on the scale."""
        return [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1)]


def sampling_scale(rows: Sequence[SamplingRow]) -> LogScale:
    """The scale that all rows of the plan share."""
    return LogScale.around([value for row in rows for value in (row.natural, row.target, row.realised)])


def sampling_axis(scale: LogScale) -> Markup:
    """The tick labels above the sampling marks, in percent of tokens."""
    pieces = []
    for tick in scale.ticks():
        place = scale.place(tick)
        text = f"{100 * tick:g}%"
        pieces.append(f'<text x="{_short(place)}%" y="11" text-anchor="{_anchor(place)}">{text}</text>')
    return _svg("bar ticks", BAR_HEIGHT, pieces, "Share of tokens, logarithmic scale")


def sampling_marks(row: SamplingRow, scale: LogScale) -> Markup:
    """Natural share (ring), target (tick) and realised share (dot) of one language."""
    natural, target, realised = (_short(scale.place(value)) for value in (row.natural, row.target, row.realised))
    ticks = [_short(scale.place(tick)) for tick in scale.ticks()]
    pieces = [f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="16"/>' for x in ticks]
    pieces.append(f'<line class="link" x1="{natural}%" x2="{realised}%" y1="8" y2="8"/>')
    pieces.append(f'<circle class="natural" cx="{natural}%" cy="8" r="4"/>')
    pieces.append(f'<circle class="realised" cx="{realised}%" cy="8" r="3.5"/>')
    pieces.append(f'<line class="target" x1="{target}%" x2="{target}%" y1="1" y2="15"/>')
    return _svg("bar marks", BAR_HEIGHT, pieces, "")


@dataclass(frozen=True)
class DifferenceScale:
    """Differences on a linear scale from `low` to `high`, which holds 0."""

    low: float
    high: float

    @staticmethod
    def around(rows: Sequence[ArmRow]) -> DifferenceScale:
        """The scale that holds the intervals of all rows."""
        low, high = min([row.low for row in rows] + [0.0]), max([row.high for row in rows] + [0.0])
        room = 0.04 * (high - low) or 0.001
        return DifferenceScale(low - room, high + room)

    def place(self, value: float) -> float:
        """Percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)


def difference_axis(scale: DifferenceScale) -> Markup:
    """The tick labels above the marks of differences: 0, and the ends that are not close to it."""
    pieces = [f'<text x="{_short(scale.place(0))}%" y="11" text-anchor="{_anchor(scale.place(0))}">0</text>']
    for value, place in ((scale.low, 0.0), (scale.high, 100.0)):
        if abs(place - scale.place(0)) > 20:
            pieces.append(f'<text x="{_short(place)}%" y="11" text-anchor="{_anchor(place)}">{_signed(value)}</text>')
    return _svg("bar ticks", BAR_HEIGHT, pieces, "Difference in bits per byte")


def difference_marks(row: ArmRow, scale: DifferenceScale) -> Markup:
    """The difference of an arm (dot) with its interval, and where there is none (dashed)."""
    low, middle, high, none = (_short(scale.place(value)) for value in (row.low, row.difference, row.high, 0.0))
    pieces = [
        f'<line class="mark" x1="{none}%" x2="{none}%" y1="0" y2="16"/>',
        f'<line class="link" x1="{low}%" x2="{high}%" y1="8" y2="8"/>',
        f'<circle class="realised" cx="{middle}%" cy="8" r="4"/>',
    ]
    return _svg("bar marks", BAR_HEIGHT, pieces, "")


def linear_axis(high: float, label: str) -> Markup:
    """The tick labels above bars from 0 to `high`: whole numbers, of many every second, fifth or tenth and so on."""
    whole = math.floor(high)
    steps = (times * 10**power for power in itertools.count() for times in (1, 2, 5))
    step = next(step for step in steps if whole <= _MOST_TICKS * step)
    pieces = []
    for tick in range(0, whole + 1, step):
        place = 100 * tick / high
        pieces.append(f'<text x="{_short(place)}%" y="11" text-anchor="{_anchor(place)}">{tick}</text>')
    return _svg("bar ticks", BAR_HEIGHT, pieces, f"{label}, from 0 to {_number(high)}")


def dots(values: Sequence[float], high: float) -> Markup:
    """Values on one scale from 0 to `high`, a dot each in the colours of stages, in their order."""
    places = [_short(100 * value / high) for value in values]
    pieces = [
        f'<line class="link" x1="{min(values) * 100 / high:.2f}%" x2="{max(values) * 100 / high:.2f}%" y1="8" y2="8"/>'
    ]
    for number, (place, value) in enumerate(zip(places, values, strict=True)):
        title = _title(f"{number + 1}: {value:.3f}")
        pieces.append(f'<circle class="s{number % COLOURS}" cx="{place}%" cy="8" r="4">{title}</circle>')
    return _svg("bar marks", BAR_HEIGHT, pieces, "")


def _signed(value: float) -> str:
    return f"{value:+z.3f}".replace("-", "\N{MINUS SIGN}")


def _anchor(place: float) -> str:
    return "start" if place < 1 else "end" if place > 99 else "middle"


def _svg(kind: str, height: int, pieces: Sequence[str], label: str) -> Markup:
    """One drawing. Pieces hold numbers and names of ours; what comes from outside passed `_title`."""
    access = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    head = f'<svg class="{kind}" width="100%" height="{height}" {access}>'
    return Markup(head + "".join(pieces) + "</svg>")  # noqa: S704 (see the docstring)


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
