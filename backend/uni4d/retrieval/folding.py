"""Near-identical results as one: the best of them, with the others as its variants.

Assets are near-identical when the library found them to be copies (they share a group), or when they have
one name and look alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen
from numpy.typing import NDArray

__all__ = ["ALIKE", "Folded", "fold"]

ALIKE = 0.98
"""Cosine of two shape vectors from which assets of one name are taken for copies."""


@frozen
class Folded:
    """One result."""

    row: int
    variants: list[int] = field(factory=list)
    """Rows of the other copies, best first."""


def fold(
    order: Iterable[int], names: Sequence[str], groups: Sequence[str], shapes: NDArray[Any], top: int
) -> list[Folded]:
    """The first ``top`` results of a ranking ``order`` of rows, and all copies of each within it."""
    results: list[Folded] = []
    by_group: dict[str, Folded] = {}
    by_name: dict[str, list[Folded]] = {}
    for row in order:
        name = names[row].casefold()
        same = by_group.get(groups[row]) or next(
            (other for other in by_name.get(name, ()) if shapes[row] @ shapes[other.row] >= ALIKE), None
        )
        if same is not None:
            same.variants.append(row)
        elif len(results) < top:
            result = Folded(row)
            results.append(result)
            by_group[groups[row]] = result
            by_name.setdefault(name, []).append(result)
    return results
