"""What is assumed of a motion before any frame is seen: locally rigid, and smooth in time.

All terms are free of units: lengths are relative to edges or to the object's radius.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d.fourd.motion import MotionParameters
from uni4d.splatting.projection import rotation_matrices

__all__ = ["rigidity", "smoothness"]


def rigidity(motion: MotionParameters, edges: Tensor, frames: Tensor) -> Tensor:
    """As-rigid-as-possible on the node graph (Sumner et al. 2007, E_reg), per edge length squared.

    For an edge i→j, node i predicts where j goes: ‖R_i (n_j − n_i) + n_i + t_i − (n_j + t_j)‖²; both ways.
    """
    if len(edges) == 0:
        return motion.translations.new_zeros(())
    ends = torch.cat([edges, edges.flip(1)])
    rest = (motion.nodes[ends[:, 1]] - motion.nodes[ends[:, 0]]) / motion.radius  # [2E, 3]
    now = motion.local_positions(frames)
    found = now[:, ends[:, 1]] - now[:, ends[:, 0]]  # [B, 2E, 3]
    turned = (rotation_matrices(motion.rotations[frames])[:, ends[:, 0]] @ rest[:, :, None])[..., 0]
    return ((found - turned).square().sum(-1) / rest.square().sum(-1)).mean()


def smoothness(motion: MotionParameters, frames: Tensor) -> Tensor:
    """Mean squared acceleration of the nodes, in radii per frame², plus a tenth of their squared velocity.

    Neighbouring frames count as given: each frame answers for its own place between them.
    """
    last = len(motion.translations) - 1
    if last < 1:
        return motion.translations.new_zeros(())
    before, after = (frames - 1).clamp(min=0), (frames + 1).clamp(max=last)
    with torch.no_grad():
        earlier, later = motion.translations[before], motion.translations[after]
        turn_earlier, turn_later = motion.rotations[before], motion.rotations[after]
        pose_earlier, pose_later = motion.pose_shifts[before], motion.pose_shifts[after]
    inner = ((frames > 0) & (frames < last)).float()
    now, turn, pose = motion.translations[frames], motion.rotations[frames], motion.pose_shifts[frames]
    bend = (earlier - 2 * now + later).square().mean((1, 2)) + 0.1 * (
        _aligned(turn_earlier, turn) - 2 * turn + _aligned(turn_later, turn)
    ).square().mean((1, 2))
    bend = bend + (pose_earlier - 2 * pose + pose_later).square().mean(1)
    pace = (now - earlier).square().mean((1, 2)) + (later - now).square().mean((1, 2))
    return (inner * bend + 0.1 * pace).mean()


def _aligned(quaternions: Tensor, reference: Tensor) -> Tensor:
    """±q, whichever is nearer to ``reference``."""
    flip = (quaternions * reference.detach()).sum(-1, keepdim=True) < 0
    return torch.where(flip, -quaternions, quaternions)
