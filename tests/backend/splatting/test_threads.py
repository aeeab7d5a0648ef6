"""Works side by side: in order, on threads of their own, and nothing of them is left when something fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from uni4d.splatting.threads import kernel_threads, kernels_alone, side_by_side
from uni4d_shared.progress import Cancelled

LONG = 30.0
"""Seconds after which a thread that should have come will not."""


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For the kernels, as in a fit."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with kernels_alone():
            yield
    finally:
        torch.set_num_threads(before)


class Begun:
    """Works that take a moment, and which of them have begun and ended."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []

    def work(self, item: int) -> int:
        self.begun.append(item)
        time.sleep(0.05)
        self.ended.append(item)
        return item


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_the_order_of_the_items_though_they_end_in_another() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(LONG)
        if item == 1:
            second_is_done.set()
        return 10 * item

    assert side_by_side(work, range(7)) == [0, 10, 20, 30, 40, 50, 60]
    assert side_by_side(work, []) == []


@pytest.mark.usefixtures("two_threads")
def test_as_many_works_run_at_once_as_a_kernel_has_threads() -> None:
    """Two wait for each other, and there is never a third."""
    both, works = threading.Barrier(2, timeout=LONG), Begun()

    def work(item: int) -> int:
        both.wait()
        works.work(item)
        return threading.get_ident()

    workers = set(side_by_side(work, range(8)))
    assert len(workers) == 2 and threading.get_ident() not in workers


@pytest.mark.usefixtures("two_threads")
def test_kernels_have_one_thread_in_a_work_and_as_many_as_before_after_it() -> None:
    def fail(_: int) -> None:
        raise OSError

    for _ in range(2):
        assert side_by_side(lambda _: kernel_threads(), range(4)) == [1] * 4
        assert kernel_threads() == 2
        with pytest.raises(OSError):
            side_by_side(fail, range(4))
        assert kernel_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_works_have_gradients_where_their_caller_has() -> None:
    """The gradient of what they return reaches the caller's tensors, too."""
    for wanted in (True, False, True):
        with torch.set_grad_enabled(wanted):
            assert side_by_side(lambda _: torch.is_grad_enabled(), range(4)) == [wanted] * 4
            assert torch.is_grad_enabled() == wanted
    leaf = torch.tensor(2.0, requires_grad=True)
    cubes = side_by_side(lambda factor: factor * leaf**3, [1.0, 2.0, 3.0])
    assert float(torch.autograd.grad(torch.stack(cubes).sum(), leaf)[0]) == pytest.approx(72.0)


@pytest.mark.usefixtures("two_threads")
def test_an_error_reaches_the_caller_when_nothing_is_running_any_more() -> None:
    both, works = threading.Barrier(2, timeout=LONG), Begun()

    def work(item: int) -> int:
        if item < 2:
            both.wait()
        if item == 0:
            raise OSError("no such picture")
        return works.work(item)

    with pytest.raises(OSError, match="no such picture"):
        side_by_side(work, range(60))
    assert 1 in works.ended and sorted(works.begun) == sorted(works.ended)
    assert len(works.begun) < 59
    assert side_by_side(lambda item: item, range(4)) == [0, 1, 2, 3]


@pytest.mark.usefixtures("two_threads")
def test_who_is_told_may_stop_what_has_not_begun() -> None:
    told, works = [], Begun()

    def tell() -> None:
        told.append(threading.get_ident())
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        side_by_side(works.work, range(60), tell)
    assert told == [threading.get_ident()] * 3
    assert {0, 1} <= set(works.ended) and sorted(works.begun) == sorted(works.ended)
    assert len(works.begun) < 60
    told.clear()
    assert side_by_side(lambda item: item, range(2), tell) == [0, 1]
    assert len(told) == 2


@pytest.mark.usefixtures("two_threads")
def test_works_may_themselves_have_works() -> None:
    """These run one after the other where they are, for all threads may be waiting for them."""
    both = threading.Barrier(2, timeout=LONG)

    def outer(item: int) -> list[int]:
        both.wait()
        assert kernel_threads() == 1, "it would wait for itself"
        own = threading.get_ident()
        return side_by_side(lambda inner: 10 * item + inner + 100 * (threading.get_ident() != own), range(3))

    assert side_by_side(outer, range(2)) == [[0, 1, 2], [10, 11, 12]]


@pytest.mark.parametrize(("threads", "items"), [(1, 5), (2, 1)])
def test_a_single_thread_is_the_callers(threads: int, items: int) -> None:
    """Also where there is but a single item, for which kernels keep their threads."""
    before, events = torch.get_num_threads(), []

    def work(item: int) -> int:
        assert kernel_threads() == threads
        events.append(item)
        return threading.get_ident()

    try:
        torch.set_num_threads(threads)
        workers = side_by_side(work, range(items), lambda: events.append(-1))
    finally:
        torch.set_num_threads(before)
    assert workers == [threading.get_ident()] * items
    assert events == [event for item in range(items) for event in (-1, item)]


def test_pytorch_has_as_many_threads_in_a_work_as_where_it_was_asked_for() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert side_by_side(lambda _: torch.get_num_threads(), range(4)) == [2] * 4
        with kernels_alone():
            assert side_by_side(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
        assert side_by_side(lambda _: torch.get_num_threads(), range(4)) == [2] * 4
    finally:
        torch.set_num_threads(before)
