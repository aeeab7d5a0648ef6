"""The C kernel agrees with its plain twin, the twin with finite differences, and threads change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from harness.splat_calls import Call, camera_of, weighted_sum
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.splatting.rasterise import Rendered

Drawn = tuple[Rendered, dict[str, Tensor]]


def truths(call: Call) -> list[Drawn]:
    """The twin in double precision: as it is, and with opacities a little smaller and larger.

    By as much as single precision may err: a splat may lie so close to a cut (alpha 1/255, T 1e-4) that the
    last digits say whether it counts; then the two differ by that splat, and either is right.
    """
    found = []
    for factor in (1.0, 1 - 3e-5, 1 + 3e-5):
        leaves = [t.detach().double() for t in call.leaves]
        leaves[3] *= factor
        own = Call(tuple(leaves), call.width, call.height, call.antialiased).at(torch.float64)
        rendered = own.draw("torch")
        found.append((rendered, own.gradients(rendered)))
    return found


def assert_near(found: Tensor, true: Sequence[Tensor], tolerance: float, what: str) -> None:
    error = (found.detach().double() - true[0]).abs()
    allowed = tolerance + (true[1] - true[2]).abs()
    assert bool((error <= allowed).all()), f"{what}: off by {float((error - allowed).max())} too much"


@given(
    count=st.integers(1, 200),
    seed=st.integers(0, 2**31 - 1),
    width=st.integers(1, 48),
    height=st.integers(1, 36),
    size=st.floats(0.002, 0.4),
    distance=st.floats(0.3, 6.0),
    flow=st.booleans(),
    antialiased=st.booleans(),
)
# A splat that is alone in its pixels: what its size does to their depth is nothing, out of large terms.
@example(count=1, seed=18538, width=32, height=18, size=0.25, distance=2.0, flow=False, antialiased=False)
# Two that hardly meet: the same with flow.
@example(count=2, seed=437252632, width=33, height=32, size=0.1221, distance=3.4, flow=True, antialiased=True)
@settings(max_examples=20)
def test_kernel_agrees_with_its_twin(
    random_scene: Callable[..., Any],
    count: int,
    seed: int,
    width: int,
    height: int,
    size: float,
    distance: float,
    flow: bool,
    antialiased: bool,
) -> None:
    """Values to 1e-4, gradients of splats, cameras, background and the other moment to 1e-3 of their norm."""
    scene, camera = random_scene(count, seed, size), camera_of(width, height, distance)
    call = Call.random(scene, camera, seed, flow=flow, antialiased=antialiased).at(torch.float32)
    fast = call.draw("cpu")
    slow = truths(call)
    images, alphas, depths, flows = zip(*(rendered for rendered, _ in slow), strict=True)
    assert_near(fast.image, [t.detach() for t in images], 1e-4, "image")
    assert_near(fast.alpha, [t.detach() for t in alphas], 1e-4, "alpha")
    solid = torch.stack(alphas).amin(0) > 0.01
    assert_near(fast.depth[solid], [t[solid].detach() for t in depths], 2e-4 * distance, "depth")
    if flow:
        assert fast.flow is not None
        pixels = 1.0 + float(flows[0].detach().abs().max())
        assert_near(fast.flow[solid], [t[solid].detach() for t in flows], 1e-4 * pixels, "flow")
    for name, gradient in call.gradients(fast).items():
        true, less, more = (gradients[name] for _, gradients in slow)
        error = float((gradient.double() - true).norm())
        assert error <= 1e-3 * float(true.norm()) + 1e-5 + float((less - more).norm()), name


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_depth_and_flow_of_a_lone_splat_do_not_depend_on_its_size(
    random_scene: Callable[..., Any], implementation: Any
) -> None:
    """They are its own wherever it is seen, so there is nothing to follow, in single precision too."""
    call = Call.random(random_scene(1, 18538, 0.25), camera_of(32, 18, 2.0), 0, flow=True).at(torch.float32)
    rendered = call.draw(implementation)
    assert rendered.flow is not None
    seen = rendered.alpha > 0
    total = rendered.depth[seen].sum() + rendered.flow[seen].sum()
    for leaf, gradient in zip(call.leaves[1:4], torch.autograd.grad(total, call.leaves[1:4]), strict=True):
        assert torch.equal(gradient, torch.zeros_like(leaf))


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradients_of_the_twin_are_finite_differences(
    random_scene: Callable[..., Any], antialiased: bool
) -> None:
    """In splats, background, the 4×4 and the intrinsics of both cameras, and the other moment's means."""
    scene, camera = random_scene(6, 3, 0.3, torch.float64), camera_of(18, 14)
    call = Call.random(scene, camera, 5, flow=True, antialiased=antialiased).at(torch.float64)

    def outputs(*leaves: Any) -> tuple[Tensor, ...]:
        rendered = Call(leaves, call.width, call.height, antialiased).draw("torch")
        assert rendered.flow is not None
        solid = rendered.alpha.detach() > 0.1
        return rendered.image, rendered.alpha, rendered.depth[solid], rendered.flow[solid]

    assert torch.autograd.gradcheck(outputs, call.leaves, eps=1e-6, atol=1e-5, rtol=1e-3, fast_mode=True)


