"""The values that travel between the stages of the chain, each a frozen attrs class.

Every stage is a function from some of these to another of these; none of them holds a
connection, an open file or a device. Arrays are numpy. Frames, units and axes follow
:mod:`uni4d_shared.conventions`: a right-handed, Z-up world in metres, OpenCV cameras,
quaternions ``wxyz``, images sRGB with straight alpha.

Letters in shapes: ``V`` views, ``T`` frames in time, ``H``/``W`` image height and width,
``N`` splats, ``P`` mesh vertices, ``F`` triangles, ``K`` control nodes, ``J`` nodes that move one
vertex, ``R`` ranks of a low-rank change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import Attribute, Factory, field, frozen, validators
from numpy.typing import NDArray

__all__ = [
    "Alignment",
    "Array",
    "ArrayOf",
    "Asset",
    "Camera",
    "Clip",
    "ColorMotion",
    "Gaussians4D",
    "Hit",
    "Mesh",
    "NodeMotion",
    "Query",
    "SearchFilters",
    "Splats",
    "ViewSet",
]

Array = NDArray[Any]


@frozen(init=False)
class ArrayOf:
    """The attrs validator of an array field; its ``dtype`` also tells the codec what may be sent."""

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    """The fixed dimensions; ``None`` where any number will do."""

    def __init__(self, dtype: Any, *shape: int | None) -> None:
        self.__attrs_init__(np.dtype(dtype), shape)  # type: ignore[attr-defined]

    def cast(self, value: Any) -> Array:
        return np.ascontiguousarray(value, dtype=self.dtype)

    def __call__(self, instance: object, attribute: Any, value: Array) -> None:
        fits = value.ndim == len(self.shape) and all(
            want is None or want == have for want, have in zip(self.shape, value.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("*" if n is None else str(n) for n in self.shape)
            raise ValueError(
                f"{type(instance).__name__}.{attribute.name}: expected shape [{wanted}], "
                f"got {list(value.shape)}"
            )


def _cast_arrays(cls: type, attributes: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Make attrs cast each :class:`ArrayOf` field, and leave it out of ``==`` and ``repr``."""
    return [
        attribute.evolve(converter=attribute.validator.cast, eq=False, order=False, repr=False)
        if isinstance(attribute.validator, ArrayOf)
        else attribute
        for attribute in attributes
    ]


@frozen
class Query:
    """A prompt taken apart: what the object is, and what it does."""

    prompt: str
    object_text: str
    """The paper's *hot text*, e.g. ``"a teddy bear"``."""
    motion_text: str
    """e.g. ``"dancing"``; empty when the prompt names no motion."""


@frozen
class SearchFilters:
    """What search results must be; a field at its default demands nothing."""

    licence: str = ""
    """The beginning of a licence's name (``"CC0"``), or ``"commercial"``: commercial use is free."""
    category: str = ""
    """A part of the category's name, in any case."""
    source: str = ""
    """A part of the collection's name, in any case."""
    min_faces: int = 0
    max_faces: int = 0
    """0: any number."""
    animated: bool = False
    """Only assets that come with a motion of their own."""
    without: tuple[str, ...] = ()
    """Words for what a result must not be or have."""


@frozen
class Hit:
    """One search result."""

    uid: str
    name: str
    score: float
    """The fused score that orders the hits; higher is better."""
    scores: dict[str, float]
    """The score per modality, e.g. ``{"text": .71, "appearance": .40}``."""
    licence: str
    author: str
    source: str
    path: str
    """The mesh file (GLB) on the backend's machine; empty until the asset was first fetched."""
    thumbnail: str = ""
    """A PNG on the backend's machine."""
    category: str = ""
    faces: int = 0
    animated: bool = False
    """Whether the asset comes with a motion of its own."""
    variants: tuple[str, ...] = ()
    """The uids of near-identical assets that this hit stands for."""


