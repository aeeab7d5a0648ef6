"""What CrOSSMA learns from: objects with their texts, views, and vectors in the joint space of retrieval.

    L = mean_i L_align(T_i, M_i, I_ii) + μ · contrastive( −L_align(T_i, M_j, I_ij) / τ )

The first term is the three-level loss of what belongs together (Uni4D §3.4); alone it would be content with
an I that agrees with anything. The second asks that what belongs together agrees better than what does not,
over all texts and objects of a batch, so that the score comes to mean something. T and M are frozen.

The vectors of an object come from a retrieval model that has not learnt from it (:mod:`crossma_training`):
of objects that it knows, T and M agree better than they ever will at work.

Named pictures, such as renders of emoji, may add breadth. They show things that nobody has a mesh of, so of
the three levels only the one between image and text is theirs, with a contrast of its own:

    L += ν λ₃ [ mean_p (1 − cos(I_pp, T_p)) + μ · contrastive( −(1 − cos(I_pq, T_p)) / τ ) ]
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
import torch
from attrs import evolve, field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn

from uni4d.alignment.crossma import Crossma, CrossmaConfig, CrossmaOutput, pairwise
from uni4d.training.contrastive import contrastive_of_scores, same
from uni4d.training.distributed import Ranks
from uni4d.training.loop import LoopConfig

__all__ = ["AlignedObjects", "AlignedPictures", "CrossmaTask", "CrossmaTrainConfig"]

Array = NDArray[Any]


@frozen
class CrossmaTrainConfig:
    """What ``uni4d train crossma`` reads from a recipe."""

    model: CrossmaConfig = field(factory=CrossmaConfig)
    loop: LoopConfig = field(
        factory=lambda: LoopConfig(
            steps=400, batch=48, learning_rate=1e-3, temperature=0.05, weight_decay=0.2, warmup=20
        )
    )
    text_shape: float = field(default=1.0, validator=validators.ge(0.0))
    """λ₁; 0 removes the level."""
    shape_image: float = field(default=1.0, validator=validators.ge(0.0))
    """λ₂"""
    image_text: float = field(default=1.0, validator=validators.ge(0.0))
    """λ₃"""
    contrast: float = field(default=1.0, validator=validators.ge(0.0))
    """μ"""
    feature_dropout: float = field(default=0.2, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the numbers of every view that are set to zero in training."""
    folds: int = field(default=3, validator=validators.ge(2))
    """Retrieval models, each trained without the objects whose vectors it gives."""
    fold_steps: int = field(default=200, validator=validators.ge(1))
    """Gradient steps of each."""

    pictures: int = field(default=32, validator=validators.ge(0))
    """Named pictures beside the objects of every batch, where there are any."""
    picture_weight: float = field(default=0.25, validator=validators.ge(0.0))
    """ν"""

    @property
    def levels(self) -> tuple[float, float, float]:
        return (self.text_shape, self.shape_image, self.image_text)


class Shown(Protocol):
    """What CrOSSMA reads of things that have names and views."""

    @property
    def tokens(self) -> Array:
        """``[N, L, W]`` float32"""

    @property
    def mask(self) -> Array:
        """``[N, L]`` bool"""

    @property
    def views(self) -> Array:
        """``[N, V, E]`` float32"""

    @property
    def images(self) -> Array:
        """``[N, V, D]`` float32 unit"""


@frozen(eq=False)
class AlignedPictures:
    """``N`` pictures of things that have a name and no mesh."""

    names: tuple[str, ...]
    tokens: Array
    """``[N, L, W]`` float32: text tokens of the names."""
    mask: Array
    """``[N, L]`` bool"""
    views: Array
    """``[N, 1, E]`` float32: square roots of the image features."""
    texts: Array
    """T: ``[N, D]`` float32 unit."""
    images: Array
    """I_v: ``[N, 1, D]`` float32 unit."""

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, rows: Array) -> AlignedPictures:
        arrays = (self.tokens, self.mask, self.views, self.texts, self.images)
        return AlignedPictures(tuple(self.names[row] for row in rows), *(values[rows] for values in arrays))

    @property
    def trimmed(self) -> AlignedPictures:
        """Without padding that none of the names needs: some emoji have long ones, and time grows with L."""
        length = max(int(self.mask.sum(axis=1).max(initial=1)), 1)
        return evolve(self, tokens=self.tokens[:, :length], mask=self.mask[:, :length])

    @property
    def same(self) -> Tensor:
        """``[N, N]`` bool: which texts say which pictures too."""
        return same(self.names)


