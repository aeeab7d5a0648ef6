"""How much faster each C kernel of the fit is than its plain PyTorch twin, on one thread and on two.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/kernels.py [--json]

What a picture says about the splats that it shows, what holds a graph of nodes together, the robust
difference of two pictures, finer pictures averaged, and structural similarity, the last three with their
gradients, each in the size of a fit of 7,000 splats, 96 nodes and 256² pixels; similarity also for a
photograph of 600². Every figure is the best of several runs, kernel and twin in turn. The rasteriser has a
benchmark of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from uni4d.fourd.elasticity import Elasticity, NormalEquations, Stiffness
from uni4d.fourd.nodes import build_node_graph
from uni4d.fourd.photometry import Lens, robust_loss, robust_loss_plainly
from uni4d.fourd.states import NodeState
from uni4d.fourd.ties import Ties
from uni4d.splatting import image_losses
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.rasterise import Rendered
from uni4d.splatting.supersampling import averaged, averaged_plainly
from uni4d_shared.cameras import orbit_rig

_REPEATS = 20
_SPLATS, _NODES, _SIZE, _PHOTOGRAPH = 7_000, 96, 256, 600

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """Best milliseconds of a kernel and of its twin."""

    what: str
    threads: int
    kernel: float
    twin: float


def observation() -> tuple[Work, Work]:
    """Of random splats on a sphere in a random picture."""
    generator = torch.Generator().manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(_SPLATS, 3, generator=generator), dim=1)
    camera = orbit_rig((0, 0, 0), 1.0, size=_SIZE, margin=1.05)[0]
    frame, image = (torch.rand(_SIZE, _SIZE, 3, generator=generator) for _ in range(2))
    lens = Lens(camera)
    depth = torch.full((_SIZE, _SIZE), float(lens.depths(torch.zeros(1, 3))))
    drawn = Rendered(image, torch.ones(_SIZE, _SIZE), depth)
    return (
        lambda: lens.linearised(frame, drawn, points, 0.0),
        lambda: lens.linearised_plainly(frame, drawn, points, 0.0),
    )


def elasticity() -> tuple[Work, Work]:
    """Of a strained sphere."""
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=4)
    graph = build_node_graph(sphere.vertices, sphere.faces, _NODES)
    held = Elasticity(Ties.of(graph), 1.0, Stiffness())
    noise = 0.05 * torch.randn(_NODES, 6, generator=torch.Generator().manual_seed(0))
    state = NodeState.rest(torch.from_numpy(graph.nodes)).stepped(noise, 1.0)
    strain, turns = held.strain(state), rotation_matrices(state.rotations)
    weights = torch.ones(len(strain.stretch), 2)
    equations = NormalEquations(_NODES)
    return (
        lambda: held.add_strain(equations, state, strain, *weights.unbind(1)),
        lambda: held.add_strain_plainly(equations, turns, strain, weights),
    )


def robust() -> tuple[Work, Work]:
    """And its gradient."""
    generator = torch.Generator().manual_seed(0)
    drawn, frame = (torch.rand(_SIZE, _SIZE, 3, generator=generator) for _ in range(2))
    drawn.requires_grad_(True)
    return (
        lambda: torch.autograd.grad(robust_loss(drawn, frame), drawn),
        lambda: torch.autograd.grad(robust_loss_plainly(drawn, frame), drawn),
    )


def averaging() -> tuple[Work, Work]:
    """Of a picture that was drawn twice as wide, and the gradient."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2 * _SIZE, 2 * _SIZE, 3, generator=generator, requires_grad=True)
    alpha, depth = (torch.rand(2 * _SIZE, 2 * _SIZE, generator=generator) for _ in range(2))

    def slope(of: Rendered) -> Tensor:
        return torch.autograd.grad(of.image.sum(), image)[0]

    return (
        lambda: slope(averaged(Rendered(image, alpha, depth), 2)),
        lambda: slope(averaged_plainly(Rendered(image, alpha, depth), 2)),
    )


def similarity(size: int) -> tuple[Work, Work]:
    """And its gradient."""
    generator = torch.Generator().manual_seed(0)
    image, target = (torch.rand(1, size, size, 3, generator=generator) for _ in range(2))
    image.requires_grad_(True)
    weights = image_losses._gaussian(7, 1.2)

    def slope(of: Tensor) -> Tensor:
        return torch.autograd.grad(of, image)[0]

    return (
        lambda: slope(image_losses.dissimilarity(image, target)),
        lambda: slope(image_losses._similarity(image, target, weights)),
    )


def best_of(works: tuple[Work, Work]) -> list[float]:
    """Milliseconds."""
    found = [math.inf, math.inf]
    for _ in range(_REPEATS):
        for number, work in enumerate(works):
            start = time.perf_counter()
            work()
            found[number] = min(found[number], 1e3 * (time.perf_counter() - start))
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", action="store_true", help="the figures as JSON")
    chosen = options.parse_args()
    cases = {
        f"what a picture of {_SIZE}² says about {_SPLATS} splats": observation(),
        f"what holds {_NODES} nodes together": elasticity(),
        f"how far pictures of {_SIZE}² are apart, its gradient": robust(),
        f"{2 * _SIZE}² averaged to {_SIZE}², its gradient": averaging(),
        f"similarity and its gradient, {_SIZE}²": similarity(_SIZE),
        f"similarity and its gradient, {_PHOTOGRAPH}²": similarity(_PHOTOGRAPH),
    }
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found += [Ratio(what, threads, *best_of(works)) for what, works in cases.items()]
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(ratio) for ratio in found]) + "\n")
        return
    sys.stdout.write(f"{'':48s} threads  kernel ms  twin ms   ratio\n")
    for ratio in found:
        figures = f"{ratio.threads:7d} {ratio.kernel:10.2f} {ratio.twin:8.2f}"
        sys.stdout.write(f"{ratio.what:48s} {figures} {ratio.twin / ratio.kernel:6.1f}x\n")
    sys.stderr.write(f"load {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
