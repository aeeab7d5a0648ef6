"""``uni4d evaluate``: how good retrieval is, in tables, plots and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import attrs
import tyro
from attrs import define
from rich.table import Table

from uni4d.commands.common import Command
from uni4d.commands.evaluate_reconstruction import EvaluateReconstruction
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import section

__all__ = [
    "EvaluateAlignment",
    "EvaluateCommands",
    "EvaluateRetrieval",
    "EvaluateSchedules",
    "EvaluateSearch",
]

_SHOWN = ("r-name", "r-unseen", "r-instance")


@define(kw_only=True)
class EvaluateRetrieval(Command):
    """Compare ATMS with its baselines on objects that nobody learnt from, knowing shape and look only.

    Writes report.md, report.json, plots and a page of hits; goes on where it stopped.
    """

    out: Path
    """Folder for the report."""
    seeds: int = 3
    """Trainings of every arm."""
    arms: tuple[str, ...] = ()
    """Some of: knn-points knn-views knn-sum captions linear mlp atms-mean kernel atms atms-kernel (all of
    these by default), atms-shipped (the weights that ship, not trained anew)."""
    train_share: float = 0.9
    """Share of the training objects that each seed learns from; 1.0: all of them, as the shipped weights did,
    so that seeds differ by initialisation and sampling alone (arms in closed form not at all)."""
    scale: bool = False
    """Also fill galleries up with made-up objects, to 1.3 million."""
    recipe: Path | None = None
    """A TOML file with settings for the trainings of ATMS, as for uni4d train atms."""
    pictures: Path | None = None
    """A folder of named icons for ATMS to learn from too, as for uni4d train atms."""
    quick: bool = False
    """Short trainings, to see that everything runs; the figures mean nothing."""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import EfficientNetLite2, MiniLM
        from uni4d.evaluation.pictures import Picture
        from uni4d.evaluation.report import write_report
        from uni4d.evaluation.retrieval import evaluate_retrieval
        from uni4d.library.opened import open_library
        from uni4d.training.atms import AtmsTrainConfig
        from uni4d.training.named_pictures import named_pictures
        from uni4d.training.recipe import read_recipe

        settings, recipe = self._asked(), read_recipe(self.recipe, AtmsTrainConfig)
        library = open_library(self.settings().library)
        features = library.features()
        pictures = {
            asset.uid: Picture(asset.name, f"{asset.author}, {asset.licence}", library.thumbnail(asset.uid))
            for asset in library.assets()
        }
        with self.progress("evaluate") as progress:
            icons = None
            if self.pictures is not None:
                icons = named_pictures(self.pictures, EfficientNetLite2(), progress)
            evaluation = evaluate_retrieval(
                features,
                MiniLM(),
                settings,
                self.out / "runs",
                section(progress, 0.0, 0.97),
                atms=recipe,
                pictures=icons,
            )
            uids, writing = features.split("test").uids, section(progress, 0.97, 1.0)
            told = write_report(self.out, evaluation, uids, pictures, writing)
        if evaluation.failed:
            first = evaluation.failed[0]
            raise Uni4DError(
                "evaluation-unsound",
                f"{len(evaluation.failed)} sanity checks failed, first: {first.kind} ({first.subject}), "
                f"{first.detail}.",
                f"Do not trust these figures; {self.out / 'report.md'} lists every check.",
            )
        return {**told, "report": str(self.out / "report.md")}

    def _asked(self) -> Any:
        from uni4d.evaluation.retrieval import RetrievalSettings

        try:
            settings = RetrievalSettings(
                seeds=self.seeds, train_share=self.train_share, scale=self.scale, quick=self.quick
            )
        except ValueError as error:
            raise Uni4DError("bad-setting", f"{error}.") from error
        return attrs.evolve(settings, arms=self.arms) if self.arms else settings

    def show(self, result: dict[str, Any]) -> None:
        for task in result["tasks"]:
            if task["key"] not in _SHOWN:
                continue
            table = Table(title=f"{task['title']}, {task['queries']} queries", box=None, title_justify="left")
            table.add_column("arm")
            for metric in task["chance"]:
                table.add_column(metric, justify="right")
            table.add_row("chance", *(f"{value:.3f}" for value in task["chance"].values()))
            for arm, figures in task["arms"].items():
                table.add_row(arm, *(f"{figure['mean']:.3f}" for figure in figures.values()))
            stdout.print(table)
        stdout.print(f"{len(result['checks'])} sanity checks passed\n{result['report']}")


@define(kw_only=True)
class EvaluateSearch(Command):
    """Ask the product's search every prompt of a file, e.g. uni4d evaluate search --prompts FILE."""

    prompts: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """JSON: a list of {"prompt", "accept": [uids of all right assets], "note"}."""

    def run(self) -> dict[str, Any]:
        from uni4d.evaluation.product import evaluate_search, read_prompts
        from uni4d.pipeline import Stages

        prompts = read_prompts(self.prompts)
        stages = Stages(self.settings())
        with self.progress("search") as progress:
            table = stages.library.table
            groups = dict(zip((entry.uid for entry in table.entries), table.groups, strict=True))
            figures = evaluate_search(stages.searcher, prompts, groups, progress)
        return {"prompts": len(prompts), **attrs.asdict(figures)}

    def show(self, result: dict[str, Any]) -> None:
        for metric, figure in result["figures"].items():
            stdout.print(f"{metric:>10}  {_figure(figure)}")
        latency = result["latency"]
        stdout.print(f"{result['prompts']} prompts; p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms")
        misses = [answer for answer in result["answered"] if answer["rank"] != 0]
        if not misses:
            return
        table = Table(title="Not first", box=None, title_justify="left")
        for column in ("prompt", "wanted", "found first", "right one at"):
            table.add_column(column)
        for miss in misses:
            place = "not found" if miss["rank"] is None else str(miss["rank"] + 1)
            table.add_row(miss["prompt"], miss["note"], miss["first"], place)
        stdout.print(table)


