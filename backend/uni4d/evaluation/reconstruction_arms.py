"""What is compared in the reconstruction benchmark: ways to get moving splats from a filmed scene.

``oracle`` is given the true vertices and the true light, and shows what the splats at rest are worth;
``oracle-four`` is given them, too, and lets the splats look at four clips: what they could be worth.
``four-cameras`` and ``one-camera`` are the fit (:func:`uni4d.fourd.fit`) of the clips; ``hexplane-…`` deforms
the same splats at rest by HexPlane; ``per-frame-…`` fits them to every frame anew, each from the rest pose.
The last two spend as many rendering steps as the fit is configured to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from uni4d.config import FitConfig
from uni4d.evaluation.reconstruction_oracle import Oracle, bytes_of
from uni4d.evaluation.reconstruction_truth import Truth
from uni4d.fourd.fit import renderings
from uni4d.fourd.targets import Targets, clip_camera, pyramid
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Gaussians4D, Splats

__all__ = ["ARMS", "Moving", "budget", "cameras_of", "make_arm"]

Array = NDArray[Any]


class Moving(Protocol):
    """Splats in motion, with what they move."""

    @property
    def iterations(self) -> int:
        """Rendering steps that it took."""

    @property
    def megabytes(self) -> float:
        """Of what must be kept to show it."""

    def splats_at(self, time: float) -> Splats:
        """At ``time`` in frames, whole or between."""

    def vertices_at(self, time: float) -> Array:
        """``[P, 3]``"""


def budget(config: FitConfig, frames: int) -> int:
    """Rendering steps of a fit of one clip."""
    return renderings(config, frames)


def make_arm(name: str, truth: Truth, config: FitConfig, progress: Progress) -> Moving:
    """Reconstruct a scene by the arm of that name in :data:`ARMS`."""
    return ARMS[name].make(truth, config, progress)


def cameras_of(names: Sequence[str]) -> int:
    """How many cameras' clips the arms of these names need."""
    return max(ARMS[name].cameras for name in names)


def _oracle(cameras: int) -> Callable[[Truth, FitConfig, Progress], Moving]:
    def make(truth: Truth, config: FitConfig, progress: Progress) -> Moving:
        oracle = Oracle.of(truth, _at_rest(truth, config, section(progress, 0.0, 0.6)))
        return oracle.refined(cameras, config, section(progress, 0.6, 1.0)) if cameras else oracle

    return make


# --- the fit ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fitted:
    result: Gaussians4D
    iterations: int
    megabytes: float

    def vertices_at(self, time: float) -> Array:
        from uni4d_shared.skinning import vertices_at

        return vertices_at(self.result, time)

    def splats_at(self, time: float) -> Splats:
        from uni4d_shared.skinning import splats_at

        return splats_at(self.result, time)


def _fit(cameras: int) -> Callable[[Truth, FitConfig, Progress], Moving]:
    def make(truth: Truth, config: FitConfig, progress: Progress) -> Moving:
        from uni4d.fourd import fit
        from uni4d_shared.codec import write_file

        clips: Any = truth.clips[0] if cameras == 1 else truth.clips[:cameras]
        fitted = fit(truth.mesh, truth.views, truth.alignment, clips, config, progress)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.u4d"
            write_file(path, fitted)
            size = path.stat().st_size / 1e6
        return _Fitted(fitted.result, int(fitted.metrics["iterations"]), size)

    return make


# --- free splats --------------------------------------------------------------------------------------


class _Free:
    """Splats that nothing binds; a vertex goes where the splats nearest to it at rest go."""

    def __init__(
        self,
        truth: Truth,
        rest: SplatParameters,
        at: Callable[[float], SplatParameters],
        iterations: int,
        kept: int,
    ) -> None:
        self.iterations = iterations
        self.megabytes = kept / 1e6
        self._at, self._rest = at, rest
        self._vertices = truth.mesh.vertices
        _, near = cKDTree(rest.means.numpy()).query(truth.mesh.vertices, k=min(4, len(rest)))
        self._near = np.asarray(near).reshape(len(self._vertices), -1)

    def splats_at(self, time: float) -> Splats:
        return self._at(time).activated()

    def vertices_at(self, time: float) -> Array:
        moved = (self._at(time).means - self._rest.means).numpy()
        return np.asarray(self._vertices + moved[self._near].mean(axis=1))


