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
    "BlenderConfig",
    "CogVideoX15Config",
    "CogVideoXConfig",
    "Config",
    "DiffusionConfig",
    "FitConfig",
    "LibraryConfig",
    "LtxConfig",
    "RemoteConfig",
    "RenderConfig",
    "ServeConfig",
    "VideoConfig",
    "WanConfig",
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


@frozen
class AnimateConfig:
    """The clip. Beside ``model`` and ``seed`` these are settings of the kinematic generator; those of the
    other models are in :class:`VideoConfig`."""

    model: str = "kinematic"
    """The video model: ``kinematic`` (the offline default), ``cogvideox``, ``cogvideox15``, ``wan``, ``ltx``
    or ``remote``."""
    frames: int = _bounded(24, 2, 480)
    fps: float = _bounded(12.0, 1, 120)
    size: int = _bounded(256, 32, 2_048)
    """Width of the clip in pixels."""
    splats: int = _bounded(16_000, 100, 500_000)
    """Splats of the generator's own cloud."""
    refine_iterations: int = _bounded(150, 0, 20_000)
    """Steps that fit the colours of that cloud to the photographs."""
    renderer: str = field(default="splats", validator=validators.in_(("splats", "blender")))
    """What makes the frames: ``splats``, that cloud; ``blender``, the moved mesh photographed by the Blender
    of the table ``[blender]``, which shades it anew in each frame and takes a second or more for one."""
    speed: float = _bounded(1.0, 0.05, 20)
    amplitude: float = _bounded(1.0, 0, 5)
    program: dict[str, Any] | None = None
    """A motion program (:class:`uni4d.video.program.MotionProgram`) to play instead of the words'."""
    seed: int = 0


@frozen
class BlenderConfig:
    """The Blender that films clips where ``[animate] renderer`` says so. A request over the network changes
    nothing here."""

    program: Path | None = None
    """A Blender; by default the one on the PATH."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for Blender's Python, where it lacks them."""
    engine: str = field(default="auto", validator=validators.in_(("auto", "cycles", "workbench", "eevee")))
    """The photographs' should be the same."""


@frozen(kw_only=True)
class DiffusionConfig:
    """What every video model that runs through ``diffusers`` has in common."""

    weights: str
    """A repository of the Hugging Face hub, or a folder that ``save_pretrained`` wrote."""
    adapter: Path | None = None
    """The trained adapter (.safetensors) that brings the alignment's tokens into the prompt."""
    device: str = "cuda"
    """``cuda``, ``cuda:1`` ...; ``cpu`` works too, and takes hours for a model of billions of weights."""
    precision: str = field(default="bf16", validator=validators.in_(("bf16", "fp16", "fp32")))
    vae_precision: str = field(default="bf16", validator=validators.in_(("bf16", "fp16", "fp32")))
    """The video autoencoder's."""
    offload: str = field(default="model", validator=validators.in_(("none", "model", "group", "sequential")))
    """What waits in main memory: ``none``; ``model``, all but the part that computes; ``group``, all but some
    layers; ``sequential``, all but one layer. Each needs less memory on the device than the one before, and
    more time."""
    vae_tiling: bool = True
    """Decode in tiles that overlap: less memory, more time."""
    cache: str = field(default="none", validator=validators.in_(("none", "first-block")))
    """``first-block``: a step whose first transformer block changes little reuses the others' last result."""
    cache_threshold: float = _bounded(0.05, 0.0, 10.0)
    """The relative change up to which a step is reused."""
    width: int = _bounded(720, 32, 4_096)
    height: int = _bounded(480, 32, 4_096)
    frames: int = _bounded(49, 1, 1_025)
    fps: float = _bounded(8.0, 1, 120)
    """Frames a second that the model was trained for."""
    steps: int = _bounded(50, 1, 1_000)
    """Denoising steps."""
    guidance: float = _bounded(6.0, 1.0, 30.0)
    """Scale of classifier-free guidance; 1 is without."""
    negative_prompt: str = ""
    staging: str = "The camera does not move. Plain white background."
    """Added to each prompt: the 4D fit knows the camera of the photograph, not one that moves."""


@frozen(kw_only=True)
class CogVideoXConfig(DiffusionConfig):
    """CogVideoX-5B-I2V (Yang et al. 2024), as its model card recommends."""

    weights: str = "zai-org/CogVideoX-5b-I2V"


@frozen(kw_only=True)
class CogVideoX15Config(DiffusionConfig):
    """CogVideoX1.5-5B-I2V, as its model card recommends."""

    weights: str = "zai-org/CogVideoX1.5-5B-I2V"
    width: int = _bounded(1_360, 32, 4_096)
    height: int = _bounded(768, 32, 4_096)
    frames: int = _bounded(81, 1, 1_025)
    fps: float = _bounded(16.0, 1, 120)


@frozen(kw_only=True)
class WanConfig(DiffusionConfig):
    """Wan 2.2 TI2V-5B (Wan Team 2025), as its model card recommends; its autoencoder wants full precision."""

    weights: str = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
    vae_precision: str = field(default="fp32", validator=validators.in_(("bf16", "fp16", "fp32")))
    width: int = _bounded(1_280, 32, 4_096)
    height: int = _bounded(704, 32, 4_096)
    frames: int = _bounded(121, 1, 1_025)
    fps: float = _bounded(24.0, 1, 120)
    guidance: float = _bounded(5.0, 1.0, 30.0)
    negative_prompt: str = (
        "overexposed, static, blurred details, subtitles, low quality, deformed, still picture"
    )