def test_gradients_where_the_view_is_limited_are_finite_differences(
    random_scene: Callable[..., Any],
) -> None:
    """Splats far beside the image, whose Jacobian stops at 1.3 half fields of view, and depends on them."""
    scene = list(random_scene(20, 4, 1.0, torch.float64))
    scene[0] = scene[0] * 3
    call = Call.random(scene, camera_of(12, 10, 2.0), 6, flow=False).at(torch.float64)
    splats, (_, intrinsics, _) = call.leaves[:5], call.leaves[5:]

    def measure(matrix: Tensor) -> Tensor:
        leaves = (*splats, call.leaves[5], matrix, call.leaves[7])
        return weighted_sum(Call(leaves, call.width, call.height).draw("torch"))

    assert torch.autograd.gradcheck(measure, (intrinsics,), eps=1e-6, atol=1e-5, rtol=1e-3)


def test_results_do_not_depend_on_the_number_of_threads(random_scene: Callable[..., Any]) -> None:
    """To the last bit, in values and in every gradient of two large images that share their splats."""
    threads = torch.get_num_threads()
    one = Call.random(random_scene(2500, 8), camera_of(250, 180), 1, flow=True, antialiased=True)
    leaves = list(one.leaves)
    leaves[5] = torch.stack([leaves[5], leaves[9]])  # seen by the cameras of both moments
    call = Call(tuple(leaves), one.width, one.height, one.antialiased)
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            own = call.at(torch.float32)
            rendered = own.draw("cpu")
            results.append((rendered, own.gradients(rendered)))
    finally:
        torch.set_num_threads(threads)
    first, first_gradients = results[0]
    for rendered, gradients in results[1:]:
        for own_value, value in zip(rendered, first, strict=True):
            assert own_value is not None and value is not None and torch.equal(own_value, value)
        for name, gradient in first_gradients.items():
            assert torch.equal(gradients[name], gradient), name


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_a_splat_far_larger_than_the_image(implementation: Any, size: float) -> None:
    """It covers the picture evenly, and its gradients are finite."""
    place, turned = torch.zeros(1, 3), torch.tensor([[1.0, 0.3, 0.2, 0.1]])
    scene = place, turned, torch.full((1, 3), size), torch.tensor([0.5]), torch.ones(1, 3)
    call = Call.random(scene, camera_of(40, 30), 0, flow=True).at(torch.float32)
    rendered = call.draw(implementation)
    assert float((rendered.alpha - 0.5).detach().abs().max()) < 0.02
    assert all(bool(torch.isfinite(g).all()) for g in call.gradients(rendered).values())
