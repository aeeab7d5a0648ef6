"""The evaluation of retrieval as a report: ``report.md`` with plots, ``report.json`` with every figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from uni4d.evaluation.measured import Curves, TaskFigures, reference_of
from uni4d.evaluation.metrics import METRICS, Estimate
from uni4d.evaluation.pictures import Picture, answers, write_page, write_sheet
from uni4d.evaluation.plots import plot_bars, plot_curves
from uni4d.evaluation.retrieval import Evaluation
from uni4d.evaluation.roster import READS_TEXTS
from uni4d_shared.progress import Progress

__all__ = ["as_json", "write_report"]

_ORDER = (
    *("r-name", "r-unseen", "r-instance"),
    *("c-category", "c-category-of-object", "c-name", "c-name-of-object"),
)
_COMPARED = ("r-name", "r-unseen", "r-instance")
_ANSWERS, _ON_SHEET, _HITS = 40, 12, 8
_CHECKS = {
    "vectors": "order, neighbours and (unless they are read) words of an object do not change its vector",
    "order": "permuting the gallery changes no rank",
    "labels": "shuffled answers give chance",
    "training": "training on shuffled words teaches nothing",
}


def write_report(
    folder: Path,
    evaluation: Evaluation,
    uids: tuple[str, ...],
    pictures: Mapping[str, Picture],
    progress: Progress,
) -> dict[str, Any]:
    """Write everything into ``folder``; returns what ``report.json`` holds.

    ``uids`` are those of the test objects in the order of the tasks, ``pictures`` theirs by uid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress(0.0, "drawing plots")
    _write_plots(folder, evaluation)
    progress(0.5, "laying out pictures")
    _write_pictures(folder, evaluation, uids, pictures)
    told = as_json(evaluation)
    (folder / "report.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "report.md").write_text("\n".join(_markdown(evaluation)) + "\n", encoding="utf-8")
    return told


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Every figure as plain values."""

    def plain(curves: Curves) -> dict[str, Any]:
        return {
            task: {arm: [attrs.asdict(point) for point in points] for arm, points in arms.items()}
            for task, arms in curves.items()
        }

    return {
        "settings": attrs.asdict(evaluation.settings),
        "counts": evaluation.counts,
        "encoder": evaluation.encoder,
        "tasks": [attrs.asdict(task) for task in _tables(evaluation)],
        "galleries": plain(evaluation.galleries),
        "noise": plain(evaluation.noise),
        "scaled": plain(evaluation.scaled),
        "calibrations": plain(evaluation.calibrations),
        "checks": [attrs.asdict(check) for check in evaluation.checks],
        "runs": [
            {"arm": run.arm, "seed": run.seed, "seconds": run.seconds, "chosen": run.chosen}
            for run in evaluation.runs
        ],
    }


def _tables(evaluation: Evaluation) -> list[TaskFigures]:
    by_key = {task.key: task for task in evaluation.tasks}
    return [by_key[key] for key in _ORDER if key in by_key]


def _write_plots(folder: Path, evaluation: Evaluation) -> None:
    titles = evaluation.titles
    named = {task.key: task.title for task in evaluation.tasks}
    compared = [task for task in _tables(evaluation) if task.key in _COMPARED]
    plot_bars(folder / "arms.png", compared, titles)
    sizes = "objects in the gallery"
    plot_curves(folder / "gallery.png", evaluation.galleries, titles, named, sizes, logarithmic=True)
    lengths = "length of the noise on the gallery's unit vectors"
    plot_curves(folder / "noise.png", evaluation.noise, titles, named, lengths, logarithmic=False)
    if evaluation.scaled:
        plot_curves(folder / "scale.png", evaluation.scaled, titles, named, sizes, logarithmic=True)


def _write_pictures(
    folder: Path, evaluation: Evaluation, uids: tuple[str, ...], pictures: Mapping[str, Picture]
) -> None:
    shown = _shown_arm(evaluation)
    task, scores = evaluation.answered(shown, "r-name")
    found = answers(task, scores, _ANSWERS, _HITS)
    heading = f"{evaluation.titles[shown]}, R by name, {len(uids)} objects"
    write_page(folder / "hits.html", heading, found, uids, pictures)
    write_sheet(folder / "hits.png", heading, found[:_ON_SHEET], uids, pictures)


def _shown_arm(evaluation: Evaluation) -> str:
    """The one that others are compared with; without it, the last one that does not read words."""
    arms = list(evaluation.titles)
    return reference_of(arms) or ([arm for arm in arms if arm not in READS_TEXTS] or arms)[-1]


def _markdown(evaluation: Evaluation) -> Iterable[str]:
    yield from _opening(evaluation)
    yield from ("## Arms", "", "![recall of every arm](arms.png)", "")
    for task in _tables(evaluation):
        yield from _table(task, evaluation.titles)
    yield from _comparison(evaluation)
    yield from _galleries(evaluation)
    if evaluation.scaled:
        yield from _scale(evaluation)
    yield from _noise(evaluation)
    yield from _check_lines(evaluation)
    yield from _choices(evaluation)
    yield from (
        "## Pictures",
        "",
        "[Queries and hits](hits.html), drawn at random; the first of them:",
        "",
        "![hits](hits.png)",
    )


def _opening(evaluation: Evaluation) -> Iterable[str]:
    counts, settings = evaluation.counts, evaluation.settings
    yield from ("# Retrieval, measured", "")
    if settings.quick:
        yield from ("**A quick run with shortened trainings: its figures mean nothing.**", "")
    if evaluation.failed:
        yield from (f"**{len(evaluation.failed)} sanity checks failed: the figures cannot be trusted.**", "")
    yield (
        f"{counts['test']} test objects ({counts['test groups']} after de-duplication, "
        f"{counts['test names']} names, {counts['test objects with unseen names']} objects with names that "
        f"nobody learnt from) of {counts['objects']}; learnt from {counts['train']}, settings chosen on "
        f"{counts['validation']}. Text encoder: {evaluation.encoder}."
    )
    yield ""
    yield (
        f"{settings.seeds} seeds; each learns from another {settings.train_share:.0%} of the training "
        "objects. A cell is the mean over seeds ± their standard deviation, and the 95 % bootstrap interval "
        "over queries. Ties count as misses. The gallery is known by geometry and appearance only, except "
        "for arms that say so. Arms in closed form (neighbours, ridge, kernel) learn from the validation "
        "objects too, once their settings are chosen; trained ones need these to stop at the right step."
    )
    yield ""


def _table(task: TaskFigures, titles: Mapping[str, str]) -> Iterable[str]:
    yield from (
        f"### {task.title}",
        "",
        f"{task.queries} queries, {task.gallery} answers to choose from.",
        "",
    )
    yield f"| arm | {' | '.join(METRICS)} |"
    yield "|---|" + "--:|" * len(METRICS)
    yield f"| chance | {' | '.join(f'{task.chance[metric]:.3f}' for metric in METRICS)} |"
    for arm, title in titles.items():
        yield f"| {title} | {' | '.join(_cell(task.arms[arm][metric]) for metric in METRICS)} |"
    yield ""


def _cell(estimate: Estimate) -> str:
    spread = "" if estimate.spread is None else f" ± {estimate.spread:.3f}"
    return f"{estimate.mean:.3f}{spread} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _comparison(evaluation: Evaluation) -> Iterable[str]:
    tables = [task for task in _tables(evaluation) if task.key in _COMPARED and task.ahead]
    if not tables:
        return
    metrics = ("recall@1", "recall@10", "mrr")
    yield from (
        f"### How far {evaluation.titles[tables[0].reference]} is ahead",
        "",
        "On the same queries, with the 95 % interval of the difference.",
        "",
    )
    yield f"| of | {' | '.join(f'{task.title}: {metric}' for task in tables for metric in metrics)} |"
    yield "|---|" + "--:|" * len(metrics) * len(tables)
    for arm in tables[0].ahead:
        cells = [task.ahead[arm][metric] for task in tables for metric in metrics]
        row = " | ".join(f"{each.mean:+.3f} [{each.low:+.2f}, {each.high:+.2f}]" for each in cells)
        yield f"| {evaluation.titles[arm]} | {row} |"
    yield ""


def _galleries(evaluation: Evaluation) -> Iterable[str]:
    yield from (
        "## Size of the gallery",
        "",
        "Real objects only: random parts of the test objects, all of them, and (the last place) all of them "
        "among the rest of the library, whose objects can only be wrong answers. Arms learnt from most of "
        "these, which draws queries to them.",
        "",
        "![recall over gallery size](gallery.png)",
        "",
    )
    yield from _curve_tables(evaluation, evaluation.galleries, "{:,.0f}")


def _scale(evaluation: Evaluation) -> Iterable[str]:
    yield from (
        "## Galleries filled up with made-up objects",
        "",
        "Drawn from a mixture of Gaussians fitted to each arm's own vectors; first seed.",
        "",
        "![recall over gallery size](scale.png)",
        "",
    )
    yield from _curve_tables(evaluation, evaluation.scaled, "{:,.0f}")
    yield from (
        "How far made-up objects can be believed: galleries of one size, all real (first figure) and half "
        "made up (second), recall@10.",
        "",
        "| arm | " + " | ".join(_title(evaluation, task) for task in evaluation.calibrations) + " |",
        "|---|" + "--:|" * len(evaluation.calibrations),
    )
    for arm, title in evaluation.titles.items():
        pairs = [arms[arm] for arms in evaluation.calibrations.values()]
        cells = [" / ".join(f"{point.values['recall@10']:.3f}" for point in pair) for pair in pairs]
        yield f"| {title} | {' | '.join(cells)} |"
    yield ""


def _noise(evaluation: Evaluation) -> Iterable[str]:
    yield from (
        "## Noise",
        "",
        "N(0, σ²) on every component of the gallery's vectors; the curve runs over its expected length σ·√E.",
        "",
        "![recall over noise](noise.png)",
        "",
    )
    yield from _curve_tables(evaluation, evaluation.noise, "{:g}")


def _curve_tables(evaluation: Evaluation, curves: Curves, form: str) -> Iterable[str]:
    for task, arms in curves.items():
        places = [point.x for point in next(iter(arms.values()))]
        yield (
            f"| {_title(evaluation, task)}: recall@1, recall@10 | "
            + " | ".join(map(form.format, places))
            + " |"
        )
        yield "|---|" + "--:|" * len(places)
        for arm, points in arms.items():
            cells = [f"{point.values['recall@1']:.3f}, {point.values['recall@10']:.3f}" for point in points]
            yield f"| {evaluation.titles[arm]} | {' | '.join(cells)} |"
        yield ""


def _title(evaluation: Evaluation, key: str) -> str:
    return next(task.title for task in evaluation.tasks if task.key == key)


def _check_lines(evaluation: Evaluation) -> Iterable[str]:
    yield from ("## Sanity checks", "", "| check | passed | for example |", "|---|--:|---|")
    for kind, said in _CHECKS.items():
        checks = [check for check in evaluation.checks if check.kind == kind]
        passed = [check for check in checks if check.passed]
        example = f"{checks[-1].subject}: {checks[-1].detail}" if checks else ""
        yield f"| {said} | {len(passed)} of {len(checks)} | {example} |"
    yield ""
    for check in evaluation.failed:
        yield f"- **failed: {_CHECKS[check.kind]}** ({check.subject}): {check.detail}"
    if evaluation.failed:
        yield ""


def _choices(evaluation: Evaluation) -> Iterable[str]:
    yield from (
        "## Chosen on the validation objects",
        "",
        "| arm | seed | chosen | seconds |",
        "|---|--:|---|--:|",
    )
    for run in evaluation.runs:
        chosen = ", ".join(f"{name} {_short(value)}" for name, value in run.chosen.items()) or "nothing"
        yield f"| {evaluation.titles[run.arm]} | {run.seed} | {chosen} | {run.seconds:.0f} |"
    yield ""


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
