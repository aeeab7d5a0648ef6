"""``uni4d train``: the models of the ``local`` profile, trained from a library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import tyro
from attrs import define

from uni4d.commands.common import Command
from uni4d.commands.train_adapter import TrainAdapter, TrainClips
from uni4d.commands.training import Training
from uni4d.config import LibraryConfig
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

if TYPE_CHECKING:
    from uni4d.retrieval.atms import ATMS
    from uni4d.training.atms import AtmsTask, AtmsTrainConfig, NamedPictures
    from uni4d.training.distributed import Ranks

__all__ = ["TrainAtms", "TrainCommands", "TrainCrossma", "TrainKernel", "TrainPoints"]


@define(kw_only=True)
class TrainAtms(Training):
    """Train ATMS, the retrieval model, on a built library: uni4d train atms --out runs/atms.

    Learns from the library's train split, chooses the best step on its validation split, never reads its
    test split. Several processes: torchrun --nproc-per-node 2 -m uni4d.cli train atms --out runs/atms.
    """

    pictures: Path | None = None
    """A folder of named icons to learn from too, e.g. the npm package @lobehub/fluent-emoji-3d, unpacked."""
    schedule: str = ""
    """Search for the schedule of rate and temperature while training: mcts, pbt, bandit, random, tuned,
    constant, cosine or learned-temperature, each with the budget of the recipe's table [schedule]; or replay
    a schedule.json that such a training wrote. Empty: the schedule of the recipe's [loop]."""
    budget: int | None = None
    """Gradient steps of a searched schedule, instead of the recipe's."""
    workers: int | None = None
    """Processes that train for the search at the same time, instead of the recipe's."""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import EfficientNetLite2, MiniLM
        from uni4d.library.opened import open_library
        from uni4d.retrieval.encoder import RetrievalWeights, save_weights
        from uni4d.training.atms import AtmsTask, AtmsTrainConfig
        from uni4d.training.atms_schedules import config_for
        from uni4d.training.atms_training import kernel_map
        from uni4d.training.distributed import ranks_of_torchrun
        from uni4d.training.named_pictures import named_pictures
        from uni4d.training.recipe import read_recipe

        config = config_for(self.schedule, self._asked(read_recipe(self.recipe, AtmsTrainConfig)))
        features = open_library(self.settings().library).features()
        encoder = MiniLM()
        log = self._log()
        weights = self.out / "atms.safetensors"
        with ranks_of_torchrun(config.loop.device) as ranks:
            with self.progress("train") as progress:
                shown = None
                if self.pictures is not None:
                    shown = named_pictures(self.pictures, EfficientNetLite2(), progress)
                task = AtmsTask(features.split("train"), features.split("validation"), encoder, config, shown)

                def record(member: int, row: dict[str, float]) -> None:
                    if ranks.first:
                        log.write({"run": f"member {member}", **row})

                members = self._members(task, config, progress, record, ranks)
            if ranks.first:
                kernel = kernel_map([features.split("train"), features.split("validation")], encoder)
                about = {"seed": str(self.seed), "objects": str(task.size)}
                save_weights(RetrievalWeights(tuple(members), kernel), weights, about)
        return self._finish(weights, log)

    def _asked(self, config: AtmsTrainConfig) -> AtmsTrainConfig:
        """The recipe with what the command line changes."""
        schedule = config.schedule
        try:
            if self.budget is not None:
                schedule = attrs.evolve(schedule, budget=self.budget)
            if self.workers is not None:
                schedule = attrs.evolve(schedule, workers=self.workers)
            return attrs.evolve(config, schedule=schedule)
        except ValueError as error:
            raise Uni4DError("bad-setting", f"{error}.") from error

    def _members(
        self,
        task: AtmsTask,
        config: AtmsTrainConfig,
        progress: Progress,
        record: Callable[[int, dict[str, float]], None],
        ranks: Ranks,
    ) -> list[ATMS]:
        from uni4d.training.atms_schedules import search_members
        from uni4d.training.atms_training import train_members
        from uni4d.training.schedules.records import read_schedule

        if self.schedule and not self.schedule.endswith(".json"):
            return search_members(
                self.schedule, task, config, self.seed, progress, self.out, record=record, ranks=ranks
            )
        schedule = None
        if self.schedule:
            schedule, steps = read_schedule(Path(self.schedule), config.loop.warmup)
            config = attrs.evolve(config, loop=attrs.evolve(config.loop, steps=steps))
        return train_members(
            task,
            config,
            self.seed,
            progress,
            folder=self.out,
            schedule=schedule,
            record=record,
            ranks=ranks,
        )


@define(kw_only=True)
class TrainKernel(Command):
    """Fit the kernel map anew beside trained members of ATMS: uni4d train kernel --out runs/kernel.

    The members stay as they are, to the last bit; the kernel map learns from the library's train and
    validation splits in closed form, in seconds. For when the library or the map changed, not ATMS.
    """

    out: Path
    """Folder for atms.safetensors."""
    members: Path | None = None
    """Weights whose members are kept; by default those that come with Uni4D."""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import MiniLM
        from uni4d.library.opened import open_library
        from uni4d.retrieval.encoder import WEIGHTS, RetrievalWeights, load_members, save_weights
        from uni4d.training.atms_training import kernel_map

        members = load_members(self.members or WEIGHTS)
        features = open_library(self.settings().library).features()
        known = [features.split("train"), features.split("validation")]
        kernel = kernel_map(known, MiniLM())
        weights = self.out / "atms.safetensors"
        self.out.mkdir(parents=True, exist_ok=True)
        objects = sum(len(some) for some in known)
        save_weights(RetrievalWeights(members, kernel), weights, {"kernel objects": str(objects)})
        return {"weights": str(weights), "members": len(members), "objects": objects}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['members']} members kept, a kernel map of {result['objects']} objects")
        stdout.print(f"weights: {result['weights']}")


