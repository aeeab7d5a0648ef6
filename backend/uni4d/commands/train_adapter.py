"""``uni4d train adapter`` and ``uni4d train clips``: the alignment's tokens for a video model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import define

from uni4d.commands.common import Command
from uni4d.commands.training import Training
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import section

if TYPE_CHECKING:
    from uni4d.config import DiffusionConfig

__all__ = ["TrainAdapter", "TrainClips"]

VideoModelName = Literal["cogvideox", "cogvideox15", "wan", "ltx"]


@define(kw_only=True)
class TrainAdapter(Training):
    """Train the adapter that brings the alignment's tokens into a video model's prompt, and nothing else of
    the model: uni4d train adapter --video-model wan --clips clips/ --out runs/wan-adapter.

    Learns from a folder of clips with their prompts and alignments: runs of uni4d generate, what
    uni4d train clips makes, or your own (backend/docs/video.md). Some objects are held out to validate with.
    Set adapter in the table of the video model, e.g. [video.wan], to the file that comes out.
    """

    video_model: VideoModelName
    """The model that the adapter is for; its table, e.g. [video.wan], says how it is loaded and how large its
    clips are."""
    clips: Path
    """Folder of clips."""
    model: str | None = None
    """Its weights: a folder or a repository of the Hugging Face hub, instead of the configured ones."""

    def run(self) -> dict[str, Any]:
        from uni4d.alignment.weights import weights_hash
        from uni4d.training.adapter import AdapterTrainConfig, train_adapter, video_config
        from uni4d.training.adapter_clips import find_clips
        from uni4d.training.recipe import read_recipe
        from uni4d.video.diffusers.conditioning import save_adapter
        from uni4d.video.diffusers.pipelines import load

        recipe = read_recipe(self.recipe, AdapterTrainConfig)
        settings = video_config(self._video(), self.video_model)
        self._check(settings)
        clips, log = find_clips(self.clips), self._log()
        with self.progress("train") as progress:
            loaded = load(self.video_model, settings, section(progress, 0.0, 0.1))
            adapter = train_adapter(
                *(loaded, clips, recipe, self.seed, section(progress, 0.1, 1.0)),
                folder=self.out,
                record=lambda row: log.write({"run": self.video_model, **row}),
            )
        path = self.out / "adapter.safetensors"
        about = {"weights": settings.weights, "seed": str(self.seed), "clips": str(len(clips))}
        save_adapter(adapter, path, about, alignment=weights_hash())
        return {**self._finish(path, log), "setting": f"video.{self.video_model}.adapter"}

    def _check(self, settings: DiffusionConfig) -> None:
        from uni4d.video.diffusers.pipelines import check

        try:
            check(self.video_model, settings)
        except Uni4DError as error:
            if error.code != "gpu-missing":
                raise
            cure = (
                "Train on a machine with an NVIDIA GPU and a CUDA build of PyTorch; a tiny model trains with "
                f'video.{self.video_model}.device = "cpu" too.'
            )
            raise Uni4DError(error.code, error.message, cure) from error

    def _video(self) -> DiffusionConfig:
        config: DiffusionConfig = getattr(self.settings().video, self.video_model)
        return config if self.model is None else attrs.evolve(config, weights=self.model)

    def show(self, result: dict[str, Any]) -> None:
        Training.show(self, result)
        last = result["last"]
        stdout.print(
            f"held-out clips: loss {last['validation_loss']:.4f}, without the adapter "
            f"{last['validation_loss_without']:.4f}; gate {last['validation_gate']:+.3f}"
        )
        stdout.print(f"use it: {result['setting']}")


@define(kw_only=True)
class TrainClips(Command):
    """Make clips to train an adapter with: uni4d train clips --out clips/ --count 200 --for-model wan.

    Assets of the library's train split, photographed without Blender, aligned with a prompt, moved by the
    kinematic generator. Run it again to go on where it stopped.
    """

    out: Path
    """Folder for NAME.u4d, NAME.alignment.u4d and NAME.txt, the prompt."""
    count: int = 24
    """Clips in all."""
    for_model: VideoModelName | None = None
    """Make them as long, as fast and as large as this model's, by its table, e.g. [video.wan]; else as the
    table [animate] says."""
    seed: int = 0

    def run(self) -> dict[str, Any]:
        from uni4d.pipeline import Stages
        from uni4d.training.clip_making import clip_settings, make_clips

        if self.count < 1:
            raise Uni4DError("bad-setting", f"count is {self.count}.", "Ask for one clip at least.")
        settings = self.settings()
        wanted = {} if self.for_model is None else clip_settings(getattr(settings.video, self.for_model))
        with self.progress("clips") as progress:
            made = make_clips(Stages(settings), self.out, self.count, self.seed, wanted, progress)
        return {"out": str(self.out), "clips": [path.name for path in made]}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{len(result['clips'])} clips in {result['out']}")
