"""Deformation by HexPlane, as DreamGaussian4D has it: what the fit's control nodes are measured against.

A point x and a time t are looked up bilinearly in six planes of features, XY XZ YZ and XT YT ZT, at several
resolutions; the six features are multiplied, those of the resolutions put side by side, and a small network
makes of them a shift, a turn and a growth of the splat that is there:

    f(x, t) = ⊕_l ∏_p  plane_{l,p}(x, t)        (Δμ, Δq, Δ log s) = heads(ReLU-net(f))

The heads end in zeros, so everything starts at rest. Splats are free: nothing binds them to the mesh. Planes
start as in K-Planes (Fridovich-Keil et al. 2023): those of time are one, those of space random. Resolutions,
rates and weights are those of DreamGaussian4D (Ren et al. 2023), which has them from Wu et al. (4D Gaussian
Splatting, 2024); the finest two of its four resolutions are left out, because they hold thirty million
numbers, too many for an optimiser on a CPU.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from uni4d.fourd.checkpoint import Checkpoint, Kept, adam_tensors, restore_adam
from uni4d.fourd.frame_loss import frame_loss
from uni4d.fourd.targets import Targets
from uni4d.splatting.binding import BoundSplats, multiply_quaternions
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import rasterise
from uni4d_shared.progress import Progress, silent

__all__ = ["Deformation", "HexPlane", "HexPlaneConfig", "HexPlaneFit", "fit_hexplane"]

_SPACE = tuple(itertools.combinations(range(3), 2))
"""XY, XZ, YZ"""


@dataclass(frozen=True)
class HexPlaneConfig:
    """Sizes, learning rates (Adam) and weights of the regularisers."""

    resolution: int = 64
    """Cells along each axis of space, at level 1."""
    times: int = 25
    """Cells along time, at every level."""
    levels: tuple[int, ...] = (1, 2)
    """Multiples of the resolution."""
    channels: int = 32
    width: int = 64
    """Of the network."""
    reach: float = 1.6
    """The planes cover this many times the extent of what is fitted."""
    grid_rate: float = 0.0064
    network_rate: float = 0.00064
    weight_plane_variation: float = 1e-4
    weight_time_smoothness: float = 1e-2
    weight_time_planes: float = 1e-4


class Deformation(NamedTuple):
    """What happens to splats at some times."""

    means_offset: Tensor  # [B, N, 3] metres
    quaternions: Tensor  # [B, N, 4] wxyz, to be applied after a splat's own
    log_scale_offset: Tensor  # [B, N, 3]


class HexPlane(nn.Module):
    """Space and time → deformation."""

    def __init__(self, bounds: Tensor, frames: int, config: HexPlaneConfig | None = None) -> None:
        """``bounds`` ``[2, 3]``: least and greatest coordinates of what is fitted, metres. Time has no more
        cells than there are ``frames``."""
        super().__init__()
        self.config = config = config or HexPlaneConfig()
        self.register_buffer("centre", bounds.float().mean(0))
        self.register_buffer("unit", 0.5 * (bounds[1] - bounds[0]).float().max())
        self.centre: Tensor
        self.unit: Tensor
        times, channels = min(config.times, max(frames, 2)), config.channels
        self.space, self.time = nn.ParameterList(), nn.ParameterList()
        for level in config.levels:
            cells = level * config.resolution
            for _ in _SPACE:
                self.space.append(nn.Parameter(torch.empty(1, channels, cells, cells).uniform_(0.1, 0.5)))
            for _ in range(3):
                self.time.append(nn.Parameter(torch.ones(1, channels, times, cells)))
        self.network = nn.Linear(channels * len(config.levels), config.width)
        self.heads = nn.ModuleList(_Head(config.width, size) for size in (3, 4, 3))

    def forward(self, points: Tensor, time: Tensor) -> Deformation:
        """The deformation of ``points`` ``[N, 3]`` at rest, at times ``[B]`` in [0, 1]."""
        hidden = self.network(self.features(points, time))
        shift, turn, growth = (head(hidden) for head in self.heads)
        rest = torch.tensor([1.0, 0.0, 0.0, 0.0])
        return Deformation(shift * self.unit, functional.normalize(turn + rest, dim=-1), growth)

    def features(self, points: Tensor, time: Tensor) -> Tensor:
        """``[B, N, levels · channels]``"""
        place = (points - self.centre) / (self.unit * self.config.reach)  # [N, 3] in (−1, 1)
        moment = (2.0 * time - 1.0)[:, None].expand(-1, len(points))  # [B, N]
        levels = []
        for level in range(len(self.config.levels)):
            factors = [
                _sampled(plane, place[None, :, axes])  # [1, N, C]
                for axes, plane in zip(_SPACE, self.space[3 * level : 3 * level + 3], strict=True)
            ]
            for axis, plane in enumerate(self.time[3 * level : 3 * level + 3]):
                along = place[:, axis].expand_as(moment)
                factors.append(_sampled(plane, torch.stack([along, moment], dim=-1)))  # [B, N, C]
            levels.append(reduce(torch.mul, factors))
        return torch.cat(levels, dim=-1)

    def regularisation(self) -> Tensor:
        """Total variation in space, second differences in time, and how far the planes of time are from one
        (where they are, nothing depends on time)."""
        config = self.config
        planes = (*self.space, *self.time)
        variation = sum((_variation(plane) for plane in planes), torch.zeros(()))
        bend = sum((_bend(plane) for plane in self.time), torch.zeros(()))
        away = sum(((1.0 - plane).abs().mean() for plane in self.time), torch.zeros(()))
        return (
            config.weight_plane_variation * variation
            + config.weight_time_smoothness * bend
            + config.weight_time_planes * away
        )

    def groups(self) -> list[dict[str, object]]:
        """The parameters with their rates, for an optimiser."""
        network = [*self.network.parameters(), *self.heads.parameters()]
        return [
            {"params": [*self.space, *self.time], "lr": self.config.grid_rate},
            {"params": network, "lr": self.config.network_rate},
        ]


class _Head(nn.Module):
    """A residual layer and a linear one, both zero at first."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, size)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, hidden: Tensor) -> Tensor:
        active = functional.relu(hidden)
        out: Tensor = self.outer(active + self.inner(active))
        return out


