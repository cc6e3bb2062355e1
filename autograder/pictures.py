"""Pictures of an expected value beside what came: heat maps of matrices, curves of series.

They are SVG without styles, scripts or anything from outside, so that they show in notebooks, in pages with
a strict policy and on paper. Colours are viridis' (told apart by colour-blind readers, too, and in grey).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = 32  # rows and columns of a heat map
SHORTEST = 5  # numbers of a curve
_VIRIDIS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]])
_NOTHING = "#8a8a8a"  # for what is no number
_EXPECTED, _GOT = "#0072b2", "#d55e00"  # of Okabe and Ito
# Not drawn in an SVG, but it is what front ends leave of one where they trust no markup: its text.
_UNTRUSTED = "Trust this notebook to see a picture:"
_ERRORS = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def picture(expected: str, got: str, where: str = "") -> Markup:
    """SVG of two values as `literals.shown` writes them, or "" where a picture says no more than the numbers.

    Args:
        where: index of the first difference; of stacked matrices, those that hold it are drawn.
    """
    values = [_numbers(text) for text in (expected, got)]
    if values[0] is None or values[1] is None or values[0].shape != values[1].shape:
        return Markup("")
    place = _index(where)
    right, mine = values[0], values[1]
    stacked = max(0, right.ndim - 2)
    lead = place[:stacked] if len(place) == right.ndim else (0,) * stacked
    try:
        right, mine = right[lead], mine[lead]
    except IndexError:
        return Markup("")
    if right.ndim == 1 and len(right) >= SHORTEST:
        return _curves(right, mine)
    if right.ndim == 2 and min(right.shape) >= 2 and max(right.shape) <= LARGEST:
        return _heat_maps(right, mine, place[stacked:], f" {list(lead)}" if stacked else "")
    return Markup("")


def _numbers(text: str) -> Array | None:
    """The numbers of a shown tensor, or None if it is none, or cut."""
    try:
        tree = ast.parse(text.partition("  # ")[0][:4000], mode="eval").body
        array = np.array(_value(tree), dtype=float)
    except _ERRORS:
        return None
    return array if array.ndim and array.size else None


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.List):
        return [_value(e) for e in node.elts]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
        return float(str(ast.literal_eval(node.args[0])))
    value = ast.literal_eval(node)
    if not isinstance(value, (bool, int, float)):
        raise ValueError("no number")
    return float(value)


def _index(where: str) -> tuple[int, ...]:
    found = re.fullmatch(r"\[(\d+(?:, \d+)*)\]", where[:100])
    return tuple(map(int, found[1].split(", "))) if found else ()


def _range(*arrays: Array) -> tuple[float, float]:
    """The least and the greatest finite number."""
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _colour(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return _NOTHING
    place = 4 * (value - low) / (high - low) if high > low else 2.0
    rgb = [int(np.interp(place, range(5), _VIRIDIS[:, i])) for i in range(3)]
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    head = f'<svg role="img" aria-label="{escape(label)}" width="{width:.0f}" height="{height:.0f}" '
    head += (
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-size="12" font-family="sans-serif" fill="currentColor">'
    )
    return Markup("\n".join((head + _UNTRUSTED, *parts, "</svg>")))


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" opacity="0.8"{more}>{escape(words)}</text>'


def _square(x: float, y: float, size: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" fill="{fill}"{more}/>'


def _heat_maps(right: Array, mine: Array, place: tuple[int, ...], which: str) -> Markup:
    """Both matrices with the same colours, the first difference framed."""
    rows, columns = right.shape
    size = min(24.0, max(7.0, 170 / max(rows, columns)))
    low, high = _range(right, mine)
    width = max(columns * size, 96.0)
    parts = []
    for title, matrix, left in (("expected", right, 0.0), ("your result", mine, width + 28)):
        parts.append(_text(left, 12, title + which))
        for (i, j), value in np.ndenumerate(matrix):
            x, y = left + j * size, 20 + i * size
            parts.append(_square(x, y, size, _colour(value, low, high)))
            if not np.isfinite(value):
                cross = f"M{x:.1f} {y:.1f}l{size:.1f} {size:.1f}m0 -{size:.1f}l-{size:.1f} {size:.1f}"
                parts.append(f'<path d="{cross}" stroke="#fff"/>')
        if matrix is mine and len(place) == 2 and place[0] < rows and place[1] < columns:
            x, y = left + place[1] * size, 20 + place[0] * size
            frames = (("#fff", 4), (_GOT, 2))
            parts += [_square(x, y, size, "none", f' stroke="{c}" stroke-width="{w}"') for c, w in frames]
    foot = 20 + rows * size + 8
    for k in range(5):
        tone = _colour(low + (high - low) * k / 4, low, high)
        parts.append(f'<rect x="{k * 12}" y="{foot:.1f}" width="12" height="8" fill="{tone}"/>')
    parts.append(_text(66, foot + 9, f"{low:.4g} to {high:.4g}"))
    return _svg(2 * width + 28, foot + 14, "heat maps of what was expected and of your result", parts)


def _curves(right: Array, mine: Array) -> Markup:
    """Both series over their index."""
    width, height = 320.0, 120.0
    low, high = _range(right, mine)
    span = high - low or 1.0
    parts = [f'<path d="M0 {height + 6:.0f}H{width:.0f}" stroke="currentColor" opacity="0.3"/>']
    for title, values, tone, dashes, place in (
        ("expected", right, _EXPECTED, "", 0),
        ("your result", mine, _GOT, ' stroke-dasharray="5 4"', 95),
    ):
        path, joined = [], False
        for i, value in enumerate(values):
            if np.isfinite(value):
                x, y = width * i / (len(values) - 1), height - (height - 8) * (value - low) / span
                path.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}")
            joined = bool(np.isfinite(value))
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{tone}" stroke-width="2"{dashes}/>')
        parts.append(f'<path d="M{place} {height + 20:.0f}h24" stroke="{tone}" stroke-width="2"{dashes}/>')
        parts.append(_text(place + 30, height + 24, title))
    parts.append(_text(width, height + 24, f"{low:.4g} to {high:.4g}", ' text-anchor="end"'))
    return _svg(width, height + 30, "curves of what was expected and of your result", parts)