def _hexplane(cameras: int) -> Callable[[Truth, FitConfig, Progress], Moving]:
    def make(truth: Truth, config: FitConfig, progress: Progress) -> Moving:
        from uni4d.fourd.hexplane import fit_hexplane

        bound = _at_rest(truth, config, section(progress, 0.0, 0.2))
        targets = _targets(truth, cameras)
        steps = budget(config, len(targets[0].images))
        fitted = fit_hexplane(bound, targets, steps, progress=section(progress, 0.2, 1.0), seed=config.seed)
        planes = sum(parameter.nbytes for parameter in fitted.field.parameters())
        return _Free(truth, fitted.splats, fitted.at, steps, planes + bytes_of(fitted.splats))

    return make


_RATES = {"means": 0.005, "quaternions": 0.005, "log_scales": 0.005, "coefficients": 0.01}
"""Adam; means in radii of the object. As DreamGaussian (Tang et al. 2023), but for the means, which have a
way to go."""


def _per_frame(cameras: int) -> Callable[[Truth, FitConfig, Progress], Moving]:
    def make(truth: Truth, config: FitConfig, progress: Progress) -> Moving:
        bound = _at_rest(truth, config, section(progress, 0.0, 0.2))
        targets, fitting = _targets(truth, cameras), section(progress, 0.2, 1.0)
        frames = len(targets[0].images)
        steps = budget(config, frames)
        _, radius = bounding_sphere(truth.mesh.vertices)
        fitted = []
        for frame in range(frames):
            fitting(frame / frames, f"fitting frame {frame + 1} of {frames} alone")
            fitted.append(_alone(bound.splats, targets, frame, steps // frames, radius))

        def at(time: float) -> SplatParameters:
            return fitted[min(int(time), frames - 1)]  # nothing is known between frames

        kept = sum(bytes_of(splats) for splats in fitted)
        return _Free(truth, bound.splats.detached(), at, steps, kept)

    return make


def _alone(
    rest: SplatParameters, targets: Sequence[Targets], frame: int, steps: int, radius: float
) -> SplatParameters:
    from uni4d.fourd.frame_loss import frame_loss
    from uni4d.splatting.rasterise import render

    splats = rest.detached(trainable=True)
    groups = [
        {"params": [getattr(splats, name)], "lr": rate * (radius if name == "means" else 1.0)}
        for name, rate in _RATES.items()
    ]
    optimiser = torch.optim.Adam(groups, eps=1e-15)
    for step in range(steps):
        seen = targets[step % len(targets)]
        rendered = render(splats, seen.camera, seen.background)
        loss = frame_loss(rendered, seen.images[frame], seen.masks[frame])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return splats.detached()


# --- what they share ----------------------------------------------------------------------------------


def _at_rest(truth: Truth, config: FitConfig, progress: Progress) -> BoundSplats:
    """The static stage alone, as the fit configures it."""
    from uni4d.splatting.static import splats_at_rest

    return splats_at_rest(
        *(truth.mesh, truth.views, config.splats, config.static_iterations, progress),
        placed_share=config.placed_share, seed=config.seed,
    )  # fmt: skip


def _targets(truth: Truth, cameras: int) -> list[Targets]:
    """The clips at full size."""
    key = truth.views.cameras[truth.alignment.key_view]
    return [pyramid(clip, clip_camera(clip, key))[-1] for clip in truth.clips[:cameras]]


@dataclass(frozen=True)
class _Arm:
    make: Callable[[Truth, FitConfig, Progress], Moving]
    cameras: int
    """Whose clips it needs."""


ARMS: dict[str, _Arm] = {
    "oracle": _Arm(_oracle(0), 1),
    "oracle-four": _Arm(_oracle(4), 4),
    "four-cameras": _Arm(_fit(4), 4),
    "hexplane-four": _Arm(_hexplane(4), 4),
    "per-frame-four": _Arm(_per_frame(4), 4),
    "one-camera": _Arm(_fit(1), 1),
    "hexplane-one": _Arm(_hexplane(1), 1),
    "per-frame-one": _Arm(_per_frame(1), 1),
}
"""Name → how it is made."""