@frozen(kw_only=True)
class LtxConfig(DiffusionConfig):
    """LTX-Video 2B (HaCohen et al. 2024), as its model card recommends."""

    weights: str = "Lightricks/LTX-Video"
    width: int = _bounded(704, 32, 4_096)
    height: int = _bounded(480, 32, 4_096)
    frames: int = _bounded(161, 1, 1_025)
    fps: float = _bounded(24.0, 1, 120)
    guidance: float = _bounded(3.0, 1.0, 30.0)
    negative_prompt: str = "worst quality, inconsistent motion, blurry, jittery, distorted"
    decode_timestep: float = _bounded(0.05, 0.0, 1.0)
    """Of an autoencoder that denoises too (0.9.1 and later): from which timestep on."""
    decode_noise: float = _bounded(0.025, 0.0, 1.0)
    """The share of noise that it is given."""


@frozen(kw_only=True)
class RemoteConfig:
    """An image-to-video service over HTTP that speaks Kling's API. Its keys come from the environment:
    ``KLING_ACCESS_KEY`` and ``KLING_SECRET_KEY``, or a bearer token in ``KLING_API_KEY``."""

    base_url: str = "https://api-singapore.klingai.com"
    model: str = "kling-v2-1"
    """The service's name of the model."""
    mode: str = field(default="std", validator=validators.in_(("std", "pro")))
    seconds: int = field(default=5, validator=validators.in_((5, 10)))
    negative_prompt: str = field(default="", validator=validators.max_len(2_500))
    staging: str = "The camera does not move. Plain white background."
    """Added to each prompt."""
    image_size: int = _bounded(1_024, 300, 2_048)
    """Width and height in pixels of the picture that is sent."""
    size: int = _bounded(512, 32, 2_048)
    """Width of the clip in pixels; the video is made smaller."""
    fps: float = _bounded(12.0, 1, 60)
    """Frames a second that are kept of the video."""
    poll_seconds: float = _bounded(5.0, 0.01, 120)
    """Between two questions whether the task is done."""
    patience_seconds: float = _bounded(1_200.0, 1, 86_400)
    """After which a task is given up."""
    timeout_seconds: float = _bounded(30.0, 0.1, 600)
    """For the network to answer."""
    retries: int = _bounded(5, 0, 20)
    """Further attempts when the service is busy (429), fails (5xx) or cannot be reached."""
    backoff_seconds: float = _bounded(1.0, 0.001, 60)
    """Before the first of them; doubled before each further one."""
    download_megabytes: float = _bounded(256.0, 0.001, 4_096)
    """The largest video that is accepted."""


@frozen
class VideoConfig:
    """The video models beside the kinematic generator, a table each: ``[video.wan]``. A request over the
    network chooses among them (``[animate] model``), and changes nothing here."""

    cogvideox: CogVideoXConfig = CogVideoXConfig()
    cogvideox15: CogVideoX15Config = CogVideoX15Config()
    wan: WanConfig = WanConfig()
    ltx: LtxConfig = LtxConfig()
    remote: RemoteConfig = RemoteConfig()


@frozen
class FitConfig:
    """The 4D fit."""

    splats: int = _bounded(10_000, 100, 500_000)
    nodes: int = _bounded(96, 4, 2_048)
    """Control nodes."""
    static_iterations: int = _bounded(150, 0, 20_000)
    """Steps on the photographs, at rest."""
    placed_share: float = _bounded(0.5, 0.5, 1)
    """Of the splats, spread evenly over the mesh; the rest comes, during those steps, by splitting where the
    photographs are missed most."""
    following_splats: int = _bounded(7_000, 100, 500_000)
    """Of more splats than that, only so many follow the motion; all of them show it in the end."""
    rounds: int = _bounded(10, 0, 200)
    """Gauss-Newton steps of all frames together."""
    iterations: int = _bounded(100, 0, 100_000)
    """Steps of the last descent on the motion, of one or two frames each."""
    look_iterations: int = _bounded(180, 0, 20_000)
    """Steps on the photographs and the frames in turn, which refine the splats' looks in motion."""
    finer: int = _bounded(1, 1, 4)
    """The fit draws its pictures that many times as wide and averages them; give 2 with photographs that are
    twice as wide as the clip, for the sharpest silhouettes."""
    deformation: str = field(default="nodes", validator=validators.in_(("nodes", "hexplane")))
    """``nodes`` on the mesh, or ``hexplane``: free splats as in DreamGaussian4D, for comparison."""
    length_scale: float = _bounded(3.0, 0.5, 100)
    """Frames over which a node's path remembers itself."""
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
    fits: Path | None = None
    """Folder of fits that were interrupted; by default ``fits`` in that of the jobs."""


@frozen
class Config:
    """Everything, under one profile name."""

    profile: str = "local"
    library: LibraryConfig = field(factory=LibraryConfig)
    render: RenderConfig = RenderConfig()
    align: AlignConfig = AlignConfig()
    animate: AnimateConfig = AnimateConfig()
    blender: BlenderConfig = BlenderConfig()
    video: VideoConfig = VideoConfig()
    fit: FitConfig = FitConfig()
    serve: ServeConfig = field(factory=ServeConfig)


_DEFAULTS: dict[str, dict[str, Any]] = {"gpu": {"animate": {"model": "cogvideox"}}}
"""Where a profile's defaults differ from those of the classes above."""


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
    for table, defaults in _DEFAULTS.get(profile, {}).items():
        given = values.get(table, {})
        values[table] = {**defaults, **given} if isinstance(given, dict) else given
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
