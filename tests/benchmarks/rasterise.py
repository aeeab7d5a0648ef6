"""How fast the CPU kernel is, how it scales, and how much faster than its plain-PyTorch twin.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/rasterise.py [--splats 5000 20000] [--sizes 128] [--json]

For each number of threads, of splats, and each image size: milliseconds forward and backward (rasterising
alone, from means, quaternions, scales, opacities and colours to the gradients of all of them), and whole
training steps a second (free parameters activated, drawn, L1, backward, Adam). Then the twin (a plain PyTorch
loop over tiles) at 20,000 splats and 256², and how the time grows with splats, with pixels and with cores.
Every figure is the best of several runs. The scene is a skin of splats on a sphere that fills the picture. On
a machine that others use too, what is printed is what was left of it: the load is printed beside.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from uni4d.splatting import Implementation, SplatParameters, rasterise, render
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.types import Camera

_TWIN_CASE = 20_000, 256
_STEP_CASE = 5_000, 128


@dataclass(frozen=True)
class Timing:
    """Best seconds of one case."""

    splats: int
    size: int
    threads: int
    forward: float
    backward: float
    step: float | None = None

    @property
    def both(self) -> float:
        return self.forward + self.backward


def sphere_of_splats(count: int) -> list[Tensor]:
    """Means, quaternions, scales, opacities, colours; leaves that require gradients."""
    generator = torch.Generator().manual_seed(0)
    spread = 0.6 * math.sqrt(4 * math.pi / count)
    scales = spread * (0.5 + torch.rand(count, 3, generator=generator))
    scales[:, 2] *= 0.1
    scene = [
        torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1),
        torch.randn(count, 4, generator=generator),
        scales,
        0.3 + 0.69 * torch.rand(count, generator=generator),
        torch.rand(count, 3, generator=generator),
    ]
    return [t.requires_grad_(True) for t in scene]


def camera_of(size: int) -> Camera:
    return orbit_rig((0, 0, 0), 1.0, size=size, margin=1.05)[0]


def measure(count: int, size: int, threads: int, implementation: Implementation, repeats: int) -> Timing:
    """Rasterising alone, forward and backward."""
    torch.set_num_threads(threads)
    scene, camera = sphere_of_splats(count), camera_of(size)
    means, quaternions, scales, opacities, colors = scene
    gradient = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(1))
    forward, backward = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        image = rasterise(
            *(means, quaternions, scales, opacities, colors, camera), implementation=implementation
        ).image
        middle = time.perf_counter()
        torch.autograd.grad(image, scene, gradient)
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    return Timing(count, size, threads, min(forward), min(backward))


def measure_step(count: int, size: int, threads: int, repeats: int) -> float:
    """Best seconds of a whole training step."""
    torch.set_num_threads(threads)
    camera, step_of = camera_of(size), _training(count)
    target = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(1))
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        step_of(camera, target)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _training(count: int) -> Callable[[Camera, Tensor], None]:
    with torch.no_grad():
        splats = SplatParameters.from_activated(*sphere_of_splats(count)).detached(trainable=True)
    values = [splats.means, splats.quaternions, splats.log_scales, splats.opacity_logits, splats.coefficients]
    optimiser = torch.optim.Adam(values, lr=1e-5)

    def step(camera: Camera, target: Tensor) -> None:
        loss = (render(splats, camera).image - target).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def run(splats: Sequence[int], sizes: Sequence[int], threads: Sequence[int], repeats: int) -> list[Timing]:
    """Every case; one line each on standard error as it is done."""
    found = []
    for used in threads:
        for count in splats:
            for size in sizes:
                timing = measure(count, size, used, "cpu", repeats)
                step = measure_step(count, size, used, repeats)
                found.append(Timing(count, size, used, timing.forward, timing.backward, step))
                sys.stderr.write(_line(found[-1]))
    return found


def _line(timing: Timing) -> str:
    steps = "" if timing.step is None else f" {1 / timing.step:9.1f}"
    return (
        f"{timing.threads:7d} {timing.splats:8d} {timing.size:5d} "
        f"{timing.forward * 1e3:9.2f} {timing.backward * 1e3:9.2f}{steps}\n"
    )


def _growth(found: Sequence[Timing], threads: Sequence[int]) -> list[str]:
    """How forward + backward grows when one of three things does, the others as in the middle case."""
    by_case = {(t.splats, t.size, t.threads): t.both for t in found}
    splats, sizes = sorted({t.splats for t in found}), sorted({t.size for t in found})
    count, size, used = splats[len(splats) // 2], sizes[len(sizes) // 2], threads[-1]

    def row(what: str, cases: Sequence[tuple[int, int, int]]) -> str:
        return f"{what}: " + "   ".join(f"x{by_case[case] / by_case[cases[0]]:.2f}" for case in cases)

    return [
        row(f"splats {splats} at {size}²", [(n, size, used) for n in splats]),
        row(f"pixels {[s * s for s in sizes]} with {count} splats", [(count, s, used) for s in sizes]),
        row(f"threads {list(threads)} at {count} splats and {size}²", [(count, size, t) for t in threads]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of the splat rasteriser")
    parser.add_argument("--splats", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=20, help="runs of the kernel per case")
    parser.add_argument("--twin-repeats", type=int, default=2, help="runs of the twin; 0 leaves it out")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args()
    sys.stderr.write(
        f"{'threads':>7} {'splats':>8} {'size':>5} {'forward':>9} {'backward':>9} {'steps/s':>9}\n"
    )
    found = run(arguments.splats, arguments.sizes, arguments.threads, arguments.repeats)
    threads = arguments.threads[-1]
    lines = _growth(found, arguments.threads)
    report: dict[str, object] = {"load": os.getloadavg()[0], "cases": [asdict(t) for t in found]}
    step = 1 / measure_step(*_STEP_CASE, threads, 5 * arguments.repeats)
    report["steps_per_second"] = step
    lines.append(f"whole training steps a second at {_STEP_CASE[0]} splats and {_STEP_CASE[1]}²: {step:.1f}")
    if arguments.twin_repeats:
        fast = measure(*_TWIN_CASE, threads, "cpu", arguments.repeats)
        slow = measure(*_TWIN_CASE, threads, "torch", arguments.twin_repeats)
        report |= {"twin": asdict(slow), "twin_ratio": slow.both / fast.both}
        lines.append(
            f"twin at {_TWIN_CASE[0]} splats and {_TWIN_CASE[1]}²: {slow.forward * 1e3:.0f} ms forward, "
            f"{slow.backward * 1e3:.0f} backward; the kernel is {slow.both / fast.both:.1f} times faster"
        )
    if arguments.json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    lines.append(f"milliseconds, best of {arguments.repeats}; load of the machine {os.getloadavg()[0]:.1f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
