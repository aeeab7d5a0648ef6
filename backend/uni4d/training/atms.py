"""What ATMS learns from: texts beside the shape, the look and the size of the objects that they describe.

One item is an object (its point tokens, its views, its size) or a named picture (one view, nothing else:
breadth from sets of icons). In every step each item shows a random one of its texts, and a random part of
what is known of it, so that the model answers from any subset: a mesh, a single photograph, or both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs
import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import ATMS, AtmsConfig, Sequences, Tokens
from uni4d.retrieval.atms_inputs import feature_sequences, picture_tokens
from uni4d.training.contrastive import contrastive_loss, found_figures, same
from uni4d.training.distributed import Ranks, gather
from uni4d.training.loop import LoopConfig
from uni4d.training.schedules.config import ScheduleConfig

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["AtmsTask", "AtmsTrainConfig", "NamedPictures", "recentred"]

Array = NDArray[Any]

_LONGEST_TEXT = 12
"""Word pieces; what follows says little and costs much."""


@frozen
class AtmsTrainConfig:
    """What ``uni4d train atms`` reads from the table ``[atms]`` of its settings file."""

    model: AtmsConfig = field(factory=AtmsConfig)
    loop: LoopConfig = field(
        factory=lambda: LoopConfig(
            steps=300, batch=112, learning_rate=2e-3, temperature=0.1, weight_decay=0.5, warmup=20
        )
    )
    pictures: int = field(default=32, validator=validators.ge(0))
    """Named pictures beside the objects of every batch, where there are any."""
    name_share: float = field(default=0.95, validator=[validators.ge(0.0), validators.le(1.0)])
    """How often an object shows its name alone; else name, tags and category together."""
    feature_dropout: float = field(default=0.3, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the numbers of every object token that are set to zero."""
    modality_dropout: float = field(default=0.2, validator=[validators.ge(0.0), validators.lt(0.5)])
    """How often an object is shown without its points, as often without its views, and without its size."""
    anchor: float = field(default=2.0, validator=validators.ge(0.0))
    """Weight of Σ (1 − cos(f(text), frozen text vector)): keeps the order of texts that training never
    shows. Without it recall@10 of unseen objects falls by 0.05 (cross-validated on Sweet Home 3D)."""
    members: int = field(default=3, validator=[validators.ge(1), validators.le(16)])
    """Models trained from as many seeds, whose vectors are averaged."""
    schedule: ScheduleConfig = field(factory=ScheduleConfig)
    """How a schedule is searched for, where that is asked for."""


@frozen(eq=False)
class NamedPictures:
    """Pictures of single things with one name each, as image features."""

    names: tuple[str, ...]
    views: Array
    """``[N, 1280]`` float32, as :attr:`AssetFeatures.views`."""


