"""Threads: the rasteriser's kernels gain by them, PyTorch's own operations on a few thousand splats lose.

Handing such an operation to a second thread takes longer than doing it. Whole pictures that do not depend on
one another are another matter: each is drawn by a thread of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

__all__ = ["kernel_threads", "kernels_alone", "side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")

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


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], tell: Callable[[], None] = lambda: None
) -> list[Result]:
    """``work`` of each of ``items``, in their order, on as many threads as a kernel would use.

    On these threads, kernels use one, and PyTorch's operations as many as they do here; whether there are
    gradients is as here, too. ``tell`` is called on this thread before each result is waited for, and may
    raise to stop: as after an error of ``work``, what has not begun is left out then, and what has begun is
    waited for.
    """
    threads = min(kernel_threads(), len(items))
    if threads < 2:
        return [_told(tell, work, item) for item in items]
    gradients = torch.is_grad_enabled()

    def alone(item: Item) -> Result:
        token = _THREADS.set(1)
        try:
            with torch.set_grad_enabled(gradients):
                return work(item)
        finally:
            _THREADS.reset(token)

    pool = _pool(threads, torch.get_num_threads())
    futures = [pool.submit(alone, item) for item in items]
    try:
        return [_told(tell, lambda done: done.result(), future) for future in futures]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


def _told(tell: Callable[[], None], work: Callable[[Item], Result], item: Item) -> Result:
    tell()
    return work(item)


@functools.cache
def _pool(threads: int, of_torch: int) -> ThreadPoolExecutor:
    """Kept, for a thread asks only once how many PyTorch's operations may use, which are ``of_torch``."""
    return ThreadPoolExecutor(threads, "pictures", initializer=torch.get_num_threads)