@define(kw_only=True)
class EvaluateSchedules(Command):
    """Compare schedules of learning rate and temperature at equal gradient steps (Uni4D Table 5).

    Trains ATMS on the library with every schedule, from a good and from a bad starting rate, and measures
    what each hands over on objects that none of them has read. Writes schedules.md, schedules.json and plots,
    and goes on where it stopped. The recipe that comes with it is a small ATMS: minutes a run.
    """

    out: Path
    """Folder for the report and the runs."""
    seeds: int = 3
    strategies: tuple[str, ...] = ()
    """Some of: constant tuned cosine learned-temperature random bandit pbt mcts (all by default)."""
    starts: tuple[float, ...] = (2e-3, 2e-5)
    """Learning rates to start from."""
    budget: int | None = None
    """Gradient steps of every run, instead of the recipe's."""
    jobs: int = 2
    """Runs at a time."""
    recipe: Path | None = None
    """A TOML file with settings for the trainings, instead of the one that comes with the command."""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import MiniLM
        from uni4d.evaluation.schedule_report import write_schedule_report
        from uni4d.evaluation.schedules import ScheduleSettings, compare_schedules
        from uni4d.library.opened import open_library
        from uni4d.training.atms import AtmsTrainConfig
        from uni4d.training.recipe import read_recipe, shipped_recipe

        config = read_recipe(self.recipe or shipped_recipe("schedules"), AtmsTrainConfig)
        try:
            settings = ScheduleSettings(seeds=self.seeds, starts=self.starts, jobs=self.jobs)
            if self.strategies:
                settings = attrs.evolve(settings, strategies=self.strategies)
            if self.budget is not None:
                config = attrs.evolve(config, schedule=attrs.evolve(config.schedule, budget=self.budget))
        except ValueError as error:
            raise Uni4DError("bad-setting", f"{error}.") from error
        features = open_library(self.settings().library).features()
        with self.progress("schedules") as progress:
            compared = compare_schedules(features, MiniLM(), config, settings, self.out / "runs", progress)
        told = write_schedule_report(self.out, compared)
        return {**told, "report": str(self.out / "schedules.md")}

    def show(self, result: dict[str, Any]) -> None:
        for start in result["settings"]["starts"]:
            table = Table(title=f"From {start:g}", box=None, title_justify="left")
            for column in ("schedule", "recall@1", "recall@10", "mrr"):
                table.add_column(column, justify="left" if column == "schedule" else "right")
            for cell in result["cells"]:
                if cell["start"] == start:
                    figures = [_figure(cell["test"][name]) for name in ("recall@1", "recall@10", "mrr")]
                    table.add_row(cell["strategy"], *figures)
            stdout.print(table)
        stdout.print(result["report"])