@define(kw_only=True)
class TrainCrossma(Training):
    """Train CrOSSMA, the alignment of words with photographs, on a built library: uni4d train crossma.

    First trains a few retrieval models, each without a part of the objects, for vectors that nobody has
    learnt by heart; then CrOSSMA on the library's train split. Never reads its test split.
    """

    emoji: bool = False
    """Learn from the renders of Fluent emoji too, which npm downloads the first time (16 MB)."""
    pictures: Path | None = None
    """A folder of named icons to learn from instead of them."""

    def run(self) -> dict[str, Any]:
        from uni4d.alignment.weights import save_crossma
        from uni4d.encoders.local import MiniLM
        from uni4d.library.opened import open_library
        from uni4d.training.atms import AtmsTrainConfig
        from uni4d.training.crossma import CrossmaTrainConfig
        from uni4d.training.crossma_training import cross_fitted, train_crossma
        from uni4d.training.recipe import read_recipe

        config = read_recipe(self.recipe, CrossmaTrainConfig)
        features, encoder = open_library(self.settings().library).features(), MiniLM()
        log = self._log()
        with self.progress("train") as progress:
            shown = self._shown(section(progress, 0.0, 0.1))
            fitting, learning = section(progress, 0.1, 0.8), section(progress, 0.8, 1.0)
            fitted = cross_fitted(
                features, encoder, config, AtmsTrainConfig(), self.seed, fitting, self.out, shown
            )
            weights = train_crossma(
                fitted,
                config,
                self.seed,
                learning,
                folder=self.out,
                record=lambda row: log.write({"run": "crossma", **row}),
            )
        path = self.out / "crossma.safetensors"
        pictures = 0 if fitted.pictures is None else len(fitted.pictures)
        about = {"seed": self.seed, "objects": len(fitted.train), "pictures": pictures}
        save_crossma(weights, path, {name: str(value) for name, value in about.items()})
        return self._finish(path, log)

    def _shown(self, progress: Progress) -> NamedPictures | None:
        from uni4d.encoders.local import EfficientNetLite2
        from uni4d.training.fluent_emoji import fetch_emoji
        from uni4d.training.named_pictures import named_pictures

        folder = fetch_emoji(progress) if self.emoji and self.pictures is None else self.pictures
        return None if folder is None else named_pictures(folder, EfficientNetLite2(), progress)


@define(kw_only=True)
class TrainPoints(Training):
    """Train the small point encoder on built libraries: uni4d train points --out runs/points.

    Learns from the default library's train split and from all of the further libraries; validates on the
    default library's validation split; never reads its test split.
    """

    objects: tuple[Path, ...] = ()
    """Folders of further meshes that were built with: uni4d library build --source folder --path FOLDER"""

    def run(self) -> dict[str, Any]:
        from uni4d.encoders.local import MiniLM
        from uni4d.encoders.local.points import save_network
        from uni4d.training.points import PointTrainConfig
        from uni4d.training.points_training import joined, point_objects, train_points
        from uni4d.training.recipe import read_recipe

        config = read_recipe(self.recipe, PointTrainConfig)
        library = self.settings().library
        learnt = [point_objects(library, ("train",))]
        learnt += [point_objects(_folder(library, path), None) for path in self.objects]
        validation = point_objects(library, ("validation",))
        if not learnt[0].names or not validation.names:
            raise Uni4DError(
                "library-small",
                "The library has no objects to learn from or to validate with.",
                "Build a larger one: uni4d library build",
            )
        log = self._log()
        weights = self.out / "points.safetensors"
        with self.progress("train") as progress:
            network = train_points(
                joined(learnt),
                validation,
                MiniLM(),
                config,
                self.seed,
                progress,
                folder=self.out,
                record=lambda row: log.write({"run": "points", **row}),
            )
        count = sum(len(some.names) for some in learnt)
        save_network(network, weights, {"seed": str(self.seed), "objects": str(count)})
        return self._finish(weights, log)


@define(kw_only=True)
class TrainCommands:
    """Train the models that come with the local profile, and adapters for video models."""

    command: (
        Annotated[TrainAtms, tyro.conf.subcommand("atms")]
        | Annotated[TrainKernel, tyro.conf.subcommand("kernel")]
        | Annotated[TrainCrossma, tyro.conf.subcommand("crossma")]
        | Annotated[TrainPoints, tyro.conf.subcommand("points")]
        | Annotated[TrainClips, tyro.conf.subcommand("clips")]
        | Annotated[TrainAdapter, tyro.conf.subcommand("adapter")]
    )


def _folder(library: LibraryConfig, path: Path) -> LibraryConfig:
    return attrs.evolve(library, source="folder", path=path)
