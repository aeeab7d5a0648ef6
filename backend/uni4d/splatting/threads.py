"""Threads: the rasteriser's kernels gain by them, PyTorch's own operations on a few thousand splats lose.

Handing such an operation to a second thread takes longer than doing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

__all__ = ["kernel_threads", "kernels_alone"]

_THREADS: ContextVar[int | None] = ContextVar("kernel_threads", default=None)
"""Of the kernels, where they are not as many as PyTorch's."""


def kernel_threads() -> int:
    """How many a kernel uses: as PyTorch does, or did before :func:`kernels_alone`."""
    return _THREADS.get() or torch.get_num_threads()


@contextmanager
def kernels_alone() -> Iterator[None]:
    """PyTorch's operations run on one thread, in the whole process, and the kernels on as many as before."""
    threads = torch.get_num_threads()
    token = _THREADS.set(kernel_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        _THREADS.reset(token)