@define(kw_only=True)
class EvaluateAlignment(Command):
    """Ask whether the alignment score means something, on objects that nobody learnt from (Uni4D Figure 7).

    Trains CrOSSMA with the full loss and with each level left out, and compares how often what belongs
    together has the better score. Writes alignment.md, alignment.json, plots and pictures.
    """

    out: Path
    """Folder for the report and the trainings; goes on from the folder of uni4d train crossma, too."""
    seed: int = 0
    shown: int = 8
    """Objects on the page of pictures."""
    emoji: bool = False
    """Train with the renders of Fluent emoji too, as uni4d train crossma --emoji does."""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import EfficientNetLite2, MiniLM
        from uni4d.evaluation.alignment import compare_alignments, percentiles
        from uni4d.evaluation.alignment_report import write_alignment_report
        from uni4d.library.formats.reading import load_mesh
        from uni4d.library.opened import open_library
        from uni4d.library.photographs import photograph
        from uni4d.training.fluent_emoji import fetch_emoji
        from uni4d.training.named_pictures import named_pictures

        library = open_library(self.settings().library)
        with self.progress("alignment") as progress:
            features, named = library.features(), None
            if self.emoji:
                named = named_pictures(fetch_emoji(progress), EfficientNetLite2(), progress)
            objects, figures, weights = compare_alignments(
                features, MiniLM(), self.seed, self.out, section(progress, 0.0, 0.9), named
            )
            step = max(1, len(objects) // max(self.shown, 1))
            uids, pictures = features.split("test").uids, dict[int, Any]()
            for row in range(0, len(objects), step)[: self.shown]:
                progress(0.9 + 0.1 * len(pictures) / self.shown, f"photographing {objects.names[row]}")
                mesh = load_mesh(Path(library.get(uids[row]).path))
                pictures[row] = photograph(mesh, objects.views.shape[1])
            told = write_alignment_report(
                self.out, figures, percentiles(objects, weights), objects.names, pictures
            )
        return {**told, "report": str(self.out / "alignment.md")}

    def show(self, result: dict[str, Any]) -> None:
        table = Table(box=None, title_justify="left")
        for column in ("alignment", "right text against another", "right object against another"):
            table.add_column(column)
        for row in result["variants"]:
            table.add_row(row["variant"], _figure(row["texts"]), _figure(row["objects"]))
        stdout.print(table)
        stdout.print(result["report"])


@define(kw_only=True)
class EvaluateCommands:
    """Measure retrieval, search, alignment, reconstruction, and what schedules give."""

    command: (
        Annotated[EvaluateRetrieval, tyro.conf.subcommand("retrieval")]
        | Annotated[EvaluateSearch, tyro.conf.subcommand("search")]
        | Annotated[EvaluateSchedules, tyro.conf.subcommand("schedules")]
        | Annotated[EvaluateAlignment, tyro.conf.subcommand("alignment")]
        | Annotated[EvaluateReconstruction, tyro.conf.subcommand("reconstruction")]
    )


def _figure(figure: dict[str, Any]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.2f}, {figure['high']:.2f}]"