@frozen(eq=False)
class AlignedObjects:
    """``N`` objects."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    tokens: Array
    """``[N, L, W]`` float32: text tokens of the names."""
    mask: Array
    """``[N, L]`` bool"""
    views: Array
    """``[N, V, E]`` float32: square roots of the image features."""
    texts: Array
    """T: ``[N, D]`` float32 unit."""
    objects: Array
    """M: ``[N, D]`` float32 unit."""
    images: Array
    """I_v: ``[N, V, D]`` float32 unit."""

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, rows: Array) -> AlignedObjects:
        arrays = (self.tokens, self.mask, self.views, self.texts, self.objects, self.images)
        return AlignedObjects(
            tuple(self.names[row] for row in rows),
            tuple(self.groups[row] for row in rows),
            *(values[rows] for values in arrays),
        )

    @property
    def same(self) -> Tensor:
        """``[N, N]`` bool: which texts say which objects too."""
        return same([name.lower() for name in self.names]) | same(self.groups)


class CrossmaTask:
    """:class:`uni4d.training.loop.Task` of CrOSSMA."""

    def __init__(
        self,
        train: AlignedObjects,
        validation: AlignedObjects,
        config: CrossmaTrainConfig,
        pictures: AlignedPictures | None = None,
    ) -> None:
        self._train, self._validation, self._config = train, validation, config
        self._pictures = pictures
        self.size = len(train)

    def new_model(self) -> Crossma:
        """A model that knows the mean text token and the mean view of the training objects."""
        model = Crossma(self._config.model)
        weights = self._train.mask[..., None]
        mean = (self._train.tokens * weights).sum(axis=(0, 1)) / max(weights.sum(), 1)
        model.text_mean.data.copy_(torch.from_numpy(mean.astype(np.float32)))
        model.view_mean.data.copy_(torch.from_numpy(self._train.views.mean(axis=(0, 1))))
        return model

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        """The loss of a batch; several ranks each take their own share of it as a batch."""
        model = cast("Crossma", model)
        batch = self._train.rows(ranks.share(rows))
        output = all_pairs(model, batch, self._config.feature_dropout)
        losses = pairwise(
            output, torch.from_numpy(batch.texts), torch.from_numpy(batch.objects), self._config.levels
        )
        loss = self._of_pairs(losses, batch.same, temperature)
        weight = self._config.picture_weight * self._config.image_text
        drawn = self._drawn_pictures(rows, ranks)
        return loss if drawn is None else loss + weight * self._of_pictures(model, drawn, temperature)

    def _of_pairs(self, losses: Tensor, same: Tensor, temperature: Tensor | float) -> Tensor:
        """What belongs together shall agree (``[N, N]``: the diagonal does), and better than the rest."""
        contrast = contrastive_of_scores(-losses / temperature, same)
        return losses.diagonal().mean() + self._config.contrast * contrast

    def _of_pictures(self, model: Crossma, drawn: AlignedPictures, temperature: Tensor | float) -> Tensor:
        output = all_pairs(model, drawn, self._config.feature_dropout)
        agreed = (output.vector * torch.from_numpy(drawn.texts)[:, None]).sum(dim=-1)
        return self._of_pairs(1.0 - agreed, drawn.same, temperature)

    def _drawn_pictures(self, rows: Array, ranks: Ranks) -> AlignedPictures | None:
        """Pictures for a batch of objects: a function of the batch, so that a resumed run draws the same."""
        if self._pictures is None or not self._config.pictures:
            return None
        count = min(self._config.pictures, len(self._pictures))
        drawn = np.random.default_rng(rows).choice(len(self._pictures), count, replace=False)
        return self._pictures.rows(ranks.share(drawn)).trimmed

    def validate(self, model: nn.Module) -> dict[str, float]:
        """``accuracy``: how often a matching text beats another one for the same object; ``loss``: L_align of
        what belongs together."""
        held = self._validation
        output = all_pairs(cast("Crossma", model), held)
        losses = pairwise(
            output, torch.from_numpy(held.texts), torch.from_numpy(held.objects), (1.0, 1.0, 1.0)
        )
        right = losses.diagonal()
        wrong = ~held.same
        beats = (right[None] < losses) & wrong
        return {
            "accuracy": float(beats.sum() / wrong.sum()),
            "loss": float(right.mean()),
            "mrr": float((1.0 / (1.0 + ((losses <= right[None]) & wrong).sum(dim=0))).mean()),
        }


def all_pairs(model: Crossma, batch: Shown, dropout: float = 0.0) -> CrossmaOutput:
    """Every text of a batch with the views of every object of it; in training a random part of the views."""
    views, images = torch.from_numpy(batch.views), torch.from_numpy(batch.images)
    shown = torch.ones(views.shape[:2], dtype=torch.bool)
    if model.training:
        order = torch.rand(shown.shape).argsort(dim=1).argsort(dim=1)
        shown = order < torch.randint(1, views.shape[1] + 1, (len(views), 1))
        views = torch.nn.functional.dropout(views, dropout)
    return model.pairs(torch.from_numpy(batch.tokens), torch.from_numpy(batch.mask), views, shown, images)