@frozen
class Asset:
    """A library object that was fetched: its mesh file and what is known about it."""

    uid: str
    name: str
    texts: tuple[str, ...]
    """All texts that describe it: name, tags, category; the name comes first."""
    licence: str
    author: str
    source: str
    path: str
    """The GLB file: glTF's Y-up, metres, base at height zero, centred, front towards glTF +Z."""


@frozen(field_transformer=_cast_arrays)
class Camera:
    """A pinhole camera in OpenCV axes (x right, y down, z forward)."""

    world_to_camera: Array = field(validator=ArrayOf(np.float64, 4, 4))
    intrinsics: Array = field(validator=ArrayOf(np.float64, 3, 3))
    """Focal lengths and principal point in pixels; pixel centres lie at +0.5."""
    width: int = 256
    height: int = 256


def _cameras(cameras: Iterable[Camera]) -> tuple[Camera, ...]:
    return tuple(cameras)


@frozen(field_transformer=_cast_arrays)
class ViewSet:
    """Photographs of one object at rest, with their exact cameras."""

    images: Array = field(validator=ArrayOf(np.uint8, None, None, None, 4))
    """``[V, H, W, 4]`` sRGB, straight alpha; the alpha channel is the mask."""
    depth: Array = field(validator=ArrayOf(np.float32, None, None, None))
    """``[V, H, W]`` metres along the camera's z; ``inf`` where there is no surface."""
    cameras: tuple[Camera, ...] = field(converter=_cameras)

    @cameras.validator
    def _one_camera_per_image(self, attribute: Any, value: tuple[Camera, ...]) -> None:
        if not len(value) == len(self.images) == len(self.depth):
            raise ValueError(
                f"ViewSet: {len(self.images)} images, {len(self.depth)} depth maps "
                f"and {len(value)} cameras; expected one of each per view"
            )


def _no_tokens() -> Array:
    return np.zeros((0, 0), np.float32)


@frozen(field_transformer=_cast_arrays)
class Alignment:
    """How well text (T), 3D asset (M) and its images (I) agree."""

    text_shape: float
    """cos(T, M)"""
    shape_image: float
    """cos(M, I)"""
    image_text: float
    """cos(I, T)"""
    loss: float
    """L_align = λ₁(1 − cos(T, M)) + λ₂(1 − cos(M, I)) + λ₃(1 − cos(I, T))"""
    score: float
    """A = exp(−L_align), in (0, 1]."""
    view_weights: Array = field(validator=ArrayOf(np.float32, None))
    """``[V]``, non-negative, sums to 1: how well each view shows what the text says."""
    key_view: int = 0
    """Index of the view that the clip starts from."""
    percentile: float | None = None
    """How many of 100 texts and objects that do not belong together agree less, where that is known."""
    tokens: Array = field(factory=_no_tokens, validator=ArrayOf(np.float32, None, None))
    """``[K, C]``: what the views show of the text, for the video model; K = 0 without any."""


@frozen(field_transformer=_cast_arrays)
class Clip:
    """A short video of the object from one camera."""

    frames: Array = field(validator=ArrayOf(np.uint8, None, None, None, 3))
    """``[T, H, W, 3]`` sRGB, composited over ``background``."""
    fps: float = 12.0
    camera: Camera | None = None
    """The camera that filmed it; ``None`` for a foreign video."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """sRGB in [0, 1]."""
    description: str = ""
    """What made it, for the report: the model's name, or the verb of the motion program."""


@frozen(field_transformer=_cast_arrays)
class Mesh:
    """A triangle mesh in world space (Z-up, metres)."""

    vertices: Array = field(validator=ArrayOf(np.float32, None, 3))
    faces: Array = field(validator=ArrayOf(np.int32, None, 3))

    def __attrs_post_init__(self) -> None:
        _check_indices("Mesh.faces", self.faces, len(self.vertices))


def _without_harmonics(splats: Splats) -> Array:
    return np.zeros((len(splats.means), 0, 3), np.float32)


