"""Charts as plain SVG, readable on light and dark pages and without telling colours apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 16, 62, 46
_BAR, _BAR_TOP = 24, 84
_CHARACTER = 6.6
"""Room for one, in pixels; generous because fonts differ."""
_LIGHT = ("#0550ae", "#bc4c00", "#116329", "#8250df")
_DARK = ("#79c0ff", "#ffa657", "#7ee787", "#d2a8ff")
_DASHES = ("none", "7 4", "2 4", "10 3 2 3")
_STYLE = """
.paper { fill: #ffffff } .ink { fill: #1f2328 } .grid { stroke: #d1d9e0 }
text { font: 12px system-ui, sans-serif } .title { font-weight: 600; font-size: 14px }
"""
_STYLE_DARK = ".paper { fill: #0d1117 } .ink { fill: #e6edf3 } .grid { stroke: #3d444d }"

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `label` is written at the right, `runs` is the thin line from least to most.

    A bar that is not `plain` is pale within a dashed line.
    """

    name: str
    value: float
    label: str
    runs: tuple[float, float] | None = None
    plain: bool = True


def bar_chart(
    title: str,
    description: str,
    unit: str,
    bars: Sequence[Bar],
    limits: Mapping[str, float] | None = None,
) -> str:
    """Horizontal bars from 0, with upright lines at `limits`. `description` is shown, too.

    An infinite bar ends at the edge.
    """
    limits = limits or {}
    lengths = [one for bar in bars for one in (bar.value, *(bar.runs or ()))]
    most = max(one for one in (*lengths, *limits.values()) if math.isfinite(one))
    step = _step(most / 6)
    top: float = step * max(1, math.ceil(most / step))
    left = 28 + round(_CHARACTER * max(len(bar.name) for bar in bars))
    right = WIDTH - 28 - round(_CHARACTER * max(len(bar.label) for bar in bars))
    bottom = _BAR_TOP + _BAR * len(bars) + 6
    height = bottom + _BOTTOM

    def place(value: float) -> float:
        return round(left + (right - left) * min(1.0, value / top), 1)

    parts = _head(
        title, description, height, _bar_rules("#1f2328", _LIGHT), _bar_rules("#e6edf3", _DARK)
    )
    parts.append(_text(16, 46, description, "start"))
    for number in range(round(top / step) + 1):
        x = place(number * step)
        parts.append(f'<path class="grid" d="M{x} {_BAR_TOP - 6}V{bottom}"/>')
        parts.append(_text(x, bottom + 18, f"{number * step:g}", "middle"))
    parts.append(_text(right, height - 10, unit, "end"))
    for number, bar in enumerate(bars):
        y = _BAR_TOP + _BAR * number
        parts.append(_text(left - 8, y + 14, bar.name, "end"))
        parts.append(
            f'<rect class="bar{"" if bar.plain else " pale"}" x="{left}" y="{y + 2}"'
            f' width="{place(bar.value) - left:.1f}" height="{_BAR - 8}"/>'
        )
        if bar.runs:
            least, largest = (place(one) for one in bar.runs)
            ends = f"M{least} {y + 6}v8M{largest} {y + 6}v8"
            parts.append(f'<path class="mark" d="M{least} {y + 10}H{largest}{ends}"/>')
        parts.append(_text(WIDTH - 16, y + 14, bar.label, "end"))
    for name, value in limits.items():
        x = place(value)
        parts.append(f'<path class="mark limit" d="M{x} {_BAR_TOP - 8}V{bottom}"/>')
        parts.append(_text(x, _BAR_TOP - 12, name, "middle"))
    return "\n".join([*parts, "</svg>", ""])


def line_chart(title: str, description: str, unit: str, lines: dict[str, Points]) -> str:
    """One chart over seconds; `unit` is that of the vertical axis. At most four lines."""
    right = max(x for points in lines.values() for x, _ in points)
    step = _step(max(y for points in lines.values() for _, y in points) / 5)
    top = step * max(1, math.ceil(max(y for points in lines.values() for _, y in points) / step))
    across, up = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> str:
        return f"{_LEFT + across * x / right:.1f},{HEIGHT - _BOTTOM - up * y / top:.1f}"

    parts = _head(title, description, HEIGHT, _line_rules(_LIGHT), _line_rules(_DARK))
    for number in range(round(top / step) + 1):
        x, y = place(0, number * step).split(",")
        parts.append(f'<path class="grid" d="M{x} {y}H{WIDTH - _RIGHT}"/>')
        parts.append(_text(float(x) - 8, float(y) + 4, _short(number * step), "end"))
    across_step = _step(right / 8)
    for number in range(int(right / across_step) + 1):
        x = place(number * across_step, 0).split(",")[0]
        parts.append(_text(float(x), HEIGHT - _BOTTOM + 18, _short(number * across_step), "middle"))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 10, "seconds", "end"))
    parts.append(_text(16, HEIGHT - 10, unit, "start"))
    left = 16.0
    for number, (name, points) in enumerate(lines.items()):
        parts.append(f'<path class="line l{number}" d="M{left} 44h26"/>')
        parts.append(_text(left + 32, 48, name, "start"))
        left += 56 + 7 * len(name)
        path = "L".join(place(x, y) for x, y in _corners(points))
        parts.append(f'<path class="line l{number}" d="M{path}"/>')
    return "\n".join([*parts, "</svg>", ""])


def _head(title: str, description: str, height: int, light: str, dark: str) -> list[str]:
    """The start of every chart; `light` and `dark` are its own CSS rules."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{_STYLE}{light}",
        f"@media (prefers-color-scheme: dark) {{ {_STYLE_DARK}{dark} }}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="ink title" x="16" y="24">{escape(title)}</text>',
    ]


def _corners(points: Points) -> Points:
    """The points without those inside a level stretch."""
    return [
        point
        for number, point in enumerate(points)
        if len({y for _, y in points[max(0, number - 1) : number + 2]}) > 1
        or number in (0, len(points) - 1)
    ]


def _bar_rules(ink: str, colours: Sequence[str]) -> str:
    plain, pale, *_ = colours
    return (
        f".bar {{ fill: {plain}; stroke: {plain}; fill-opacity: 0.4 }}\n"
        f".pale {{ fill: {pale}; stroke: {pale}; fill-opacity: 0.08; stroke-dasharray: 4 3 }}\n"
        f".mark {{ stroke: {ink}; stroke-width: 1.5; fill: none }} .limit {{ stroke-width: 2 }}"
    )


def _line_rules(colours: Sequence[str]) -> str:
    rules = [".line { fill: none; stroke-width: 2; stroke-linejoin: round }"]
    for number, (colour, dash) in enumerate(zip(colours, _DASHES, strict=True)):
        rules.append(f".l{number} {{ stroke: {colour}; stroke-dasharray: {dash} }}")
    return "\n".join(rules)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="ink" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _step(about: float) -> float:
    """The round number from `about` on: 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(about)) if about > 0 else 1
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= about)


def _short(number: float) -> str:
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number / 1000:g}k" if number >= 10_000 else f"{number:g}"
