"""The static stage: splats from the texture, refined on photographs of the object at rest.

The texture knows nothing of light, and a cloud has gaps and overlaps; a short descent on the rendered views
repairs both. Positions and sizes move a little, so that every splat still belongs to its triangle, and what
the photographs do not show stays as the mesh has it: it comes into sight when the object moves. On the way
splats are split where the photographs are missed most (:mod:`uni4d.splatting.splitting`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.projection import LOW_PASS
from uni4d.splatting.rasterise import Implementation
from uni4d.splatting.refinement import Refinement, decay_over
from uni4d.splatting.surface import splats_from_mesh
from uni4d.splatting.view_loss import ViewLoss
from uni4d.splatting.visibility import SHOWN, shown_shares
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import ViewSet

if TYPE_CHECKING:  # the library renders with this package
    from uni4d.library.geometry import TexturedMesh

__all__ = ["refine_on_views", "splats_at_rest"]

_ROUNDS = 4
"""How many times splats are split, if the steps suffice …"""
_STEPS_PER_ROUND = 50
"""… for so many to each; what is left after the last must do for the new ones to settle."""
_SPLIT_BEFORE = 0.4
"""The share of the steps after which no more are split."""


def splats_at_rest(
    mesh: TexturedMesh,
    views: ViewSet,
    count: int,
    iterations: int,
    progress: Progress = silent,
    *,
    placed_share: float = 1.0,
    seed: int = 0,
    weights: NDArray[Any] | None = None,
) -> BoundSplats:
    """The static stage: ``count`` splats of ``mesh``, refined on ``views`` in so many ``iterations``.

    Of the splats ``placed_share`` (at least a half) is spread evenly over the surface, the rest comes by
    splitting. With too few iterations for that, all are.
    """
    grows = iterations >= _STEPS_PER_ROUND
    placed = max(round(placed_share * count), 1) if grows else count
    progress(0.0, "placing splats on the mesh")
    bound = splats_from_mesh(mesh, placed, seed)
    return refine_on_views(
        *(bound, views, iterations, section(progress, 0.05, 1.0)),
        count=count, seed=seed, weights=weights,
    )  # fmt: skip


def refine_on_views(
    bound: BoundSplats,
    views: ViewSet,
    iterations: int = 150,
    progress: Progress = silent,
    *,
    count: int | None = None,
    seed: int = 0,
    implementation: Implementation = "auto",
    low_pass: float = LOW_PASS,
    antialiased: bool = True,
    weights: NDArray[Any] | None = None,
) -> BoundSplats:
    """``bound`` with colours, opacities, sizes and (slightly) places fitted to ``views``.

    Each step looks at one view (:class:`ViewLoss`). Splats that no view shows keep what they have, but draw
    back where they stick out. By splitting, there come to be ``count`` of them, at most twice as many as
    there were in each of up to four rounds of 50 or more iterations; ``None``: as many as there are.
    ``low_pass`` and ``antialiased`` are those of :func:`~uni4d.splatting.rasterise.rasterise`: refine with
    the values that the result will be rendered with. ``weights`` ``[V]``: how much each view counts, 1 on
    average. Deterministic for a seed.
    """
    generator = torch.Generator().manual_seed(seed)
    view_loss = ViewLoss(views, implementation, low_pass=low_pass, antialiased=antialiased, weights=weights)
    decay = decay_over(iterations)
    hidden = shown_shares(bound.splats.detached(), views.cameras, implementation) < SHOWN
    growth = _growth(len(bound), len(bound) if count is None else count, iterations)
    descent = Refinement(bound, hidden, 1.0)
    for step in range(iterations):
        if step in growth:
            missed = view_loss.missed(descent.splats).masked_fill(descent.hidden, 0.0)
            descent = descent.split(missed.topk(growth[step] - len(missed)).indices, decay**step, seed)
        descent.step(view_loss.of_next(descent.splats, generator), decay)
        progress((step + 1) / iterations, f"refining the splats on the views, step {step + 1}")
    return descent.refined()


def _growth(now: int, count: int, iterations: int) -> dict[int, int]:
    """Before which steps splats are split, and how many there are to be then."""
    rounds = min(_ROUNDS, iterations // _STEPS_PER_ROUND) if count > now else 0
    steps = [round(_SPLIT_BEFORE * iterations * (number + 1) / rounds) for number in range(rounds)]
    counts = [now + (count - now) * (number + 1) // rounds for number in range(rounds)]
    return dict(zip(steps, counts, strict=True))
