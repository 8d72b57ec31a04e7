"""A reliability diagram as SVG: how often what has a probability comes true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SIDE = 360
"""Pixels of the square from 0 to 1."""
LEFT, TOP, RIGHT, BOTTOM = 60, 20, 20, 120
COLOURS = ("#b4552d", "#1f6f8b", "#4a7c3a")
"""Told apart by the colour-blind, and by their lightness in print."""
LARGEST_DOT = 9.0


@dataclass(frozen=True)
class Curve:
    """Points of one model: the mean probability of a bin, the share of it that is so, and its weight (sum 1)."""

    name: str
    probabilities: Sequence[float]
    shares: Sequence[float]
    weights: Sequence[float]


def reliability_svg(curves: Sequence[Curve]) -> str:
    """The diagram. A dot's area is the weight of its bin; on the diagonal a probability is what it says."""
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        "<title>Reliability: share of hateful texts by probability</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for step in range(6):
        value = step / 5
        x, y = _x(value), _y(value)
        lines += [
            f'<path d="M{x:.1f} {TOP}V{TOP + SIDE}M{LEFT} {y:.1f}H{LEFT + SIDE}" stroke="#dddddd" fill="none"/>',
            f'<text x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{value:.1f}</text>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.1f}</text>',
        ]
    middle = TOP + SIDE / 2
    upright = f'text-anchor="middle" transform="rotate(-90 16 {middle:.1f})"'
    lines += [
        f'<path d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}" stroke="#777777" stroke-dasharray="4 4"/>',
        f'<text x="{LEFT + SIDE / 2:.1f}" y="{TOP + SIDE + 38}" text-anchor="middle">probability</text>',
        f'<text x="16" y="{middle:.1f}" {upright}>share of hateful texts</text>',
    ]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = list(zip(curve.probabilities, curve.shares, curve.weights, strict=True))
        path = "L".join(f"{_x(probability):.1f} {_y(share):.1f}" for probability, share, _ in points)
        lines.append(f'<path d="M{path}" stroke="{colour}" stroke-width="2" fill="none"/>')
        heaviest = max(curve.weights)
        for probability, share, weight in points:
            radius = LARGEST_DOT * (weight / heaviest) ** 0.5
            place = f'cx="{_x(probability):.1f}" cy="{_y(share):.1f}" r="{radius:.1f}"'
            lines.append(f'<circle {place} fill="{colour}" fill-opacity="0.7"/>')
        y = TOP + SIDE + 62 + 20 * number
        lines += [
            f'<rect x="{LEFT}" y="{y - 10}" width="12" height="12" fill="{colour}"/>',
            f'<text x="{LEFT + 20}" y="{y}">{curve.name}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _x(value: float) -> float:
    return LEFT + SIDE * value


def _y(value: float) -> float:
    return TOP + SIDE * (1 - value)