class AtmsTask:
    """:class:`uni4d.training.loop.Task` of ATMS; all features stay in memory."""

    def __init__(
        self,
        train: AssetFeatures,
        validation: AssetFeatures,
        encoder: TextEncoder,
        config: AtmsTrainConfig,
        pictures: NamedPictures | None = None,
    ) -> None:
        pictures = pictures or NamedPictures((), np.zeros((0, train.views.shape[2]), np.float32))
        self._config = config
        self.size = len(train)
        self._picture_count = len(pictures.names)
        names = [name.lower() for name in train.names]
        described = [", ".join(texts).lower() for texts in train.texts]
        self._keys = [*names, *pictures.names]
        self._texts = _TextBank(encoder, [[*names, *pictures.names], [*described, *pictures.names]])
        self._objects = _with_pictures(
            feature_sequences(train, config.model.inputs),
            picture_tokens(recentred(pictures.views, train.views)[:, None]),
        )
        self._held = _Gallery.of(validation, encoder, config)
        probed = np.random.default_rng(0).permutation(len(train))[: len(validation)]
        self._probed = _Gallery.of(train.rows(np.sort(probed)), encoder, config)
        names_alone = self._texts.tokens(torch.zeros(self.size).long(), torch.arange(self.size))
        shown = {**names_alone, **feature_sequences(train, config.model.inputs)}
        self._means = {name: _mean_token(tokens) for name, tokens in shown.items() if name != "size"}

    def new_model(self) -> ATMS:
        """A model to start from: it knows the mean token of every modality of this training set."""
        model = ATMS(self._config.model)
        if model.log_temperature is not None:
            model.log_temperature.data.fill_(math.log(self._config.loop.temperature))
        for name, mean in self._means.items():
            cast("Tensor", model.means[name]).data.copy_(mean)
        return model

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        """The loss of ``rows`` of the objects and as many drawn pictures as are configured."""
        model = cast("ATMS", model)
        rows = np.concatenate([rows, self._drawn_pictures(rows, ranks)])
        mine = torch.from_numpy(ranks.share(rows))
        device = next(model.parameters()).device
        whole = (torch.rand(len(mine)) >= self._config.name_share).long()
        sequences = _moved(self._texts.tokens(whole, mine), device)
        texts = model(sequences)
        objects = model(_moved(self._shown(mine), device))
        positives = same([self._keys[row] for row in ranks.gathered(rows)]).to(device)
        temperature = model.temperature(temperature)
        loss = contrastive_loss(gather(texts, ranks), gather(objects, ranks), temperature, positives)
        frozen = model.frozen_text(sequences["text"])
        return loss + self._config.anchor * (1.0 - (texts * frozen).sum(dim=1)).mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Retrieval by name among the validation objects: ``accuracy`` is recall@1."""
        return self._held.figures(cast("ATMS", model))

    def probe(self, model: nn.Module) -> dict[str, float]:
        """The same among as many training objects, for comparison; always the same ones."""
        return self._probed.figures(cast("ATMS", model))

    def _drawn_pictures(self, rows: Array, ranks: Ranks) -> Array:
        """Rows of pictures for a batch of objects: a function of the batch, so the same on every rank."""
        count = min(self._config.pictures, self._picture_count)
        count -= count % ranks.count
        drawn = np.random.default_rng(rows).choice(self._picture_count, count, replace=False)
        return self.size + drawn

    def _shown(self, rows: Tensor) -> Sequences:
        """Objects as they are shown in one step: parts left out, numbers dropped."""
        config = self._config
        fate = torch.rand(len(rows))
        # One number decides both, so that never both are missing.
        unseen = config.modality_dropout if "points" in self._objects else 0.0
        hidden = {
            "points": fate < config.modality_dropout,
            "views": fate > 1.0 - unseen,
            "size": torch.rand(len(rows)) < config.modality_dropout,
        }
        picture = rows >= self.size
        shown = {}
        for name, tokens in self._objects.items():
            mask = tokens.mask[rows] & ~(hidden[name] & ~picture)[:, None]
            if name == "views":
                mask = mask & _some(mask)
            share = 0.0 if name == "size" else config.feature_dropout
            values = functional.dropout(tokens.values[rows], share)
            shown[name] = Tokens(values, mask)
        return shown


@frozen(eq=False)
class _Gallery:
    """Objects to be found by their names."""

    names: list[str]
    groups: tuple[str, ...]
    texts: _TextBank
    objects: Sequences

    @classmethod
    def of(cls, features: AssetFeatures, encoder: TextEncoder, config: AtmsTrainConfig) -> _Gallery:
        names = [name.lower() for name in features.names]
        objects = feature_sequences(features, config.model.inputs)
        return cls(names, features.groups, _TextBank(encoder, [names]), objects)

    def figures(self, model: ATMS) -> dict[str, float]:
        device = next(model.parameters()).device
        rows = torch.arange(len(self.names))
        texts = model(_moved(self.texts.tokens(torch.zeros_like(rows), rows), device))
        objects = model(_moved(self.objects, device))
        scores = texts @ objects.T
        right = (same(self.names) | same(self.groups)).to(device)
        loss = float(contrastive_loss(texts, objects, 0.07, same(self.names).to(device)))
        return {**found_figures(scores, right), "loss": loss}


class _TextBank:
    """Every text encoded once; several columns of texts for the same items."""

    def __init__(self, encoder: TextEncoder, columns: Sequence[Sequence[str]]) -> None:
        distinct = list(dict.fromkeys(text for column in columns for text in column))
        places = {text: place for place, text in enumerate(distinct)}
        encoded = encoder.encode(distinct)
        self._values = torch.from_numpy(encoded.tokens[:, :_LONGEST_TEXT])
        self._mask = torch.from_numpy(encoded.mask[:, :_LONGEST_TEXT])
        self._places = torch.tensor([[places[text] for text in column] for column in columns])

    def tokens(self, columns: Tensor, rows: Tensor) -> Sequences:
        """The texts of ``rows`` ``[B]``, each from its column, as long as the longest of them."""
        places = self._places[columns, rows]
        mask = self._mask[places]
        length = max(int(mask.sum(dim=1).max()), 1) if len(mask) else 1
        return {"text": Tokens(self._values[places, :length], mask[:, :length])}


def _with_pictures(objects: Sequences, pictures: Tokens) -> dict[str, Tokens]:
    """Objects, and after them pictures, which have one view and nothing else."""
    joined = {}
    for name, tokens in objects.items():
        values = tokens.values.new_zeros(len(pictures.values), *tokens.values.shape[1:])
        mask = tokens.mask.new_zeros(len(pictures.values), tokens.mask.shape[1])
        if name == "views":
            values[:, :1], mask[:, :1] = pictures.values, pictures.mask
        joined[name] = Tokens(torch.cat([tokens.values, values]), torch.cat([tokens.mask, mask]))
    return joined


def recentred(pictures: Array, views: Array) -> Array:
    """Image features of pictures ``[N, E]`` moved so that their mean is that of the objects' views: drawings
    and photographs differ in style, which says nothing about what they show."""
    if not len(pictures):
        return pictures
    moved = np.sqrt(pictures) - np.sqrt(pictures).mean(axis=0) + np.sqrt(views).mean(axis=(0, 1))
    recentred: Array = np.maximum(moved, 0.0) ** 2
    return recentred


def _mean_token(tokens: Tokens) -> Tensor:
    """``[D]``"""
    weights = tokens.mask.to(tokens.values.dtype)[..., None]
    return (tokens.values * weights).sum(dim=(0, 1)) / weights.sum().clamp(min=1.0)


def _some(mask: Tensor) -> Tensor:
    """``[B, V]`` bool: a random number of the views, at least one of the real ones, a different choice for
    every item."""
    order = torch.rand(mask.shape).masked_fill(~mask, -1.0).argsort(dim=1, descending=True).argsort(dim=1)
    count = 1 + (torch.rand(len(mask), 1) * mask.sum(dim=1, keepdim=True)).floor().long()
    return order < count


def _moved(sequences: Sequences, device: torch.device) -> Sequences:
    if device.type == "cpu":
        return sequences
    return {
        name: attrs.evolve(tokens, values=tokens.values.to(device), mask=tokens.mask.to(device))
        for name, tokens in sequences.items()
    }
