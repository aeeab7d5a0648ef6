"""The questions that retrieval is asked (Uni4D §4.1, Table 2), and which answers are right.

**C, category level**: “a 3D model of a {class}”, where the class is the object's catalogue category or,
separately, its name. Right are the objects of that class. It is asked in both directions: which objects
belong to the words, and which class the object belongs to (one query per object, against all classes).

**R, instance level**: one query per object against the whole, unclustered gallery.
``r-name``      the object's name; right: any object of that name, or a near-duplicate of one
``r-unseen``    the same, only for names that no training or validation object has
``r-instance``  all its words (name, tags, category); right: it, its near-duplicates, identical texts

Objects of one group of near-duplicates cannot be told apart by geometry and appearance, so they are right
together everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.features import AssetFeatures

__all__ = ["RetrievalTask", "described", "name_key", "tasks_of"]

Array = NDArray[Any]

_PROMPT = "a 3D model of a {}"


@frozen(eq=False)
class RetrievalTask:
    """``T`` texts about ``N`` objects; either side may be the one that asks."""

    key: str
    title: str
    texts: tuple[str, ...]
    right: Array
    """``[T, N]`` bool: which texts are right for which objects."""
    clusters: tuple[str, ...]
    """A key per query, for the bootstrap."""
    objects_ask: bool = False
    """False: the texts are the queries and the objects the gallery; True: the other way round."""
    queries: Array | None = None
    """``[Q]`` rows of the queries that count; ``None``: all."""

    def scores(self, texts: Array, objects: Array) -> Array:
        """``[Q, G]`` cosines from unit vectors of the texts ``[T, E]`` and of the objects ``[N, E]``."""
        return self._asked((texts @ objects.T).astype(np.float64))

    @property
    def goals(self) -> Array:
        """``[Q, G]`` bool: right answers of every query."""
        return self._asked(self.right)

    def _asked(self, matrix: Array) -> Array:
        matrix = matrix.T if self.objects_ask else matrix
        return matrix if self.queries is None else matrix[self.queries]


def name_key(name: str) -> str:
    """Names that differ only in case or spaces are one name."""
    return " ".join(name.casefold().split())


def described(features: AssetFeatures) -> tuple[str, ...]:
    """All words about each object in one text."""
    return tuple(", ".join(texts) for texts in features.texts)


def tasks_of(test: AssetFeatures, seen_names: Collection[str]) -> list[RetrievalTask]:
    """Every task over the gallery ``test``; tasks that nothing is left of are not there.

    ``seen_names`` are the names (in any case) that some arm learnt from.
    """
    names = [name_key(name) for name in test.names]
    tasks = [
        *_class_tasks("category", test.categories, test, name_key),
        *_class_tasks("name", test.names, test, name_key),
        _by_name(test, names),
    ]
    seen = {name_key(name) for name in seen_names}
    unseen = np.flatnonzero([name not in seen for name in names])
    if len(unseen):
        tasks.append(_by_name(test, names, unseen))
    tasks.append(_by_instance(test))
    return tasks


def _class_tasks(
    kind: str, classes: Sequence[str], test: AssetFeatures, key_of: Callable[[str], str]
) -> list[RetrievalTask]:
    """Both directions for one meaning of “class”; objects without one are only wrong answers."""
    keys = [key_of(name) for name in classes]
    distinct = [key for key in dict.fromkeys(keys) if key]
    if len(distinct) < 2:
        return []
    right = _equal(distinct, keys)
    if kind == "name":
        right = _with_duplicates(right, test.groups)
    texts = tuple(_PROMPT.format(name) for name in distinct)
    asking = np.flatnonzero(right.any(axis=0))
    clusters = tuple(test.groups[row] for row in asking)
    return [
        RetrievalTask(f"c-{kind}", f"C by {kind}: words → objects", texts, right, tuple(distinct)),
        RetrievalTask(
            f"c-{kind}-of-object", f"C by {kind}: object → words", texts, right, clusters, True, asking
        ),
    ]


def _by_name(test: AssetFeatures, names: list[str], queries: Array | None = None) -> RetrievalTask:
    right = _with_duplicates(_equal(names, names), test.groups)
    if queries is None:
        return RetrievalTask("r-name", "R by name", test.names, right, tuple(names))
    clusters = tuple(names[row] for row in queries)
    title = "R by name, names never seen in training"
    return RetrievalTask("r-unseen", title, test.names, right, clusters, queries=queries)


def _by_instance(test: AssetFeatures) -> RetrievalTask:
    texts = described(test)
    keys = [name_key(text) for text in texts]
    right = _equal(keys, keys) | _equal(test.groups, test.groups)
    return RetrievalTask("r-instance", "R by instance", texts, right, test.groups)


def _equal(first: Sequence[str], second: Sequence[str]) -> Array:
    """``[len(first), len(second)]`` bool."""
    return np.array(first, dtype=object)[:, None] == np.array(second, dtype=object)[None, :]


def _with_duplicates(right: Array, groups: Sequence[str]) -> Array:
    """Near-duplicates of right objects are right too."""
    return np.asarray((right.astype(np.int64) @ _equal(groups, groups).astype(np.int64)) > 0)
