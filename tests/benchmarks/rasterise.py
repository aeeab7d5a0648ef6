"""How fast the CPU kernel is, and how much faster than its plain-PyTorch twin.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/rasterise.py [--splats 5000 20000] [--sizes 128 256]

Prints, for each number of splats and each image size, milliseconds forward and backward (projection included,
the best of several runs), whole training steps a second (forward, L1, backward, Adam), and the ratios. The
scene is a skin of splats on a sphere that fills the picture. Use an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from uni4d.splatting import Implementation, rasterise
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.types import Camera


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


def measure(
    count: int, size: int, implementation: Implementation, repeats: int
) -> tuple[float, float, float]:
    """Best seconds forward, backward, and of a whole training step."""
    scene, camera = sphere_of_splats(count), orbit_rig((0, 0, 0), 1.0, size=size, margin=1.05)[0]
    target = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(scene, lr=1e-5)
    forward, backward, whole = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        loss = _loss(scene, camera, target, implementation)
        middle = time.perf_counter()
        loss.backward()  # type: ignore[no-untyped-call]
        end = time.perf_counter()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        forward.append(middle - start)
        backward.append(end - middle)
        whole.append(time.perf_counter() - start)
    return min(forward), min(backward), min(whole)


def _loss(scene: Sequence[Tensor], camera: Camera, target: Tensor, implementation: Implementation) -> Tensor:
    means, quaternions, scales, opacities, colors = scene
    rendered = rasterise(means, quaternions, scales, opacities, colors, camera, implementation=implementation)
    return (rendered.image - target).abs().mean()


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of the splat rasteriser")
    parser.add_argument("--splats", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=10, help="runs of the kernel per case")
    parser.add_argument(
        "--twin-limit", type=int, default=6_000_000, help="largest splats × size for the twin"
    )
    arguments = parser.parse_args()
    write = sys.stdout.write
    write(
        f"{torch.get_num_threads()} threads; milliseconds forward / backward, best of {arguments.repeats}\n"
    )
    write(f"{'splats':>8} {'size':>5} {'kernel':>15} {'steps/s':>8} {'twin':>17} {'ratio':>15}\n")
    for count in arguments.splats:
        for size in arguments.sizes:
            forward, backward, whole = measure(count, size, "cpu", arguments.repeats)
            line = f"{count:8d} {size:5d} {forward * 1e3:7.1f}/{backward * 1e3:7.1f} {1 / whole:8.1f}"
            if count * size <= arguments.twin_limit:
                slow_forward, slow_backward, _ = measure(count, size, "torch", 1)
                line += f" {slow_forward * 1e3:8.0f}/{slow_backward * 1e3:8.0f}"
                line += f" {slow_forward / forward:6.1f}x/{slow_backward / backward:6.1f}x"
            write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
