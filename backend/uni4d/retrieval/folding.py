"""Near-identical results as one: the best of them, with the others as its variants.

Assets are near-identical when the library found their meshes to be copies (they share a group) and their
texts say the same, or when they have one name and look alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen
from numpy.typing import NDArray

__all__ = ["ALIKE", "SAYING_THE_SAME", "Folded", "fold"]

Array = NDArray[Any]

ALIKE = 0.98
"""Cosine of two shape vectors from which assets of one name are taken for copies."""

SAYING_THE_SAME = 0.5
"""Cosine of two text vectors from which copies of a mesh are one result."""


@frozen
class Folded:
    """One result."""

    row: int
    variants: list[int] = field(factory=list)
    """Rows of the other copies, best first."""


def fold(
    order: Iterable[int],
    names: Sequence[str],
    groups: Sequence[str],
    texts: Array,
    shapes: Array,
    top: int,
) -> list[Folded]:
    """The first ``top`` results of a ranking ``order`` of rows, and all copies of each within it.

    ``texts`` and ``shapes`` are unit vectors ``[N, D]``, by row as ``names`` and ``groups`` are.
    """
    results: list[Folded] = []
    by_group: dict[str, list[Folded]] = {}
    by_name: dict[str, list[Folded]] = {}
    for row in order:
        copies, namesakes = by_group.get(groups[row]), by_name.get(names[row])
        same = _near(row, copies, texts, SAYING_THE_SAME) if copies else None
        if same is None and namesakes:
            same = _near(row, namesakes, shapes, ALIKE)
        if same is not None:
            same.variants.append(row)
        elif len(results) < top:
            result = Folded(row)
            results.append(result)
            by_group.setdefault(groups[row], []).append(result)
            by_name.setdefault(names[row], []).append(result)
    return results


def _near(row: int, others: Sequence[Folded], vectors: Array, cosine: float) -> Folded | None:
    """Which of some results, if any, has a vector near this row's."""
    for other in others:
        if vectors[row] @ vectors[other.row] >= cosine:
            return other
    return None
