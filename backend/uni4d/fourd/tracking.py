"""Coarse rigid tracking: where the whole object is in each frame, as if it did not deform.

Frame after frame at low resolution. The pose before, its extrapolation and a few turns about the upright and
the camera's axes are tried; each is first moved so that its silhouette covers the frame's, and the best is
refined by gradient descent through the rasteriser on blurred and sharp differences. So a full turn in
24 frames, or a flight across the picture, is followed without any hint of what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.layers import Layer
from uni4d.fourd.motion import RigidTrack
from uni4d.splatting.binding import multiply_quaternions
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.progress import Progress, silent

__all__ = ["track_rigidly", "tracking_loss"]

_TURNS_DEGREES = (-30.0, -15.0, -7.0, 7.0, 15.0, 30.0)
"""About the upright axis, tried in each frame besides the extrapolated pose."""
_TILTS_DEGREES = (-12.0, 12.0)
"""About the two horizontal axes of the camera."""
_REFINED = 2
"""How many of the best candidates get a short descent before one is chosen."""
_RATE = 0.03
"""Adam's step in radians and in radii at the start; it falls to a tenth."""
_PULL = 0.01
"""Weight of (distance from the extrapolated pose)²: decides only where the picture says nothing."""


@dataclass(frozen=True)
class _Pose:
    rotation: Tensor  # [4]
    shift: Tensor  # [3] radii

    def turned(self, by: Tensor) -> _Pose:
        return _Pose(multiply_quaternions(by, self.rotation), self.shift)


def tracking_loss(rendered: Rendered, image: Tensor, mask: Tensor) -> Tensor:
    """L1 at three blurs, and how much certain foreground is left uncovered."""
    difference = (rendered.image - image).permute(2, 0, 1)[None]
    total = difference.abs().mean()
    for factor in (2, 4, 8):
        if min(difference.shape[-2:]) >= 2 * factor:
            total = total + functional.avg_pool2d(difference, factor).abs().mean()
    return total + 0.5 * (mask * (1.0 - rendered.alpha)).mean()


def track_rigidly(
    layer: Layer,
    centre: Tensor,  # [3] metres
    radius: float,
    iterations: int = 40,
    progress: Progress = silent,
) -> RigidTrack:
    """The pose of the object in every frame, at the resolution of ``layer`` (best about 64 pixels wide)."""
    tracker = _Tracker(layer, centre, radius)
    rest = _Pose(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(3))
    poses: list[_Pose] = []
    frames = len(layer.targets.images)
    for frame in range(frames):
        last = poses[-1] if poses else rest
        guess = _extrapolated(poses[-2], last) if len(poses) > 1 else last

        def report(share: float, frame: int = frame) -> None:
            progress((frame + share) / frames, f"tracking frame {frame + 1} of {frames}")

        poses.append(tracker.locate(frame, last, guess, iterations, report))
    return RigidTrack(
        centre, torch.stack([p.rotation for p in poses]), torch.stack([p.shift for p in poses]) * radius
    )