@frozen(field_transformer=_cast_arrays)
class Splats:
    """A cloud of 3D Gaussians at one moment, activated: linear scales and opacities in [0, 1]."""

    means: Array = field(validator=ArrayOf(np.float32, None, 3))
    quaternions: Array = field(validator=ArrayOf(np.float32, None, 4))
    """``[N, 4]`` wxyz, unit length: the rotation from the splat's own axes to the world."""
    scales: Array = field(validator=ArrayOf(np.float32, None, 3))
    """``[N, 3]`` standard deviations in metres along the splat's own axes."""
    opacities: Array = field(validator=ArrayOf(np.float32, None))
    colors: Array = field(validator=ArrayOf(np.float32, None, 3))
    """``[N, 3]`` sRGB: what does not depend on the view; in [0, 1] where nothing does."""
    harmonics: Array = field(
        default=Factory(_without_harmonics, takes_self=True), validator=ArrayOf(np.float32, None, None, 3)
    )
    """``[N, 0 | 3 | 8 | 15, 3]`` what does: coefficients of :mod:`uni4d_shared.harmonics`, in world axes."""

    def __attrs_post_init__(self) -> None:
        for name in ("quaternions", "scales", "opacities", "colors", "harmonics"):
            _check_length(f"Splats.{name}", getattr(self, name), len(self.means), "means")
        if self.harmonics.shape[1] not in (0, 3, 8, 15):
            raise ValueError(
                f"Splats.harmonics: {self.harmonics.shape[1]} coefficients a splat; expected 0, 3, 8 or 15"
            )


def _no_deviations() -> Array:
    return np.zeros((0, 0), np.float32)


@frozen(field_transformer=_cast_arrays)
class NodeMotion:
    """Control nodes, and how each moves: SE(3) keyframes, blended linearly to the vertices.

    A vertex at rest position x goes to Σ_j w_j (R_k (x − n_k) + n_k + t_k) with k = indices[j].
    """

    nodes: Array = field(validator=ArrayOf(np.float32, None, 3))
    """``[K, 3]`` rest positions n_k."""
    rotations: Array = field(validator=ArrayOf(np.float32, None, None, 4))
    """``[T, K, 4]`` unit quaternions wxyz of R_k."""
    translations: Array = field(validator=ArrayOf(np.float32, None, None, 3))
    """``[T, K, 3]`` t_k in metres."""
    vertex_nodes: Array = field(validator=ArrayOf(np.int32, None, None))
    """``[P, J]`` which nodes move each vertex (J ≤ 4, so that it is a valid glTF skin)."""
    vertex_weights: Array = field(validator=ArrayOf(np.float32, None, None))
    """``[P, J]`` non-negative, each row sums to 1."""
    length_scale: float = 3.0
    """ℓ in frames: how far a path remembers itself (:mod:`uni4d_shared.trajectories`)."""
    deviations: Array = field(factory=_no_deviations, validator=ArrayOf(np.float32, None, None))
    """``[T, K]`` metres: standard deviation of each keyframe along one axis; T = 0 where it is not known."""

    def __attrs_post_init__(self) -> None:
        if not self.length_scale > 0:
            raise ValueError(f"NodeMotion: length_scale is {self.length_scale}, expected a positive number")
        if len(self.deviations) and self.deviations.shape != self.rotations.shape[:2]:
            raise ValueError(
                f"NodeMotion: deviations are for {list(self.deviations.shape)} frames and nodes, "
                f"rotations for {list(self.rotations.shape[:2])}"
            )
        if self.rotations.shape[:2] != self.translations.shape[:2]:
            raise ValueError(
                f"NodeMotion: rotations are for {list(self.rotations.shape[:2])} frames and nodes, "
                f"translations for {list(self.translations.shape[:2])}"
            )
        if self.rotations.shape[1] != len(self.nodes):
            raise ValueError(
                f"NodeMotion: {len(self.nodes)} nodes but {self.rotations.shape[1]} trajectories"
            )
        if self.vertex_nodes.shape != self.vertex_weights.shape:
            raise ValueError(
                f"NodeMotion: vertex_nodes {list(self.vertex_nodes.shape)} and vertex_weights "
                f"{list(self.vertex_weights.shape)} must have the same shape"
            )
        _check_indices("NodeMotion.vertex_nodes", self.vertex_nodes, len(self.nodes))


