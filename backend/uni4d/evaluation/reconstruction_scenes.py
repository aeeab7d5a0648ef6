"""The scenes of the reconstruction benchmark: which object does what, and from where it is seen.

Scenes for development are there to tune on; those for the test are not.
"""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, frozen, validators
from numpy.typing import ArrayLike

from uni4d.evaluation.reconstruction_motions import MOTIONS, Motion
from uni4d_shared.cameras import bounding_sphere, orbit_rig, scaled
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera

__all__ = ["SCENES", "Filming", "Scene", "scenes_of"]

Split = Literal["development", "test"]
Kind = Literal["rigid", "articulated", "soft", "light"]


@frozen
class Scene:
    """One object with one motion."""

    name: str
    uid: str
    """Of the library of Sweet Home's furniture."""
    motion_name: str
    """A key of :data:`uni4d.evaluation.reconstruction_motions.MOTIONS`."""
    kind: Kind
    split: Split

    @property
    def motion(self) -> Motion:
        return MOTIONS[self.motion_name]


_ROWS: tuple[Scene, ...] = (
    Scene("biplane-flies", "cartoon-biplane-200ed26f65", "fly", "rigid", "development"),
    Scene("toy-turns-head", "woodtoy-2a0e4ccbf6", "turn-head", "articulated", "development"),
    Scene("bear-dances", "teddybear-7f768f6c2e", "dance", "soft", "development"),
    Scene("man-waves", "male01-842dca69a6", "wave", "articulated", "development"),
    Scene("lantern-glows", "japaneselantern-aa91c81c31", "lantern", "light", "development"),
    Scene("house-spins", "doll-house-5dd191db3f", "spin", "rigid", "development"),
    Scene("figure-marches", "mannequinmale-e178747692", "march", "articulated", "development"),
    Scene("rabbit-leans", "rabbit-92f3d020ac", "lean", "soft", "development"),
    Scene("scale-glimmers", "kitchenscale-6ccf7fd71c", "glimmer", "light", "development"),
    Scene("cube-tumbles", "rubix2-157205526b", "tumble", "rigid", "test"),
    Scene("train-rides", "toytrain-38a85931cf", "ride", "rigid", "test"),
    Scene("car-drives", "carrito-de-madera-64d71b2fa0", "drive", "articulated", "test"),
    Scene("mannequin-exercises", "mannequin-704123a2a2", "exercise", "articulated", "test"),
    Scene("dog-bends", "dog-74025eb795", "bend", "soft", "test"),
    Scene("horse-grazes", "horse2-10f0337c39", "graze", "soft", "test"),
    Scene("lamp-lights", "desklamp-e6df50b865", "lamp", "light", "test"),
    Scene("gift-changes", "gift-910e6e3521", "ribbon", "light", "test"),
)

SCENES: dict[str, Scene] = {scene.name: scene for scene in _ROWS}
"""Name → scene."""


def scenes_of(split: str, names: tuple[str, ...] = ()) -> list[Scene]:
    """The scenes of a split, or those of them with the given names."""
    known = [scene for scene in _ROWS if scene.split == split]
    if not known:
        raise Uni4DError("scene-unknown", f"There is no split {split!r}.", "Known: development, test.")
    unknown = [name for name in names if name not in {scene.name for scene in known}]
    if unknown:
        raise Uni4DError(
            "scene-unknown",
            f"There is no {split} scene “{unknown[0]}”.",
            f"Known: {', '.join(scene.name for scene in known)}.",
        )
    return [scene for scene in known if not names or scene.name in names]


@frozen
class Filming:
    """How scenes are filmed. Every scene has photographs at rest from rings of cameras, and clips from four
    of the first ring's at right angles, the driving one first; held-out cameras stand between the rings."""

    size: int = field(default=400, validator=validators.ge(16))
    """Width and height in pixels, of the clips and the held-out pictures."""
    finer_photographs: int = field(default=2, validator=validators.ge(1))
    """Photographs are that many times as wide: what is at rest can be looked at closely."""
    elevations_degrees: tuple[float, ...] = (15.0, 45.0, -15.0, 75.0, -45.0, 60.0)
    """Of the rings of photographs."""
    azimuths: int = field(default=16, validator=validators.in_((4, 8, 16)))
    """Photographs a ring."""
    frames: int = field(default=24, validator=validators.ge(2))
    fps: float = 12.0
    held_out_frames: tuple[float, ...] = (2.0, 8.0, 14.0, 20.0, 3.5, 9.5, 15.5, 21.5)
    """Times, in frames, that the held-out cameras see; no clip shows those between frames."""
    margin: float = 1.35

    def photographs(self, vertices: ArrayLike) -> tuple[Camera, ...]:
        """Ring by ring."""
        centre, radius = bounding_sphere(vertices)
        elevations = [math.radians(degrees) for degrees in self.elevations_degrees]
        size = self.finer_photographs * self.size
        return orbit_rig(
            centre, radius, azimuths=self.azimuths, elevations=elevations, size=size, margin=self.margin
        )

    def clips(self, vertices: ArrayLike) -> tuple[Camera, ...]:
        """Four cameras of the first ring, at the clips' size."""
        ring = self.photographs(vertices)[: self.azimuths]
        return tuple(scaled(camera, self.size) for camera in ring[:: self.azimuths // 4])

    def held_out(self, vertices: ArrayLike) -> tuple[Camera, ...]:
        """Three cameras 30° above the horizon, in directions that no photograph has."""
        centre, radius = bounding_sphere(vertices)
        elevations = (math.radians(30.0),)
        ring = orbit_rig(
            centre, radius, azimuths=16, elevations=elevations, size=self.size, margin=self.margin
        )
        return ring[1::5][:3]