class _Tracker:
    def __init__(self, layer: Layer, centre: Tensor, radius: float) -> None:
        self._layer, self._targets = layer, layer.targets
        self._centre, self._radius = centre, radius
        self._means = layer.splats.means.detach() - centre
        self._quaternions = layer.splats.quaternions.detach()
        self._camera_axes = torch.as_tensor(layer.targets.camera.world_to_camera[:3, :3], dtype=torch.float32)

    def locate(
        self, frame: int, last: _Pose, guess: _Pose, iterations: int, report: Callable[[float], None]
    ) -> _Pose:
        candidates = [guess, last]
        up = torch.tensor([0.0, 0.0, 1.0])
        candidates += [guess.turned(_turn(up, degrees)) for degrees in _TURNS_DEGREES]
        for axis in (self._camera_axes[0], self._camera_axes[2]):
            candidates += [guess.turned(_turn(axis, degrees)) for degrees in _TILTS_DEGREES]
        with torch.no_grad():
            scored = []
            for index, candidate in enumerate(candidates):
                placed = self._centred(frame, candidate) if index else candidate
                scored.append((float(self._loss(frame, placed, guess)), index, placed))
        report(0.3)
        best = sorted(scored, key=lambda item: item[:2])[:_REFINED]
        short = max(iterations // 4, 1)
        refined = [self._refined(frame, pose, guess, short, 1.0) for _, _, pose in best]
        report(0.6)
        _, winner = min(refined, key=lambda item: item[0])
        found = self._refined(frame, winner, guess, iterations - _REFINED * short, 0.5)[1]
        report(1.0)
        return found

    def _render(self, rotation: Tensor, shift: Tensor) -> Rendered:
        means = self._means @ rotation_matrices(rotation).T + self._centre + shift * self._radius
        quaternions = multiply_quaternions(rotation.expand_as(self._quaternions), self._quaternions)
        return self._layer.draw(means, quaternions)

    def _loss(self, frame: int, pose: _Pose, guess: _Pose) -> Tensor:
        rendered = self._render(pose.rotation, pose.shift)
        picture = tracking_loss(rendered, self._targets.images[frame], self._targets.masks[frame])
        aligned = (pose.rotation * guess.rotation).sum().square()  # cos² of half the angle between them
        return picture + _PULL * ((1.0 - aligned) + (pose.shift - guess.shift).square().sum())

    def _centred(self, frame: int, pose: _Pose) -> _Pose:
        """``pose`` moved parallel to the image so that its silhouette's centroid is the frame's."""
        difference = (self._targets.images[frame] - torch.tensor(self._targets.background)).abs().amax(-1)
        rendered = self._render(pose.rotation, pose.shift)
        own = (rendered.image - torch.tensor(self._targets.background)).abs().amax(-1)
        wanted, found = _centroid(difference), _centroid(own)
        if wanted is None or found is None:
            return pose
        hit = rendered.alpha > 0.5
        depth = rendered.depth[hit].mean() if bool(hit.any()) else torch.tensor(self._radius)
        focal = float(self._targets.camera.intrinsics[0, 0])
        offset = (wanted - found) * depth / focal  # metres along the image's x and y
        return _Pose(pose.rotation, pose.shift + offset @ self._camera_axes[:2] / self._radius)

    def _refined(
        self, frame: int, start: _Pose, guess: _Pose, steps: int, rate: float
    ) -> tuple[float, _Pose]:
        rotation, shift = start.rotation.clone(), start.shift.clone()
        twist = torch.zeros(3, requires_grad=True)  # half the rotation vector added to the start
        move = torch.zeros(3, requires_grad=True)
        groups: list[dict[str, Any]] = [
            {"params": [twist], "lr": rate * _RATE / 2},
            {"params": [move], "lr": rate * _RATE},
        ]
        optimiser = torch.optim.Adam(groups)
        best = math.inf, start
        for _ in range(max(steps, 1)):
            turn = functional.normalize(torch.cat([torch.ones(1), twist]), dim=0)
            pose = _Pose(multiply_quaternions(turn, rotation), shift + move)
            loss = self._loss(frame, pose, guess)
            if loss.item() < best[0]:
                best = loss.item(), _Pose(pose.rotation.detach(), pose.shift.detach())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            for group in optimiser.param_groups:
                group["lr"] *= 0.1 ** (1.0 / max(steps, 1))
        return best


def _turn(axis: Tensor, degrees: float) -> Tensor:
    half = math.radians(degrees) / 2
    return torch.cat([torch.tensor([math.cos(half)]), math.sin(half) * axis])


def _extrapolated(before: _Pose, last: _Pose) -> _Pose:
    """Constant velocity: the last step once more."""
    inverse = before.rotation * torch.tensor([1.0, -1.0, -1.0, -1.0])
    step = multiply_quaternions(last.rotation, inverse)
    return _Pose(
        functional.normalize(multiply_quaternions(step, last.rotation), dim=0), 2 * last.shift - before.shift
    )


def _centroid(weights: Tensor) -> Tensor | None:
    """``[2]`` (x, y) in pixels of non-negative ``weights`` ``[H, W]``; ``None`` where there is nothing."""
    weights = torch.where(weights > 0.03, weights, torch.zeros_like(weights)).clamp(max=0.3)
    total = weights.sum()
    if float(total) <= 0.0:
        return None
    rows = torch.arange(weights.shape[0], dtype=weights.dtype) + 0.5
    columns = torch.arange(weights.shape[1], dtype=weights.dtype) + 0.5
    return torch.stack([(weights.sum(0) * columns).sum(), (weights.sum(1) * rows).sum()]) / total
