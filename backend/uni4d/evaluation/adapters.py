"""Baselines that learn a map into the text encoder's space: a matrix, and a small network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from uni4d.evaluation.arms import BLOCKS, Block, Centred, Sentences, name_mrr, together, unit
from uni4d.evaluation.tasks import described, name_key
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import Progress, section

if TYPE_CHECKING:
    from torch import Tensor, nn

    from uni4d.training.distributed import Ranks

__all__ = ["LinearAdapter", "MlpAdapter"]

Array = NDArray[Any]


@define(eq=False)
class LinearAdapter:
    """Ridge regression from features X to the (centred) text vectors Y of the objects' names,

        W = Xᵀ (XXᵀ + λ n I)⁻¹ Y,

    in its dual form, for there are fewer objects than features (Saunders et al. 1998). λ and the weights of
    the blocks beside the views are those with which validation objects are found best by name.
    """

    sentences: Sentences
    name: str = "linear"
    title: str = "linear adapter (ridge)"
    reads_texts: bool = False
    known_names: frozenset[str] = frozenset()
    ridges: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    weights: Mapping[Block, tuple[float, ...]] = field(
        factory=lambda: {"points": (0.0, 0.3, 0.6, 1.0), "views": (1.0,), "size": (0.0, 0.2, 0.4)}
    )
    _centred: list[Centred] = field(init=False, factory=list)
    _weights: tuple[float, ...] = field(init=False, default=())
    _text_mean: Array = field(init=False, factory=lambda: np.zeros(0))
    _map: Array = field(init=False, factory=lambda: np.zeros((0, 0)))

    def settings(self) -> dict[str, Any]:
        return {"kind": "linear", "ridges": self.ridges, "weights": dict(self.weights)}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        self._centred = [Centred.on(train, block) for block in BLOCKS]
        texts = self.sentences(train.names)
        self._text_mean = texts.mean(axis=0)
        target, asked = unit(texts - self._text_mean), self.embed_texts(validation.names)
        known = [centred(train) for centred in self._centred]
        held = [centred(validation) for centred in self._centred]
        among = [(block @ block.T).astype(np.float64) for block in known]
        across = [other @ block.T for other, block in zip(held, known, strict=True)]
        best = (-1.0, 0.0)
        for weights in product(*(self.weights[block] for block in BLOCKS)):
            duals = _duals(_weighted(among, weights), target, self.ridges)
            for ridge, dual in zip(self.ridges, duals, strict=True):
                quality = name_mrr(asked, unit(_weighted(across, weights) @ dual), validation)
                if quality > best[0]:
                    best, self._weights = (quality, ridge), weights
            progress(0.0, f"ridge, weights {weights}")
        quality, ridge = best
        self._learn(together(train, validation), ridge)
        return {
            "ridge": ridge,
            **{f"weight of {block}": weight for block, weight in zip(BLOCKS, self._weights, strict=True)},
            "validation_mrr": quality,
        }

    def _learn(self, known: AssetFeatures, ridge: float) -> None:
        """W of ``known``, with the weights that were chosen."""
        self._centred = [Centred.on(known, block) for block in BLOCKS]
        texts = self.sentences(known.names)
        self._text_mean = texts.mean(axis=0)
        inputs, target = self._inputs(known), unit(texts - self._text_mean)
        [dual] = _duals((inputs @ inputs.T).astype(np.float64), target, [ridge])
        self._map = inputs.T @ dual.astype(np.float32)

    def embed_assets(self, features: AssetFeatures) -> Array:
        return unit(self._inputs(features) @ self._map)

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return unit(self.sentences(texts) - self._text_mean)

    def _inputs(self, features: AssetFeatures) -> Array:
        return np.concatenate(
            [
                weight * centred(features)
                for weight, centred in zip(self._weights, self._centred, strict=True)
            ],
            axis=1,
        )


def _weighted(products: Sequence[Array], weights: Sequence[float]) -> Array:
    """The inner products of blocks end to end, each times its weight, from those of the blocks."""
    return np.asarray(sum(weight**2 * each for weight, each in zip(weights, products, strict=True)))


def _duals(gram: Array, target: Array, ridges: Sequence[float]) -> list[Array]:
    """(XXᵀ + λ n I)⁻¹ Y ``[n, D]`` for every λ, from one decomposition of the Gram matrix XXᵀ."""
    values, vectors = np.linalg.eigh(gram)
    turned = vectors.T @ target
    return [vectors @ (turned / (values + ridge * len(gram))[:, None]) for ridge in ridges]


@define(eq=False)
class MlpAdapter:
    """A network of one hidden layer over an object's features, a matrix over the text vector; both are
    trained by the contrastive loss of ATMS (:mod:`uni4d.training.contrastive`).

    As many members as ATMS has are trained, and their vectors averaged; the weights of each are those of the
    step at which the validation objects were found best by name.
    """

    sentences: Sentences
    name: str = "mlp"
    title: str = "MLP adapter (contrastive)"
    reads_texts: bool = False
    known_names: frozenset[str] = frozenset()
    members: int = 4
    steps: int = 400
    hidden: int = 512
    dropout: float = 0.4
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    temperature: float = 0.05
    _centred: list[Centred] = field(init=False, factory=list)
    _models: list[Any] = field(init=False, factory=list)

    def settings(self) -> dict[str, Any]:
        names = ("members", "steps", "hidden", "dropout", "learning_rate", "weight_decay", "temperature")
        return {"kind": "mlp", **{name: getattr(self, name) for name in names}}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        self._centred = [Centred.on(train, block) for block in BLOCKS]
        task = _MlpTask(self, train, validation)
        trained = [
            self._trained(
                task,
                seed * self.members + number,
                section(progress, number / self.members, (number + 1) / self.members),
            )
            for number in range(self.members)
        ]
        self._models = [model for model, _ in trained]
        return {
            "members": self.members,
            "validation_mrr of the best member": max(quality for _, quality in trained),
        }

    def _trained(self, task: _MlpTask, seed: int, progress: Progress) -> tuple[Any, float]:
        """One member and its best validation."""
        import torch

        from uni4d.training.loop import LoopConfig, new_state, schedule_of
        from uni4d.training.loop import train as run

        loop = LoopConfig(
            steps=self.steps,
            batch=256,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=min(30, self.steps),
            temperature=self.temperature,
            validate_every=20,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _towers(task.objects.shape[1], task.texts.shape[2], self.hidden, self.dropout)
            state = new_state(model, loop)
            best: tuple[float, dict[str, Tensor]] = (-1.0, {})

            def keep_the_best(row: dict[str, float]) -> None:
                nonlocal best
                if row["validation_accuracy"] > best[0]:
                    best = (row["validation_accuracy"], state.snapshot().weights)

            run(state, task, loop, schedule_of(loop), seed, progress, record=keep_the_best)
        model.load_state_dict(best[1])
        return model.eval(), best[0]

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self._embedded("objects", self.inputs(features))

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self._embedded("texts", self.sentences(texts))

    def inputs(self, features: AssetFeatures) -> Array:
        """``[N, D]`` float32: all blocks at unit length, end to end."""
        return np.concatenate([centred(features) for centred in self._centred], axis=1)

    def _embedded(self, side: str, values: Array) -> Array:
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(values)
            return unit(np.mean([unit(model[side](inputs).numpy()) for model in self._models], axis=0))


def _towers(objects: int, texts: int, hidden: int, dropout: float) -> nn.ModuleDict:
    """Both sides of :class:`MlpAdapter`; the text side starts as the identity."""
    from torch import nn

    text = nn.Linear(texts, texts)
    nn.init.eye_(text.weight)
    nn.init.zeros_(text.bias)
    tower = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(objects, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, texts),
    )
    return nn.ModuleDict({"objects": tower, "texts": text})


class _MlpTask:
    """:class:`uni4d.training.loop.Task` of :class:`MlpAdapter`."""

    def __init__(self, arm: MlpAdapter, train: AssetFeatures, validation: AssetFeatures) -> None:
        import torch

        self.size = len(train)
        self.objects = torch.from_numpy(arm.inputs(train))
        self.texts = torch.from_numpy(np.stack([arm.sentences(train.names), arm.sentences(described(train))]))
        self._keys = [name_key(name) for name in train.names]
        self._groups = train.groups
        self._held = validation
        self._held_objects = torch.from_numpy(arm.inputs(validation))
        self._held_texts = torch.from_numpy(arm.sentences(validation.names))

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        """Each object beside its name or, as often, its full text."""
        import torch
        from torch.nn import functional

        from uni4d.training.contrastive import contrastive_loss, same

        towers: Any = model
        column = torch.randint(2, (len(rows),))
        texts = functional.normalize(towers["texts"](self.texts[column, rows]), dim=1)
        objects = functional.normalize(towers["objects"](self.objects[rows]), dim=1)
        positives = same([self._keys[row] for row in rows]) | same([self._groups[row] for row in rows])
        return contrastive_loss(texts, objects, temperature, positives)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """``accuracy`` is the mean reciprocal rank, finer than recall@1 on few objects."""
        towers: Any = model
        texts, objects = towers["texts"](self._held_texts), towers["objects"](self._held_objects)
        quality = name_mrr(unit(texts.numpy()), unit(objects.numpy()), self._held)
        return {"accuracy": quality, "loss": 1.0 - quality}
