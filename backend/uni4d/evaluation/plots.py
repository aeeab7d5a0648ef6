"""The evaluation's plots as PNG. Figures are drawn without pyplot, so nothing global is left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uni4d.evaluation.measured import Curves, TaskFigures, reference_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_bars", "plot_curves"]

_COLORS = {
    "knn-points": "#9ecae1",
    "knn-views": "#6baed6",
    "knn-sum": "#2171b5",
    "captions": "#969696",
    "linear": "#fd8d3c",
    "mlp": "#d94801",
    "atms-mean": "#a1d99b",
    "kernel": "#9e9ac8",
    "atms": "#41ab5d",
    "atms-kernel": "#00441b",
    "atms-shipped": "#e7298a",
}
_OTHER = "#756bb1"
_SHOWN = ("recall@1", "recall@10")


def plot_curves(
    path: Path,
    curves: Curves,
    titles: Mapping[str, str],
    tasks: Mapping[str, str],
    axis: str,
    *,
    logarithmic: bool,
) -> None:
    """Two metrics (columns) of every task (rows) over what ``axis`` says, a line per arm.

    ``titles`` and ``tasks`` give the names of arms and tasks; a logarithmic axis is marked where there are
    points.
    """
    figure = _figure(11.0, 3.6 * len(curves) + 0.9)
    panels = figure.subplots(len(curves), len(_SHOWN), squeeze=False)
    for row, (task, arms) in enumerate(curves.items()):
        for column, metric in enumerate(_SHOWN):
            panel = panels[row][column]
            for arm, points in arms.items():
                panel.plot(
                    [point.x for point in points],
                    [point.values[metric] for point in points],
                    color=_COLORS.get(arm, _OTHER),
                    linestyle="--" if arm == "captions" else "-",
                    marker="o",
                    markersize=3.5,
                    linewidth=2.2 if arm == reference_of(list(arms)) else 1.4,
                    label=titles[arm],
                )
            if logarithmic:
                panel.set_xscale("log")
                places = sorted({point.x for points in arms.values() for point in points})
                panel.set_xticks(places, [f"{place:,.0f}" for place in places])
                panel.minorticks_off()
            _finish(panel, f"{tasks[task]}: {metric}")
            panel.set_xlabel(axis)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    _save(figure, path)


def plot_bars(path: Path, tables: Sequence[TaskFigures], titles: Mapping[str, str]) -> None:
    """A panel per task, a pair of bars per arm (recall@10 behind recall@1) with 95 % intervals and chance."""
    figure = _figure(3.9 * len(tables) + 1.6, 0.42 * len(titles) + 1.7)
    panels = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    arms = list(titles)
    for panel, table in zip(panels, tables, strict=True):
        for metric, alpha, height in (("recall@10", 0.35, 0.8), ("recall@1", 1.0, 0.5)):
            estimates = [table.arms[arm][metric] for arm in arms]
            means = [estimate.mean for estimate in estimates]
            panel.barh(
                range(len(arms)),
                means,
                height=height,
                color=[_COLORS.get(arm, _OTHER) for arm in arms],
                alpha=alpha,
                xerr=[
                    [max(each.mean - each.low, 0.0) for each in estimates],
                    [max(each.high - each.mean, 0.0) for each in estimates],
                ],
                error_kw={"elinewidth": 1.0, "ecolor": "#444444", "capsize": 2.0},
            )
            panel.axvline(table.chance[metric], color="#444444", linewidth=0.8, linestyle=":")
        panel.set_yticks(range(len(arms)), [titles[arm] for arm in arms], fontsize=8)
        _finish(panel, table.title)
        panel.set_ylim(len(arms) - 0.4, -0.6)
        panel.set_xlim(0.0, 1.02)
        panel.set_ylim(len(arms) - 0.4, -0.6)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel("recall@1 (strong), recall@10 (pale); dotted: chance", fontsize=8)
    _save(figure, path)


def _finish(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=10)
    panel.set_ylim(0.0, 1.02)
    panel.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, facecolor="white")
