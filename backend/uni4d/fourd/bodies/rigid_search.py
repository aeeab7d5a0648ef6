"""The whole object as one rigid body, from its last shape: a search that does not care how far it went.

The shape before, its extrapolation and a few turns about the upright and the camera's axes are moved so that
their silhouette covers the frame's; the best few are refined by Gauss-Newton steps of six unknowns. A vase
looks the same from all sides: a turn that was not expected has to look clearly better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.rotations import best_turns, cross_matrices, exponential
from uni4d.fourd.sight import Seen, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import Carried, multiply_quaternions, quaternions_from_matrices
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.threads import side_by_side

__all__ = ["RigidSearch"]

_TURNS_DEGREES = (-30.0, -15.0, 15.0, 30.0)
"""About the upright axis, tried besides the extrapolation."""
_TILTS_DEGREES = (-12.0, 12.0)
"""About the two horizontal axes of the first camera."""
_CLEARLY = 0.9
"""Share of the difference from the frame that may be left after a turn that was not expected."""
_REFINED = 2
_HOPELESS = 2.0
"""Times the cost of a frame that is explained, from which finer pictures will not help."""
_STEPS = 6
_DAMPING = 1e-3
_LARGEST_STEP = 0.35
"""Radians, and radii."""
_BLURS = (2, 4, 8)
_VISIBLE = 0.03
"""Difference from the background that belongs to the object."""


@dataclass(frozen=True)
class _Pose:
    rotation: Tensor  # [4]
    shift: Tensor  # [3] metres
    expected: bool = True

    def turned(self, by: Tensor) -> _Pose:
        """As nobody expects."""
        return _Pose(functional.normalize(multiply_quaternions(by, self.rotation), dim=0), self.shift, False)


@dataclass(frozen=True)
class _Drawn:
    """What a pose looks like, and by how much that is not the frame."""

    pose: _Pose
    seen: Seen
    loss: float

    @property
    def rank(self) -> float:
        """The lower, the better."""
        return self.loss if self.pose.expected else self.loss / _CLEARLY


class RigidSearch:
    """Moves a shape as a whole until it covers a frame."""

    def __init__(self, sights: list[Sight], radius: float, explained: float) -> None:
        """``sights``: coarse first; the search runs on the first, the others refine, as long as the cost per
        observation is not far from ``explained``."""
        self._sights, self._radius, self._hopeless = sights, radius, _HOPELESS * explained

    def located(self, frame: int, before: NodeState, ahead: NodeState) -> NodeState:
        """``before``, carried rigidly to where ``frame`` shows it; ``ahead`` is where it is expected."""
        about = before.positions.mean(0)
        expected = self._fitted_to(before, ahead, about)
        rest = _Pose(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(3))
        coarse = self._sights[0].carried(before)
        candidates = [
            expected,
            rest,
            *side_by_side(lambda pose: self._centred(frame, pose, coarse, about), self._turned(expected)),
        ]
        drawn = side_by_side(lambda pose: self._drawn(0, frame, pose, coarse, about), candidates)
        best = sorted(drawn, key=lambda one: one.rank)[:_REFINED]
        refined = side_by_side(lambda one: self._refined(0, frame, one, coarse, about), best)
        pose = min(refined, key=lambda one: one.rank).pose
        for level in range(1, len(self._sights)):
            shape = self._sights[level].carried(before)
            found = self._refined(level, frame, self._drawn(level, frame, pose, shape, about), shape, about)
            pose = found.pose
            if self._sights[level].misfit(frame, found.seen) > self._hopeless:
                break
        return before.carried(pose.rotation, pose.shift, about)

    def _fitted_to(self, before: NodeState, ahead: NodeState, about: Tensor) -> _Pose:
        """The rigid motion from ``before`` to ``ahead``, about the mean of ``before``."""
        turn = best_turns(before.positions, ahead.positions)
        return _Pose(quaternions_from_matrices(turn[None])[0], ahead.positions.mean(0) - about)

    def _turned(self, pose: _Pose) -> list[_Pose]:
        axes = self._sights[0].lenses[0].rotation
        up = torch.tensor([0.0, 0.0, 1.0])
        turned = [pose, *(pose.turned(_turn(up, degrees)) for degrees in _TURNS_DEGREES)]
        return turned + [pose.turned(_turn(axes[a], degrees)) for a in (0, 2) for degrees in _TILTS_DEGREES]

    def _look(self, level: int, frame: int, pose: _Pose, shape: Carried, about: Tensor) -> Seen:
        means = (shape.means - about) @ rotation_matrices(pose.rotation).T + about + pose.shift
        turned = multiply_quaternions(pose.rotation.expand_as(shape.quaternions), shape.quaternions)
        return self._sights[level].look_at(Carried(means, turned), frame)

    def _drawn(self, level: int, frame: int, pose: _Pose, shape: Carried, about: Tensor) -> _Drawn:
        seen = self._look(level, frame, pose, shape, about)
        return _Drawn(pose, seen, self._difference(level, frame, seen))

    def _difference(self, level: int, frame: int, seen: Seen) -> float:
        """L1, sharp and at three blurs."""
        total = 0.0
        for rendered, frames in zip(seen.rendered, self._sights[level].frames, strict=True):
            difference = (rendered.image - frames[frame]).permute(2, 0, 1)[None]
            total += float(difference.abs().mean())
            for factor in _BLURS:
                if min(difference.shape[-2:]) >= 2 * factor:
                    total += float(functional.avg_pool2d(difference, factor).abs().mean())
        return total

    def _centred(self, frame: int, pose: _Pose, shape: Carried, about: Tensor) -> _Pose:
        """Moved parallel to the first camera's image so that the silhouettes' centroids meet."""
        sight = self._sights[0]
        seen = self._look(0, frame, pose, shape, about)
        corner = sight.frames[0][frame][0, 0]
        wanted, found = (_centroid(i - corner) for i in (sight.frames[0][frame], seen.rendered[0].image))
        if wanted is None or found is None:
            return pose
        lens = sight.lenses[0]
        offset = (wanted - found) * lens.depths(seen.points).mean() / lens.focal
        return replace(pose, shift=pose.shift + offset @ lens.rotation[:2])

    def _refined(self, level: int, frame: int, start: _Drawn, shape: Carried, about: Tensor) -> _Drawn:
        """Gauss-Newton with Levenberg's damping; the best pose on the way."""
        best, damping = start, _DAMPING / 3
        for _ in range(_STEPS):
            move = self._step(level, frame, best.seen, about + best.pose.shift, damping)
            rotation = multiply_quaternions(exponential(move[:3]), best.pose.rotation)
            shift = best.pose.shift + move[3:] * self._radius
            pose = _Pose(functional.normalize(rotation, dim=0), shift, best.pose.expected)
            tried = self._drawn(level, frame, pose, shape, about)
            if tried.loss < best.loss:
                best, damping = tried, max(damping / 3, 1e-5)
            else:
                damping *= 10
            if damping > 100:
                break
        return best

    def _step(self, level: int, frame: int, seen: Seen, about: Tensor, damping: float) -> Tensor:
        """``[6]``: a rotation vector and a shift in radii."""
        hessian, gradient = torch.zeros(6, 6), torch.zeros(6)
        for found in self._sights[level].linearised(frame, seen):
            arms = seen.points[found.splats] - about
            unit = (self._radius * torch.eye(3)).expand(len(arms), 3, 3)
            slopes = found.slopes @ torch.cat([-cross_matrices(arms), unit], dim=2)
            weighted = slopes * found.weights[:, None, None]
            hessian += torch.einsum("vci,vcj->ij", weighted, slopes)
            gradient += torch.einsum("vci,vc->i", weighted, found.residuals)
        diagonal = hessian.diagonal()
        hessian = hessian + torch.diag(damping * diagonal + 1e-6 * diagonal.mean() + 1e-12)
        return -torch.linalg.solve(hessian, gradient).clamp(-_LARGEST_STEP, _LARGEST_STEP)


def _turn(axis: Tensor, degrees: float) -> Tensor:
    return exponential(math.radians(degrees) * axis)


def _centroid(difference: Tensor) -> Tensor | None:
    """``[2]`` (x, y) in pixels of where ``[H, W, 3]`` is not zero; ``None`` where it is nowhere."""
    weights = difference.abs().amax(-1)
    weights = torch.where(weights > _VISIBLE, weights, torch.zeros_like(weights)).clamp(max=0.3)
    total = weights.sum()
    if float(total) <= 0.0:
        return None
    rows, columns = torch.arange(weights.shape[0]) + 0.5, torch.arange(weights.shape[1]) + 0.5
    return torch.stack([(weights.sum(0) * columns).sum(), (weights.sum(1) * rows).sum()]) / total
