"""Training in several processes (one per device) started by ``torchrun``.

Every rank computes its share of each batch. Vectors are gathered across ranks before the contrastive loss,
so that its negatives are those of the whole batch; gradients are averaged, so that all ranks take the same
step as one process would. gloo on CPUs, NCCL on GPUs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Ranks", "average_gradients", "gather", "ranks_of_torchrun"]

Array = NDArray[Any]


@frozen
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def share(self, rows: Array) -> Array:
        """This rank's part of a batch's ``rows``."""
        return rows[self.rank :: self.count]

    def gathered(self, rows: Array) -> Array:
        """The batch's ``rows`` in the order in which :func:`gather` returns their vectors."""
        return np.concatenate([rows[rank :: self.count] for rank in range(self.count)])


@contextmanager
def ranks_of_torchrun(device: str) -> Iterator[Ranks]:
    """The process group that ``torchrun`` describes in the environment; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    import torch.distributed as dist

    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
        dist.barrier()
    finally:
        # Tensors that still hold on to the group's buffers abort the process at exit.
        gc.collect()
        dist.destroy_process_group()


def gather(vectors: Tensor, ranks: Ranks) -> Tensor:
    """``[B, D]`` of this rank → ``[ranks · B, D]`` of all; gradients flow back to where they came from."""
    if ranks.count == 1:
        return vectors
    gathered: Tensor = _Gather.apply(vectors, ranks.rank, ranks.count)  # type: ignore[no-untyped-call]
    return gathered


def average_gradients(model: nn.Module, ranks: Ranks) -> None:
    """Replace every gradient by its mean over the ranks; unused parameters count as 0."""
    if ranks.count == 1:
        return
    import torch.distributed as dist

    gradients = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= ranks.count
    for gradient, part in zip(
        gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


class _Gather(torch.autograd.Function):
    """All-gather whose backward pass sums what every rank's loss says about this rank's vectors."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, rank: int, count: int) -> Tensor:
        import torch.distributed as dist

        ctx.rank, ctx.rows = rank, len(vectors)
        parts = [torch.empty_like(vectors) for _ in range(count)]
        dist.all_gather(parts, vectors.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        import torch.distributed as dist

        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient[ctx.rank * ctx.rows : (ctx.rank + 1) * ctx.rows], None, None
