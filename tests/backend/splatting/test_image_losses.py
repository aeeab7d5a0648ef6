"""How different two images are: by the kernel and by its plain twin, whose double precision is the truth."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.splatting.image_losses import dilated, dissimilarity, psnr

Valued = tuple[Tensor, Tensor]


def pictures(shape: tuple[int, ...], seed: int, contrast: float = 1.0) -> tuple[Tensor, Tensor]:
    """Two that have something in common."""
    generator = torch.Generator().manual_seed(seed)
    image, other = torch.rand(2, *shape, generator=generator)
    return 0.5 + contrast * (image - 0.5), 0.5 + contrast * (0.5 * (image + other) - 0.5)


def with_gradient(image: Tensor, target: Tensor, window: int = 7, sigma: float = 1.2) -> Valued:
    """Three times the dissimilarity, and its gradient by the image."""
    leaf = image.clone().requires_grad_(True)
    value = 3.0 * dissimilarity(leaf, target, window=window, sigma=sigma)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def assert_near(found: Tensor, true: Tensor, share: float) -> None:
    assert found.shape == true.shape
    assert float((found - true).norm()) < share * float(true.norm()) + 1e-5


@given(
    batch=st.one_of(st.none(), st.integers(1, 3)),
    height=st.integers(1, 16),
    width=st.integers(1, 16),
    half=st.integers(1, 5),
    sigma=st.floats(0.6, 3.0),
    contrast=st.sampled_from([0.2, 1.0]),
    seed=st.integers(0, 2**31 - 1),
)
@example(batch=None, height=1, width=1, half=3, sigma=1.2, contrast=1.0, seed=0)
@example(batch=2, height=1, width=16, half=5, sigma=1.5, contrast=1.0, seed=0)
@example(batch=3, height=16, width=2, half=5, sigma=1.5, contrast=1.0, seed=0)
@settings(max_examples=60)
def test_the_kernel_compares_pictures_as_its_twin_does(
    batch: int | None, height: int, width: int, half: int, sigma: float, contrast: float, seed: int
) -> None:
    """Pictures of any shape, also smaller than the window."""
    shape = (height, width, 3) if batch is None else (batch, height, width, 3)
    image, target = pictures(shape, seed, contrast)
    window = 2 * half + 1
    fast = with_gradient(image, target, window, sigma)
    slow = with_gradient(image.double(), target.double(), window, sigma)
    assert fast[0].dtype == fast[1].dtype == torch.float32
    assert float(fast[0]) == pytest.approx(float(slow[0]), abs=1e-5)
    assert_near(fast[1], slow[1], 1e-3)


def test_the_slope_of_a_comparison_is_that_of_its_value() -> None:
    """Central differences in double precision, one number of the picture after the other."""
    image, target = pictures((2, 6, 5, 3), 1)
    found = with_gradient(image, target)[1]
    slopes = torch.zeros(image.numel(), dtype=torch.float64)
    for index in range(len(slopes)):
        step = torch.zeros(image.numel(), dtype=torch.float64)
        step[index] = 1e-5
        ahead, behind = (
            3.0 * float(dissimilarity(image + sign * step.reshape(image.shape), target.double()))
            for sign in (1.0, -1.0)
        )
        slopes[index] = (ahead - behind) / 2e-5
    assert_near(found, slopes.reshape(image.shape), 1e-4)


def test_pictures_that_lie_otherwise_in_memory_are_compared_alike() -> None:
    image, target = pictures((2, 11, 8, 3), 2)
    expected = with_gradient(image, target)
    strange = [t.permute(3, 2, 0, 1).contiguous().permute(2, 3, 1, 0) for t in (image, target)]
    found = with_gradient(strange[0], strange[1])
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_comparing_without_a_gradient_gives_the_same_value() -> None:
    image, target = pictures((9, 13, 3), 3)
    with torch.no_grad():
        measured = 3.0 * dissimilarity(image, target)
    assert torch.equal(measured, with_gradient(image, target)[0])


def test_comparisons_do_not_depend_on_the_number_of_threads() -> None:
    """To the last bit, in value and gradient."""
    image, target = pictures((3, 41, 30, 3), 4)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(with_gradient(image, target))
    finally:
        torch.set_num_threads(threads)
    for value, gradient in found[1:]:
        assert torch.equal(value, found[0][0]) and torch.equal(gradient, found[0][1])


def test_a_target_that_is_fitted_gets_its_gradient() -> None:
    """Beside the picture's."""
    found = []
    for dtype in (torch.float32, torch.float64):
        image, target = (t.to(dtype).requires_grad_(True) for t in pictures((9, 12, 3), 5))
        found.append(torch.autograd.grad(dissimilarity(image, target), [image, target]))
    for own, true in zip(*found, strict=True):
        assert float(true.abs().max()) > 0
        assert_near(own, true, 1e-4)


@pytest.mark.parametrize(
    ("image", "target"),
    [
        *(((4, 5, 3), (5, 4, 3)), ((4, 5, 3), (1, 4, 5, 3)), ((4, 5, 4), (4, 5, 4))),
        *(((3, 4, 5), (3, 4, 5)), ((5, 3), (5, 3)), ((3,), (3,))),
    ],
)
def test_what_are_not_two_alike_pictures_in_colour_is_refused(
    image: tuple[int, ...], target: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="must both be"):
        dissimilarity(torch.rand(image), torch.rand(target))


def test_a_window_has_a_middle() -> None:
    with pytest.raises(ValueError, match="window must be odd, got 8"):
        dissimilarity(*pictures((9, 12, 3), 6), window=8)


def test_a_target_of_another_precision_is_compared_all_the_same() -> None:
    image, target = pictures((9, 12, 3), 7)
    assert float(dissimilarity(image, target.double())) == pytest.approx(float(dissimilarity(image, target)))


def test_image_losses_know_equal_from_different() -> None:
    image = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0))
    assert float(dissimilarity(image, image)) == pytest.approx(0.0, abs=1e-6)
    assert 0.2 < float(dissimilarity(image, 1.0 - image)) <= 1.0
    assert psnr(image, image) == math.inf
    assert psnr(torch.zeros(4, 4, 3), torch.full((4, 4, 3), 0.1)) == pytest.approx(20.0, abs=1e-4)
    assert math.isnan(psnr(image, image + 0.1, torch.zeros(20, 30, dtype=torch.bool)))


def test_image_losses_have_gradients_after_they_were_only_measured() -> None:
    image = torch.rand(12, 12, 3)
    with torch.inference_mode():
        dissimilarity(image, image, window=5, sigma=0.7)
    changed = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(dissimilarity(changed, 1.0 - image, window=5, sigma=0.7), changed)
    assert float(gradient.abs().max()) > 0


def test_a_dilated_mask_grows_in_all_directions() -> None:
    mask = torch.zeros(7, 7, dtype=torch.bool)
    mask[3, 3] = True
    assert dilated(mask, 0).equal(mask)
    grown = dilated(mask, 2)
    assert bool(grown[1:6, 1:6].all()) and int(grown.sum()) == 25
