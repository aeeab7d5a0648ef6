"""From frames to nodes, changes of colour, and shades that wander."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from uni4d.fourd.bodies.skeleton import Skeleton
from uni4d.fourd.checkpoint import Checkpoint
from uni4d.fourd.colors.appearance import color_change
from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.colors.shading import Shading, shading_of
from uni4d.fourd.colors.tints import Palette
from uni4d.fourd.elasticity import Elasticity, Stiffness
from uni4d.fourd.joint import JointRegistration
from uni4d.fourd.layers import Layer
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.registration import Registration
from uni4d.fourd.relevance import Floors, Relevance
from uni4d.fourd.sight import Sight, floor_of
from uni4d.fourd.states import NodeState
from uni4d.fourd.subject import Subject
from uni4d.fourd.ties import Ties
from uni4d.splatting.binding import BoundSplats, Carried
from uni4d_shared.progress import Progress, section

__all__ = ["Followed", "followed_by", "relaid", "shown_change"]

_PERHAPS = 1.5
"""Times their cost that frames may have in wandering shades, where the nodes are without, for it to be worth
following them anew: nodes mimic shades. A clip that was made of the splats themselves, and carries its shades
along, costs far more in others."""
_WANDERS = 0.9
"""Share of the cost below which shades that wander, followed anew, explain the frames better."""


@dataclass(frozen=True)
class Followed:
    """What a clip was found to show."""

    states: list[NodeState]
    """The nodes, frame by frame."""
    change: ColorChange | None
    """Of the colours, besides the shading, which is in the layers."""
    sight: Sight
    """Of the finest layers, plain."""


@dataclass(frozen=True)
class _Attempt:
    states: list[NodeState]
    tinted: bool
    """Whether parts were seen to change their colour."""


@dataclass(frozen=True)
class _Following:
    """Registration, what it teaches about colours, and the joint stage."""

    graph: NodeGraph
    radius: float
    floor: float
    """See :func:`uni4d.fourd.sight.floor_of`."""
    rounds: int
    palette: Palette
    shading: Shading | None
    """Of the photographs, if their light is not even."""

    @classmethod
    def of(cls, subject: Subject, bound: BoundSplats, layer: Layer, progress: Progress) -> _Following:
        """With splats at rest, of which ``layer`` is one of the finest."""
        width, views = layer.targets.camera.width, subject.views
        return cls(
            subject.graph,
            subject.radius,
            floor_of(bound.splats, views, width, layer.finer),
            subject.config.rounds,
            subject.palette(bound),
            shading_of(subject.mesh, bound, views, subject.radius, progress),
        )

    def followed(
        self, layers: Sequence[Sequence[Layer]], checkpoint: Checkpoint, progress: Progress
    ) -> tuple[list[NodeState], bool]:
        """The nodes, and whether colours change by themselves. ``layers``: coarse first, one per camera; they
        keep the shading where it explains the clip."""
        sights = [Sight(list(level), self.graph, self.radius) for level in layers]
        found = self._registered(sights, checkpoint, section(progress, 0.0, 0.3))
        if self.shading is not None:
            found = self._in_the_light(self.shading, layers, sights, found, section(progress, 0.3, 0.5))
        progress(0.5, "looking for changes of colour")
        placed = [sights[-1].carried(state) for state in found.states]
        states, change = found.states, color_change(layers[-1], placed, self.radius, self.palette)
        if change is not None:
            sights = [sight.lit(change) for sight in sights]
            if not found.tinted:  # it has pulled at the nodes: once more with it
                states = self._registered(sights, Checkpoint(), section(progress, 0.5, 0.6)).states
        floors = Floors.seen_at(sights[-1].pixels)
        relevance = Relevance(self._elasticity(), self.radius, floors)
        skeleton = Skeleton.of(self.graph, self.radius)
        joint = JointRegistration(sights[-1], relevance, self.radius, skeleton)
        states = joint.settled(states, self.rounds, section(progress, 0.6, 1.0), checkpoint)
        return states, change is not None

    def _in_the_light(
        self,
        shading: Shading,
        layers: Sequence[Sequence[Layer]],
        sights: list[Sight],
        plain: _Attempt,
        progress: Progress,
    ) -> _Attempt:
        """``plain``, or where the nodes are when shades wander, if that explains the frames better."""
        cost = _cost(sights[-1], plain.states)
        _shade(layers, shading)
        if _cost(sights[-1], plain.states) < _PERHAPS * cost:
            lit = self._registered(sights, Checkpoint(), progress)
            if _cost(sights[-1], lit.states) < _WANDERS * cost:
                return lit
        _shade(layers, None)
        return plain

    def _registered(self, sights: list[Sight], checkpoint: Checkpoint, progress: Progress) -> _Attempt:
        about = self.graph, self.radius, self.floor, self.palette
        registration = Registration(sights, self._elasticity(), *about)
        states = registration.follow(progress, checkpoint)
        return _Attempt(states, not registration.tints.plain)

    def _elasticity(self) -> Elasticity:
        return Elasticity(Ties.of(self.graph), self.radius, Stiffness())


def followed_by(
    subject: Subject,
    bound: BoundSplats,
    layers: list[list[Layer]],
    checkpoint: Checkpoint,
    progress: Progress,
) -> Followed:
    """What the clips show, found with no more splats than are to follow. ``layers``, of all that are
    ``bound``, keep the shading that explains the clips, and the change is theirs."""
    most, own, few = subject.config.following_splats, layers, bound
    if len(bound) > most:
        few = subject.at_rest(most, checkpoint, section(progress, 0.0, 0.15), "following")
        own = subject.layers(few)
    following = _Following.of(subject, few, own[-1][0], section(progress, 0.15, 0.2))
    states, changes = following.followed(own, checkpoint, section(progress, 0.2, 1.0))
    shading = own[-1][0].shading
    if few is not bound and shading is not None:
        _shade(layers, _cast_on(subject, bound, shading))
    sight, change = Sight(layers[-1], subject.graph, subject.radius), None
    if changes:
        placed = [sight.carried(state) for state in states]
        palette = following.palette if few is bound else subject.palette(bound)
        change = color_change(layers[-1], placed, subject.radius, palette)
    return Followed(states, change, sight)


def relaid(subject: Subject, bound: BoundSplats, layers: list[Layer]) -> list[Layer]:
    """The finest ``layers``, one per clip, of splats that are ``bound`` in the places of theirs."""
    shading = layers[0].shading
    new = subject.layers(bound)[-1]
    for layer, old in zip(new, layers, strict=True):
        layer.change = old.change
    _shade([new], None if shading is None else _cast_on(subject, bound, shading))
    return new


def shown_change(layer: Layer, placed: Sequence[Carried], change: ColorChange | None) -> ColorChange | None:
    """All that changes in the colours of ``layer`` over the frames, its shading and ``change``."""
    if layer.shading is None:
        return change
    rest, shades = layer.splats.colors.detach(), []
    for frame, carried in enumerate(placed):
        own = torch.zeros_like(rest) if change is None else change.at(frame)
        shades.append(layer.colors(*carried, own) - rest - own)
    shading = ColorChange.nearest(torch.stack(shades))
    basis, weights, count = shading.basis, shading.weights, len(shading.basis)
    if change is not None:
        basis, weights = torch.cat([change.basis, basis]), torch.cat([change.weights, weights], dim=1)
    return ColorChange(basis, weights, count)


def _cast_on(subject: Subject, bound: BoundSplats, shading: Shading) -> Shading | None:
    """The same light on other splats."""
    return shading_of(subject.mesh, bound, subject.views, subject.radius, light=shading.light)


def _shade(layers: Sequence[Sequence[Layer]], shading: Shading | None) -> None:
    for layer in (own for level in layers for own in level):
        layer.shading = shading


def _cost(sight: Sight, states: list[NodeState]) -> float:
    """Of the colours, over all frames, without the tints, which can mimic shades."""
    return sum(sight.costs(states))
