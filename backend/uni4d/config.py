"""Every setting of the backend, as commented frozen attrs classes with two named profiles.

``local`` (the default) needs no GPU, no network and no weights beyond what the packages carry;
``gpu`` is the paper's scale. A profile never falls back to the other: what is missing is an error that
names the cure.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import field, frozen
from platformdirs import user_cache_path

__all__ = [
    "AlignConfig",
    "AnimateConfig",
    "Config",
    "FitConfig",
    "LibraryConfig",
    "RenderConfig",
    "ServeConfig",
]


def _default_cache() -> Path:
    override = os.environ.get("UNI4D_CACHE")
    return Path(override) if override else user_cache_path("uni4d", appauthor=False)


@frozen
class LibraryConfig:
    """Where the assets come from and where their index lives."""

    source: str = "sweethome3d"
    """``sweethome3d`` (Debian's furniture library) or ``folder`` (any folder of meshes)."""
    path: Path | None = None
    """The source's folder; for ``sweethome3d``, ``None`` means the installed packages or the cache."""
    root: Path = field(factory=lambda: _default_cache() / "library")
    """The built library: catalog, thumbnails, converted meshes."""
    processes: int = 2
    """Worker processes for reading meshes."""
    views: int = 2
    """Views per asset for its appearance features."""


@frozen
class RenderConfig:
    """The photographs that Blender takes of the chosen asset."""

    size: int = 256
    """Width and height in pixels."""
    azimuths: int = 8
    elevations_degrees: tuple[float, ...] = (15.0, 45.0)
    margin: float = 1.35
    """How far the bounding sphere stays from the border; leaves room for the motion."""


@frozen
class AlignConfig:
    """Weights λ of L_align = λ₁(1 − cos(T, M)) + λ₂(1 − cos(M, I)) + λ₃(1 − cos(I, T))."""

    text_shape: float = 1.0
    shape_image: float = 1.0
    image_text: float = 1.0
    view_temperature: float = 0.05
    """Softmax temperature of the weights over views; smaller picks fewer views."""


@frozen
class AnimateConfig:
    """The clip."""

    model: str = "kinematic"
    """The video model; ``kinematic`` is the offline default."""
    frames: int = 24
    fps: float = 12.0
    size: int = 256
    """Width of the clip in pixels."""
    splats: int = 16_000
    """Splats of the generator's own cloud."""
    refine_iterations: int = 150
    """Steps that fit the colours of that cloud to the photographs."""
    speed: float = 1.0
    amplitude: float = 1.0
    seed: int = 0


@frozen
class FitConfig:
    """The 4D fit."""

    splats: int = 10_000
    nodes: int = 96
    """Control nodes."""
    static_iterations: int = 150
    """Steps on the photographs, at rest."""
    track_iterations: int = 40
    """Steps per frame of the rigid tracking that starts the fit."""
    iterations: int = 900
    """Steps of the joint fit over all frames."""
    seed: int = 0


@frozen
class ServeConfig:
    """The server's sockets and files."""

    endpoint: str = "tcp://127.0.0.1:7447"
    """Work socket."""
    control_endpoint: str = "tcp://127.0.0.1:7448"
    """Control socket: ping, cancel, status."""
    jobs: Path = field(factory=lambda: _default_cache() / "jobs")
    """Job store: one SQLite file and one file per result."""
    keys: Path | None = None
    """Folder of CURVE certificates; required for any address that is not loopback."""


@frozen
class Config:
    """Everything, under one profile name."""

    profile: str = "local"
    library: LibraryConfig = field(factory=LibraryConfig)
    render: RenderConfig = RenderConfig()
    align: AlignConfig = AlignConfig()
    animate: AnimateConfig = AnimateConfig()
    fit: FitConfig = FitConfig()
    serve: ServeConfig = field(factory=ServeConfig)