def _sampled(plane: Tensor, places: Tensor) -> Tensor:
    """``[B, N, C]`` of a plane ``[1, C, H, W]`` at (x, y) ``[B, N, 2]`` in [−1, 1], the corners' centres."""
    flat = places.reshape(1, 1, -1, 2)
    found = functional.grid_sample(plane, flat, align_corners=True, padding_mode="border")
    return found[0, :, 0].T.reshape(*places.shape[:-1], plane.shape[1])


def _variation(plane: Tensor) -> Tensor:
    return plane.diff(dim=-1).square().mean() + plane.diff(dim=-2).square().mean()


def _bend(plane: Tensor) -> Tensor:
    if plane.shape[-2] < 3:
        return plane.new_zeros(())
    return plane.diff(n=2, dim=-2).square().mean()


@dataclass(frozen=True)
class HexPlaneFit:
    """Splats at rest and the field that moves them."""

    splats: SplatParameters
    field: HexPlane
    frames: int

    def at(self, time: float) -> SplatParameters:
        """The splats at ``time``, in frames, whole or between."""
        with torch.no_grad():
            return _moved(self.splats, self.field, torch.tensor([_share(time, self.frames)]))[0]

    def per_frame(self) -> list[SplatParameters]:
        """The splats at every frame."""
        return [self.at(float(frame)) for frame in range(self.frames)]


def fit_hexplane(
    bound: BoundSplats,
    clips: Sequence[Targets],
    steps: int,
    config: HexPlaneConfig | None = None,
    progress: Progress = silent,
    *,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
) -> HexPlaneFit:
    """Fit a field to the frames of ``clips``, each from a camera of its own, all of one moving object.

    A step looks at one frame of one clip; the look of the splats (refined on the photographs) stays as it
    is. Deterministic for a seed.
    """
    frames = len(clips[0].images)
    if any(len(clip.images) != frames for clip in clips):
        raise ValueError(
            f"fit_hexplane: clips of {[len(clip.images) for clip in clips]} frames, all must agree"
        )
    splats = bound.splats.detached()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bounds = torch.stack([bound.vertices.amin(0), bound.vertices.amax(0)])
        field = HexPlane(bounds, frames, config)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(field.groups(), eps=1e-15)
    checkpoint = checkpoint or Checkpoint()

    def read(kept: Kept) -> tuple[int, torch.Generator, list[int]]:
        weights = {name: kept.like(f"field.{name}", value) for name, value in field.state_dict().items()}
        place = (kept.number("steps", steps), kept.generator("generator"))
        order = kept.indices("order", frames * len(clips)).tolist()
        restore_adam(optimiser, kept.adam("adam", optimiser))
        field.load_state_dict(weights)
        return (*place, order)

    def state(done: int) -> dict[str, Tensor]:
        return {
            **{f"field.{name}": value for name, value in field.state_dict().items()},
            **adam_tensors("adam", optimiser),
            "steps": torch.tensor(done),
            "generator": generator.get_state(),
            "order": torch.tensor(order, dtype=torch.int64),
        }

    order: list[int] = []
    earlier, generator, order = checkpoint.recall("hexplane", read) or (0, generator, order)
    for step in range(earlier, steps):
        order = order or torch.randperm(frames * len(clips), generator=generator).tolist()
        frame, number = divmod(order.pop(), len(clips))
        clip = clips[number]
        moved = _moved(splats, field, torch.tensor([_share(frame, frames)]))[0]
        rendered = rasterise(
            *(moved.means, moved.quaternions, moved.scales, moved.opacities, moved.colors.clamp(max=1.0)),
            *(clip.camera, clip.background),
        )
        loss = frame_loss(rendered, clip.images[frame], clip.masks[frame]) + field.regularisation()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        checkpoint.keep("hexplane", partial(state, step + 1), done=step + 1 == steps)
        progress((step + 1) / steps, f"fitting the planes, step {step + 1} of {steps}")
    return HexPlaneFit(splats, field.requires_grad_(False), frames)


def _share(time: float, frames: int) -> float:
    return time / max(frames - 1, 1)


def _moved(splats: SplatParameters, field: HexPlane, times: Tensor) -> list[SplatParameters]:
    """The splats at each of ``times`` ``[B]`` in [0, 1]."""
    change = field(splats.means, times)
    return [
        splats.replaced(
            means=splats.means + shift,
            quaternions=multiply_quaternions(turn, functional.normalize(splats.quaternions, dim=-1)),
            log_scales=splats.log_scales + growth,
        )
        for shift, turn, growth in zip(*change, strict=True)
    ]