@frozen(field_transformer=_cast_arrays)
class ColorMotion:
    """How the splats' colours change in time, of low rank: light and shade as things turn.

    At frame t splat i has the colour clip(c_i + Σ_r weights[t, r] basis[r, i], 0, 1), c_i being that at rest.
    """

    basis: Array = field(validator=ArrayOf(np.float32, None, None, 3))
    """``[R, N, 3]`` sRGB differences."""
    weights: Array = field(validator=ArrayOf(np.float32, None, None))
    """``[T, R]``"""
    shades: int = field(default=0, validator=validators.ge(0))
    """The last so many of the ``R`` are light and shade that wander as things turn: splats have them in their
    colours, a mesh gets them from whoever lights it."""

    def __attrs_post_init__(self) -> None:
        if self.shades > len(self.basis):
            raise ValueError(f"ColorMotion: {self.shades} of {len(self.basis)} basis colours are shades")
        if self.weights.shape[1] != len(self.basis):
            raise ValueError(
                f"ColorMotion: {len(self.basis)} basis colours but {self.weights.shape[1]} weights a frame"
            )

    def without_shades(self) -> ColorMotion | None:
        """What changes of the surface itself; ``None`` if nothing does."""
        own = len(self.basis) - self.shades
        return ColorMotion(self.basis[:own], self.weights[:, :own]) if own else None


def _no_change() -> Array:
    return np.zeros((0, 3), np.float32)


@frozen(field_transformer=_cast_arrays)
class Gaussians4D:
    """The result: splats bound to a mesh, and control nodes that move both through time.

    Frame 0 of the motion belongs to the first frame of the clip; the rest pose is the mesh as fetched.
    """

    mesh: Mesh
    splats: Splats
    """At rest."""
    motion: NodeMotion
    splat_faces: Array = field(validator=ArrayOf(np.int32, None))
    """``[N]`` the triangle that carries each splat."""
    splat_barycentric: Array = field(validator=ArrayOf(np.float32, None, 3))
    """``[N, 3]`` its place on that triangle."""
    fps: float = 12.0
    color_motion: ColorMotion | None = None
    """How the colours change; ``None`` where they keep those of rest."""
    traced_change: Array = field(factory=_no_change, validator=ArrayOf(np.float32, None, 3))
    """``[N, 3]``: what added to the colours in linear light makes the pictures of a renderer that orders
    splats along each ray and blends them in linear light, as Blender does, those of one that orders them by
    their centres and blends sRGB; N = 0 where it is not known."""

    def __attrs_post_init__(self) -> None:
        count = len(self.splats.means)
        _check_length("Gaussians4D.splat_faces", self.splat_faces, count, "splats")
        _check_length("Gaussians4D.splat_barycentric", self.splat_barycentric, count, "splats")
        if len(self.traced_change):
            _check_length("Gaussians4D.traced_change", self.traced_change, count, "splats")
        _check_length(
            "Gaussians4D.motion.vertex_nodes", self.motion.vertex_nodes, len(self.mesh.vertices), "vertices"
        )
        _check_indices("Gaussians4D.splat_faces", self.splat_faces, len(self.mesh.faces))
        if self.color_motion is not None:
            colors, frames = self.color_motion, len(self.motion.rotations)
            _check_length("Gaussians4D.color_motion.weights", colors.weights, frames, "frames")
            _check_length("Gaussians4D.color_motion.basis", colors.basis.swapaxes(0, 1), count, "splats")


def _check_length(name: str, values: Array, count: int, of: str) -> None:
    if len(values) != count:
        raise ValueError(f"{name}: {len(values)} rows for {count} {of}")


def _check_indices(name: str, indices: Array, count: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(
            f"{name}: indices from {indices.min()} to {indices.max()}, expected 0 to {count - 1}"
        )
