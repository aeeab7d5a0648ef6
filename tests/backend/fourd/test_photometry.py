"""What a frame says about splats: the kernel and its plain twin agree, and hidden splats are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.fourd.photometry import Lens, Linearised, robust_loss, robust_loss_plainly
from uni4d.fourd.rotations import exponential
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.types import Camera

KERNEL_AND_TWIN = [Lens.linearised, Lens.linearised_plainly]


@dataclass(frozen=True)
class Sighting:
    """A frame and a rendered picture of one camera."""

    camera: Camera
    frame: Tensor
    rendered: Rendered

    @classmethod
    def random(cls, width: int, height: int, contrast: float, generator: torch.Generator) -> Sighting:
        """Any camera; of the picture, a quarter shows nothing."""
        view, intrinsics = torch.eye(4, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
        turn = exponential(torch.randn(1, 3, generator=generator, dtype=torch.float64))
        view[:3, :3] = rotation_matrices(turn)[0]
        view[:3, 3] = torch.randn(3, generator=generator)
        size = torch.tensor([width, height])
        intrinsics[[0, 1], [0, 1]] = size.max() * (0.8 + torch.rand(2, generator=generator).double())
        intrinsics[:2, 2] = size * (0.3 + 0.4 * torch.rand(2, generator=generator))
        image = torch.rand(height, width, 3, generator=generator)
        depth = 1.0 + 2.0 * torch.rand(height, width, generator=generator)
        depth[torch.rand(height, width, generator=generator) < 0.25] = torch.inf
        frame = image + contrast * (torch.rand(height, width, 3, generator=generator) - 0.5)
        camera = Camera(view.numpy(), intrinsics.numpy(), width, height)
        return cls(camera, frame, Rendered(image, (depth < torch.inf).float(), depth))

    def points(self, pixels: Tensor, depths: Tensor) -> Tensor:
        """``[N, 3]`` in the world, of pixels ``[N, 2]`` and metres along the camera's z ``[N]``."""
        view, intrinsics = (
            torch.from_numpy(a) for a in (self.camera.world_to_camera, self.camera.intrinsics)
        )
        straight = (pixels - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
        there = torch.cat([straight, torch.ones(len(pixels), 1)], dim=1) * depths[:, None]
        return ((there - view[:3, 3]) @ view[:3, :3]).float()

    def cast(self, count: int, slack: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points ``[N, 3]`` about what is drawn, and whether each is to be seen ``[N]``; none is so near the
        border of a pixel, or of what is hidden, that the last digits decide."""
        size = torch.tensor([self.camera.width, self.camera.height])
        cell = (torch.rand(count, 2, generator=generator) * size).floor()
        drawn = self.rendered.depth[cell[:, 1].long(), cell[:, 0].long()]
        pixels = cell + 0.02 + 0.96 * torch.rand(count, 2, generator=generator)
        away = 0.01 + 0.8 * torch.rand(count, generator=generator)
        hidden, outside, behind = torch.rand(3, count, generator=generator) < torch.tensor(
            [[0.4], [0.3], [0.2]]
        )
        depths = drawn.nan_to_num(posinf=2.0) + slack + torch.where(hidden, away, -away)
        where = torch.randint(-1, 2, (count, 2), generator=generator) * outside[:, None]
        points = self.points(pixels + where * size, torch.where(behind, -depths, depths))
        return points, (where == 0).all(1) & ~behind & (~hidden | drawn.isinf())

    def same_of_both(self, points: Tensor, slack: float) -> Linearised:
        """What the kernel says, once it is what the twin says."""
        lens = Lens(self.camera)
        fast, slow = (of(lens, self.frame, self.rendered, points, slack) for of in KERNEL_AND_TWIN)
        assert fast.splats.dtype == torch.int64 and torch.equal(fast.splats, slow.splats)
        for own, other in zip(fast[1:], slow[1:], strict=True):
            assert own.shape == other.shape
            if len(points) and own.numel():
                assert float((own - other).abs().max()) < 1e-4 * float(other.abs().max()) + 1e-5 * lens.focal
        return fast


@given(
    width=st.integers(1, 24),
    height=st.integers(1, 24),
    count=st.integers(0, 60),
    slack=st.floats(0.0, 0.5),
    contrast=st.sampled_from([0.02, 0.2, 1.0]),
    seed=st.integers(0, 2**31 - 1),
)
@example(width=1, height=1, count=60, slack=0.1, contrast=1.0, seed=0)
@example(width=24, height=1, count=60, slack=0.1, contrast=1.0, seed=0)
@example(width=2, height=24, count=60, slack=0.0, contrast=0.2, seed=0)
@settings(max_examples=60)
def test_the_kernel_says_about_visible_splats_what_its_twin_does(
    width: int, height: int, count: int, slack: float, contrast: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sighting = Sighting.random(width, height, contrast, generator)
    points, seen = sighting.cast(count, slack, generator)
    found = sighting.same_of_both(points, slack)
    assert torch.equal(found.splats, seen.nonzero()[:, 0])


def test_pictures_that_lie_otherwise_in_memory_say_the_same() -> None:
    generator = torch.Generator().manual_seed(1)
    sighting = Sighting.random(9, 7, 0.3, generator)
    points, _ = sighting.cast(40, 0.1, generator)
    expected = sighting.same_of_both(points, 0.1)
    frame, image, depth = (
        t.transpose(0, 1).contiguous().transpose(0, 1)
        for t in (sighting.frame, sighting.rendered.image, sighting.rendered.depth)
    )
    strange = Sighting(sighting.camera, frame, Rendered(image, sighting.rendered.alpha, depth))
    found = strange.same_of_both(points.T.contiguous().T, 0.1)
    assert all(torch.equal(own, other) for own, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("linearised", KERNEL_AND_TWIN)
def test_hidden_splats_and_those_outside_the_picture_are_not_reported(linearised: Any) -> None:
    """Something 2 m away fills the lower half of a picture of 6 by 4 pixels."""
    places = [
        ((3.4, 2.6), 1.0, True),  # before it
        ((3.4, 2.6), 2.09, True),  # a little behind
        ((3.4, 2.6), 2.11, False),
        ((3.4, 1.6), 9.0, True),  # far, but above it
        ((3.4, 1.6), -1.0, False),  # behind the camera
        ((-0.4, 2.6), 1.0, False),
        ((6.4, 2.6), 1.0, False),
        ((3.4, -0.4), 1.0, False),
        ((3.4, 4.4), 1.0, False),
        ((5.9, 3.9), 1.0, True),
        ((0.1, 0.1), 1.0, True),
    ]
    depth = torch.full((4, 6), torch.inf)
    depth[2:] = 2.0
    intrinsics = np.array([[7.0, 0.0, 2.8], [0.0, 8.0, 2.1], [0.0, 0.0, 1.0]])
    picture = torch.full((4, 6, 3), 0.5)
    sighting = Sighting(
        Camera(np.eye(4), intrinsics, 6, 4), picture, Rendered(picture, torch.ones(4, 6), depth)
    )
    points = sighting.points(torch.tensor([p for p, _, _ in places]), torch.tensor([z for _, z, _ in places]))
    found = linearised(Lens(sighting.camera), picture, sighting.rendered, points, 0.1)
    assert found.splats.tolist() == [index for index, (_, _, seen) in enumerate(places) if seen]


@pytest.mark.parametrize("linearised", KERNEL_AND_TWIN)
def test_on_an_even_ramp_of_colours_a_splat_is_pulled_as_the_ramp_rises(linearised: Any) -> None:
    """There, the first order is exact: the slope is that of the colour at the splat's pixel, by autograd."""
    generator = torch.Generator().manual_seed(2)
    sighting = Sighting.random(16, 12, 1.0, generator)
    rows, columns = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    rise, shift = 0.01 * torch.randn(2, 3, generator=generator), torch.tensor([0.1, 0.05, -0.02])
    image = torch.stack([columns, rows], dim=-1) @ rise
    rendered = Rendered(image, torch.ones(12, 16), torch.full((12, 16), 4.0))
    lens = Lens(sighting.camera)
    pixels = 1.5 + torch.rand(30, 2, generator=generator) * torch.tensor([13.0, 9.0])
    points = sighting.points(pixels, 1.0 + torch.rand(30, generator=generator))
    found = linearised(lens, image + shift, rendered, points, 0.1)
    assert found.splats.tolist() == list(range(30))
    torch.testing.assert_close(found.residuals, shift.expand(30, 3), atol=1e-5, rtol=0)
    slopes = torch.autograd.functional.jacobian(lambda p: (lens.seen(p)[0] @ rise).sum(0), points)
    torch.testing.assert_close(found.slopes, slopes.transpose(0, 1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("linearised", KERNEL_AND_TWIN)
def test_a_splat_whose_colour_is_far_off_counts_less(linearised: Any) -> None:
    intrinsics = np.array([[9.0, 0.0, 4.5], [0.0, 9.0, 4.5], [0.0, 0.0, 1.0]])
    rendered = Rendered(torch.zeros(9, 9, 3), torch.ones(9, 9), torch.full((9, 9), 2.0))
    lens, point = Lens(Camera(np.eye(4), intrinsics, 9, 9)), torch.tensor([[0.01, 0.02, 1.0]])
    weights = [
        float(linearised(lens, torch.full((9, 9, 3), color), rendered, point, 0.1).weights)
        for color in (0.0, 0.05, 0.2, 0.4)
    ]
    assert weights[0] == pytest.approx(weights[1], rel=1e-6)
    assert weights[1] > 1.5 * weights[2] and weights[2] == pytest.approx(2.0 * weights[3], rel=1e-5)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    contrast=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    seed=st.integers(0, 999),
)
def test_the_kernel_costs_what_its_twin_does(height: int, width: int, contrast: float, seed: int) -> None:
    """In double precision, value and gradient; nothing is lost of pictures that lie otherwise in memory."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.rand(width, height, 3, generator=generator).transpose(0, 1)
    drawn = frame + contrast * (torch.rand(height, width, 3, generator=generator) - 0.5)
    found = []
    for loss, dtype in ((robust_loss, torch.float32), (robust_loss_plainly, torch.float64)):
        leaf = drawn.to(dtype).requires_grad_(True)
        cost = loss(leaf, frame.to(dtype))
        found.append((cost.detach().float(), torch.autograd.grad(3.0 * cost, leaf)[0].float()))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


def test_pictures_of_different_sizes_have_no_cost() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3, 3\] and \[3, 2, 3\]"):
        robust_loss(torch.rand(2, 3, 3), torch.rand(3, 2, 3))
