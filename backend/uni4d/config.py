"""Every setting of the backend, as commented frozen attrs classes with two named profiles.

``local`` (the default) needs no GPU, no network and no weights beyond what the packages carry;
``gpu`` is the paper's scale. A profile never falls back to the other: what is missing is an error that
names the cure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cattrs
import tomllib
from attrs import field, frozen, validators
from platformdirs import user_cache_path

from uni4d_shared.errors import Uni4DError

__all__ = [
    "PROFILES",
    "AlignConfig",
    "AnimateConfig",
    "Config",
    "FitConfig",
    "LibraryConfig",
    "RenderConfig",
    "ServeConfig",
    "explain",
    "load_config",
]

PROFILES = ("local", "gpu")


def default_cache() -> Path:
    override = os.environ.get("UNI4D_CACHE")
    return Path(override) if override else user_cache_path("uni4d", appauthor=False)


def _bounded(default: float, low: float, high: float) -> Any:
    """A number with limits: settings also arrive over the network."""
    return field(default=default, validator=[validators.ge(low), validators.le(high)])


@frozen
class LibraryConfig:
    """Where the assets come from and where their index lives."""

    source: str = "sweethome3d"
    """``sweethome3d`` (Debian's furniture library) or ``folder`` (any folder of meshes)."""
    path: Path | None = None
    """The source's folder; for ``sweethome3d``, ``None`` means the installed packages or the cache."""
    root: Path = field(factory=lambda: default_cache() / "library")
    """The built library: catalog, thumbnails, converted meshes."""
    processes: int = _bounded(2, 1, 256)
    """Worker processes for reading meshes."""
    views: int = _bounded(4, 1, 8)
    """Views per asset for its appearance features."""
    points: int = _bounded(4_096, 256, 32_768)
    """Points per asset for its shape features."""


@frozen
class RenderConfig:
    """The photographs that Blender takes of the chosen asset."""

    size: int = _bounded(256, 32, 2_048)
    """Width and height in pixels."""
    azimuths: int = _bounded(8, 1, 256)
    elevations_degrees: tuple[float, ...] = (15.0, 45.0)
    margin: float = _bounded(1.35, 1.0, 10)
    """How far the bounding sphere stays from the border; leaves room for the motion."""


@frozen
class AlignConfig:
    """Weights λ of L_align = λ₁(1 − cos(T, M)) + λ₂(1 − cos(M, I)) + λ₃(1 − cos(I, T))."""

    text_shape: float = 1.0
    shape_image: float = 1.0
    image_text: float = 1.0
    view_temperature: float = _bounded(0.05, 0.001, 10)
    """Softmax temperature of the weights over views; smaller picks fewer views."""


@frozen
class AnimateConfig:
    """The clip."""

    model: str = "kinematic"
    """The video model; ``kinematic`` is the offline default."""
    frames: int = _bounded(24, 2, 480)
    fps: float = _bounded(12.0, 1, 120)
    size: int = _bounded(256, 32, 2_048)
    """Width of the clip in pixels."""
    splats: int = _bounded(16_000, 100, 500_000)
    """Splats of the generator's own cloud."""
    refine_iterations: int = _bounded(150, 0, 20_000)
    """Steps that fit the colours of that cloud to the photographs."""
    speed: float = _bounded(1.0, 0.05, 20)
    amplitude: float = _bounded(1.0, 0, 5)
    program: dict[str, Any] | None = None
    """A motion program (:class:`uni4d.video.program.MotionProgram`) to play instead of the words'."""
    seed: int = 0


@frozen
class FitConfig:
    """The 4D fit."""

    splats: int = _bounded(10_000, 100, 500_000)
    nodes: int = _bounded(96, 4, 2_048)
    """Control nodes."""
    static_iterations: int = _bounded(150, 0, 20_000)
    """Steps on the photographs, at rest."""
    track_iterations: int = _bounded(40, 0, 2_000)
    """Steps per frame of the rigid tracking that starts the fit."""
    iterations: int = _bounded(900, 0, 100_000)
    """Steps of the joint fit over all frames."""
    seed: int = 0


@frozen
class ServeConfig:
    """The server's sockets and files."""

    endpoint: str = "tcp://127.0.0.1:7447"
    """Work socket."""
    control_endpoint: str = "tcp://127.0.0.1:7448"
    """Control socket: ping, cancel, status."""
    jobs: Path = field(factory=lambda: default_cache() / "jobs")
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


def load_config(path: Path | None = None, profile: str = "local") -> Config:
    """The settings of a profile, with those of a TOML file on top.

    The file's tables are named as the fields of :class:`Config` (``[fit]``, ``[animate]``, ...); a name
    that does not exist or a value out of range is refused by name.
    """
    if profile not in PROFILES:
        raise Uni4DError("bad-setting", f"There is no profile {profile!r}.", f"Known: {', '.join(PROFILES)}.")
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Uni4DError("bad-setting", f"{path}: {error}.", "Give a readable TOML file.") from error
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: Path(value).expanduser())
    try:
        return converter.structure({"profile": profile, **values}, Config)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        raise Uni4DError("bad-setting", f"{path}: {explain(error)}.") from error


def explain(error: Exception) -> str:
    """What ``cattrs`` or a validator found wrong, for a person, with the path of each field."""

    def one(exception: BaseException, kind: type | None) -> str:
        known = isinstance(exception, ValueError) and str(exception)
        return str(exception) if known else cattrs.v.format_exception(exception, kind)

    return "; ".join(cattrs.transform_error(error, format_exception=one))
