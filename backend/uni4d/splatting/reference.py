"""The plain-PyTorch twin of the C kernel: the same rules, written as the formulas read.

Slow, in any floating type, differentiated by autograd alone. It is what the kernel is tested against, and
what runs where there is no C compiler.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d.splatting.projection import project, project_points
from uni4d.splatting.scene import OtherMoment, Rendered, Scene

__all__ = ["composite", "displacements", "finish", "render"]

_TILE = 16
_ALPHA_MIN = 1.0 / 255.0
_ALPHA_MAX = 0.99
_T_STOP = 1e-4


def render(scene: Scene) -> Rendered:
    """``B`` images."""
    cameras, images = scene.cameras, scene.images
    projected = project(
        *(scene.means, scene.quaternions, scene.scales, cameras.world_to_camera, cameras.intrinsics),
        *(cameras.width, cameras.height),
        near=scene.near,
        low_pass=scene.low_pass,
    )
    opacities = torch.where(projected.visible, scene.opacities, torch.zeros_like(projected.depths))
    if scene.antialiased:
        opacities = opacities * projected.sharpness
    colors = scene.colors.expand(images, *scene.colors.shape[-2:])
    features = [colors, projected.depths[..., None]]
    if scene.other is not None:
        features.append(displacements(scene, scene.other))
    means, conics, depths = projected.means, projected.conics, projected.depths
    every = torch.cat(features, dim=-1)
    planes = torch.stack(
        [
            composite(means[b], conics[b], opacities[b], every[b], depths[b], cameras.width, cameras.height)
            for b in range(images)
        ]
    )
    return finish(planes, scene.background)


def finish(
    planes: Tensor,  # [B, 2 F - 2, H, W] of `composite`: red, green, blue, depth, with flow its x and y
    background: Tensor,  # [B, 3]
) -> Rendered:
    """Over the background, and divided by alpha what is a mean."""
    count = planes.shape[1] // 2 - 2  # of means
    colors, means, first = planes[:, :3], planes[:, 3 : 3 + count], planes[:, 4 + count :]
    transmittance = planes[:, 3 + count]
    image = (colors + transmittance[:, None] * background[:, :, None, None]).movedim(1, -1)
    alpha = 1.0 - transmittance
    hit = alpha > 0
    divisor = torch.where(hit, alpha, torch.ones_like(alpha))
    depth, *flow = (first + means / divisor[:, None]).unbind(1)
    depth = torch.where(hit, depth, torch.full_like(alpha, torch.inf))
    return Rendered(image, alpha, depth, torch.stack(flow, dim=-1) if flow else None)


def displacements(scene: Scene, other: OtherMoment) -> Tensor:
    """``[B, N, 2]`` pixels from each splat's mean to where it is at the other moment.

    Zero for a splat that is behind the camera at either.
    """
    ends = []
    for means, cameras in ((scene.means, scene.cameras), (other.means, other.cameras)):
        ends.append(project_points(means, cameras.world_to_camera, cameras.intrinsics, scene.near))
    (here, _, seen_here), (there, _, seen_there) = ends
    return torch.where((seen_here & seen_there)[..., None], there - here, torch.zeros_like(here))


def composite(
    means: Tensor,  # [N, 2] pixels
    conics: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    features: Tensor,  # [N, F]
    depths: Tensor,  # [N]
    width: int,
    height: int,
) -> Tensor:
    """``[2 F - 2, H, W]``: the composited features, the final transmittance, and what the means start from.

    Features after the three colours are means; they are relative to those of the first splat of each pixel
    (``kernel.c`` says why), which are the last planes, and 0 where there is none.
    """
    order = torch.argsort(depths.detach(), stable=True)
    means, conics, opacities, features = means[order], conics[order], opacities[order], features[order]
    low, high = _boxes(means.detach(), conics.detach(), opacities.detach())
    rows = []
    for y0 in range(0, height, _TILE):
        y1 = min(y0 + _TILE, height)
        in_row = ((high[:, 1] > y0) & (low[:, 1] < y1)).nonzero()[:, 0]
        tiles = []
        for x0 in range(0, width, _TILE):
            x1 = min(x0 + _TILE, width)
            here = in_row[(high[in_row, 0] > x0) & (low[in_row, 0] < x1)]
            pixels = _pixel_centres(x0, x1, y0, y1, means.dtype)
            value = _composite_pixels(pixels, means[here], conics[here], opacities[here], features[here])
            tiles.append(value.T.reshape(-1, y1 - y0, x1 - x0))
        rows.append(torch.cat(tiles, dim=2))
    return torch.cat(rows, dim=1)


def _boxes(means: Tensor, conics: Tensor, opacities: Tensor) -> tuple[Tensor, Tensor]:
    """Corners ``[N, 2]`` of the boxes outside which alpha < 1/255; inverted boxes for invisible splats."""
    a, b, c = conics.unbind(1)
    reach = 2.0 * (opacities / _ALPHA_MIN).clamp(min=1e-20).log() + 1e-3
    variances = torch.stack([c, a], dim=1) / (a * c - b * b)[:, None]
    half = (reach.clamp(min=0.0)[:, None] * variances).sqrt() + 1e-2
    half = torch.where((opacities >= _ALPHA_MIN)[:, None], half, torch.full_like(half, -torch.inf))
    return means - half, means + half


def _pixel_centres(x0: int, x1: int, y0: int, y1: int, dtype: torch.dtype) -> Tensor:
    y, x = torch.meshgrid(torch.arange(y0, y1), torch.arange(x0, x1), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).to(dtype) + 0.5


def _composite_pixels(
    pixels: Tensor,  # [P, 2]
    means: Tensor,  # [S, 2], nearest first
    conics: Tensor,
    opacities: Tensor,
    features: Tensor,
) -> Tensor:
    """``[P, 2 F - 2]``."""
    dx, dy = (pixels[:, None, :] - means[None, :, :]).unbind(-1)  # [P, S]
    a, b, c = conics.unbind(1)
    exponent = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    alpha = (opacities * exponent.clamp(max=0.0).exp()).clamp(max=_ALPHA_MAX)
    alpha = torch.where(alpha >= _ALPHA_MIN, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, dim=1)  # T once splat i is in front
    alpha = torch.where(after > _T_STOP, alpha, torch.zeros_like(alpha))  # finished: nothing more counts
    transmittance = torch.cumprod(1.0 - alpha, dim=1)
    before = torch.cat([torch.ones_like(alpha[:, :1]), transmittance[:, :-1]], dim=1)
    weight = alpha * before[:, : alpha.shape[1]]
    end = transmittance[:, -1:] if alpha.shape[1] else torch.ones(len(pixels), 1, dtype=pixels.dtype)
    colors, means = features[:, :3], features[:, 3:]
    if not len(means):
        return torch.cat([weight @ features, end, means.new_zeros(len(pixels), means.shape[1])], dim=1)
    nearest = (alpha > 0).to(torch.uint8).argmax(dim=1)
    first = torch.where(end < 1.0, means.detach()[nearest], torch.zeros_like(means[:1]))
    relative = (weight[..., None] * (means - first[:, None])).sum(1)
    return torch.cat([weight @ colors, relative, end, first], dim=1)
