"""What one run leaves in its folder, and how the results of its stages are read back."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from uni4d_shared.codec import read_file
from uni4d_shared.messages import AlignResult, AnimateResult, FitResult, SearchResult

__all__ = ["StageResults", "files_of_blender", "frame_number"]


@frozen
class StageResults:
    """The results that Blender received from the backend, one file each in ``stages/``."""

    search: SearchResult
    align: AlignResult
    animate: AnimateResult
    fit: FitResult

    @classmethod
    def read(cls, folder: Path) -> StageResults:
        """Read them from a run's folder; a damaged file is an error that names it."""
        stages = folder / "stages"
        return cls(
            read_file(stages / "search.u4d", SearchResult),
            read_file(stages / "alignment.u4d", AlignResult),
            read_file(stages / "animate.u4d", AnimateResult),
            read_file(stages / "fit.u4d", FitResult),
        )


def files_of_blender(folder: Path) -> list[Path]:
    """The files that the child Blender must have written into a run's folder."""
    names = (
        *("stages/search.u4d", "stages/alignment.u4d", "stages/animate.u4d", "stages/fit.u4d"),
        *("views/transforms.json", "views/depth.npz", "scene.blend", "animated.glb", "blender.json"),
    )
    return [folder / name for name in names]


def frame_number(path: Path) -> int:
    """The scene's frame, of which the first is 1, that a picture in ``renders4d/`` shows."""
    return int(path.stem.rsplit("_", 1)[1])
