"""ATMS in the tables: trained from scratch with and without its attention, and as it ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field
from numpy.typing import NDArray

from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import ATMS
from uni4d.retrieval.encoder import WEIGHTS, AtmsEncoder, RetrievalWeights
from uni4d.retrieval.kernel_map import KernelMap
from uni4d.training.atms import AtmsTask, AtmsTrainConfig, NamedPictures
from uni4d.training.atms_training import kernel_map, train_members
from uni4d_shared.progress import Progress

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["AtmsArm", "KernelArm", "ShippedAtms"]

Array = NDArray[Any]


@define(eq=False)
class AtmsArm:
    """Trained anew for every seed, as ``uni4d train atms`` trains it."""

    texts: TextEncoder
    name: str
    title: str
    config: AtmsTrainConfig
    pictures: NamedPictures | None = None
    with_kernel: bool = False
    """Beside the kernel map, as in the product."""
    shelf: dict[int, tuple[list[ATMS], float]] = field(factory=dict)
    """Seed → trained members with their best validation; arms of one configuration may share it, so that
    each is trained once."""
    reads_texts: bool = False
    _encoder: AtmsEncoder | None = field(init=False, default=None)

    @property
    def known_names(self) -> frozenset[str]:
        return frozenset(self.pictures.names if self.pictures else ())

    def settings(self) -> dict[str, Any]:
        return {
            "kind": "atms",
            "kernel": self.with_kernel,
            **attrs.asdict(self.config),
            "named pictures": sorted(self.known_names),
        }

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        best: dict[int, float] = {}

        def note(member: int, row: dict[str, float]) -> None:
            best[member] = max(best.get(member, 0.0), row["validation_mrr"])

        if seed not in self.shelf:
            task = AtmsTask(train, validation, self.texts, self.config, self.pictures)
            # No two seeds share a member.
            first = seed * self.config.members
            trained = train_members(task, self.config, first, progress, record=note)
            self.shelf[seed] = (trained, max(best.values()))
        members, quality = self.shelf[seed]
        kernel = kernel_map([train, validation], self.texts) if self.with_kernel else None
        self._encoder = AtmsEncoder(RetrievalWeights(tuple(members), kernel), self.texts)
        return {"members": len(members), "validation_mrr of the best member": quality}

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self._fitted().embed_features(features)

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self._fitted().embed_texts(texts)

    def _fitted(self) -> AtmsEncoder:
        if self._encoder is None:
            raise RuntimeError("an arm embeds after it was fitted")
        return self._encoder


@define(eq=False)
class KernelArm:
    """The kernel map alone; it learns in closed form, so that seeds differ by what they learn from."""

    texts: TextEncoder
    name: str
    title: str
    reads_texts: bool = False
    known_names: frozenset[str] = frozenset()
    _map: KernelMap | None = field(init=False, default=None)

    def settings(self) -> dict[str, Any]:
        return {"kind": "kernel"}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        self._map = kernel_map([train, validation], self.texts)
        return {"centres": len(self._map.centres)}

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self._fitted().assets(features)

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self._fitted().texts(self.texts.encode([text.lower() for text in texts]).pooled)

    def _fitted(self) -> KernelMap:
        if self._map is None:
            raise RuntimeError("an arm embeds after it was fitted")
        return self._map


@define(eq=False)
class ShippedAtms:
    """The weights of the ``local`` profile as they are; every seed is the same.

    They learnt from Sweet Home 3D's training objects, and from icons whose names are not known here.
    """

    texts: TextEncoder
    name: str
    title: str
    reads_texts: bool = False
    known_names: frozenset[str] = frozenset()
    _encoder: AtmsEncoder = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._encoder = AtmsEncoder.load(self.texts)

    def settings(self) -> dict[str, Any]:
        import hashlib

        return {"kind": "shipped", "weights": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        return {}

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self._encoder.embed_features(features)

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self._encoder.embed_texts(texts)
