"""Charts as SVG for a page: drawn by matplotlib, coloured by the page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

_INK = "#010203"
"""A colour that nothing else has; the page's text colour takes its place, also in dark mode."""
_COLOURS = ("#2f6fde", "#d9822b", "#2a9d5c", "#b5409f", "#7a7a7a", "#c23b3b", "#1b9aaa", "#8a6d3b")


def course(trace: Sequence[Mapping[str, Any]]) -> str:
    """An SVG element: the lower bound and the number of open subproblems over the time of a search, from the trace of a verdict."""
    seconds = [float(p["seconds"]) for p in trace]
    bounds = [float("nan") if p["lower_bound"] is None else float(p["lower_bound"]) for p in trace]
    with _style():
        figure, axes = _figure(2.6)
        axes.plot(seconds, bounds, color=_COLOURS[0], marker=".")
        axes.set(xlabel="seconds", ylabel="lower bound")
        axes.yaxis.label.set_color(_COLOURS[0])
        right = axes.twinx()
        right.step(seconds, [int(p["open"]) for p in trace], where="post", color=_COLOURS[1])
        right.set(ylabel="open subproblems", ylim=(0, None))
        right.yaxis.label.set_color(_COLOURS[1])
        right.spines[["top", "left"]].set_visible(False)
        return _svg(figure)


def cactus(times: Mapping[str, Sequence[float]]) -> str:
    """An SVG element: for every name, how many of its queries are decided within how many seconds each."""
    from matplotlib.ticker import MaxNLocator

    with _style():
        figure, axes = _figure(3.6)
        for (name, seconds), colour in zip(times.items(), _COLOURS * (1 + len(times) // len(_COLOURS))):
            axes.step(range(1, len(seconds) + 1), sorted(max(s, 1e-3) for s in seconds), where="post", label=name, color=colour, marker=".")
        axes.set(xlabel="queries decided", ylabel="seconds", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, position: f"{value:g}" if len(axes.get_yticks()) < 3 else "")
        if len(times) > 1:
            axes.legend(frameon=False, fontsize=9)
        return _svg(figure)


def _style() -> AbstractContextManager[None]:
    import matplotlib

    ink = {name: _INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")}
    style: dict[Any, Any] = {**ink, "svg.fonttype": "none", "svg.hashsalt": "verifier", "font.size": 11, "text.parse_math": False}
    return matplotlib.rc_context(style)


def _figure(height: float) -> tuple[Any, Any]:
    """A figure (7 by `height` inches) and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, which="major", color=_INK, alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
