"""Every message of the protocol, as frozen attrs classes. ``shared/PROTOCOL.md`` is the authority.

A request that takes time (search, fetch, align, animate, read clip, fit, video models) goes over the
**work** socket and becomes a *job*, whose id is the request's message id: ``Accepted``, any number of
``JobProgress``, then one of the result classes, ``Failed`` or ``JobCancelled``. Everything that must never
queue behind a job goes over the **control** socket and is answered at once.
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from uni4d_shared.types import Alignment, Asset, Clip, Gaussians4D, Hit, Query, SearchFilters, ViewSet

__all__ = [
    "CONTROL_REQUESTS",
    "MESSAGE_TYPES",
    "WORK_REQUESTS",
    "Accepted",
    "AlignRequest",
    "AlignResult",
    "AnimateRequest",
    "AnimateResult",
    "Cancel",
    "CancelReply",
    "Failed",
    "FetchRequest",
    "FetchResult",
    "FitRequest",
    "FitResult",
    "JobCancelled",
    "JobInfo",
    "JobProgress",
    "Message",
    "Ping",
    "Pong",
    "ReadClipRequest",
    "ReadClipResult",
    "ResultRequest",
    "SearchRequest",
    "SearchResult",
    "Shutdown",
    "ShutdownReply",
    "Status",
    "StatusReply",
    "VideoModelInfo",
    "VideoModelsRequest",
    "VideoModelsResult",
]


# --- work -----------------------------------------------------------------------------------------


@frozen
class SearchRequest:
    """Find assets for a whole prompt, for a picture, for a mesh, or for several of them at once."""

    prompt: str
    """May be empty when there is something else to search by. May hold filters and negative terms."""
    top: int = 5
    filters: SearchFilters = field(factory=SearchFilters)
    """Beside those in the prompt, which win."""
    image: bytes = b""
    """A picture (PNG or JPEG) of something alike."""
    like: str = ""
    """The uid of a library asset of which to find more."""
    glb: bytes = b""
    """A mesh of something alike, as binary glTF."""


@frozen
class SearchResult:
    query: Query
    hits: tuple[Hit, ...]
    thumbnails: tuple[bytes, ...]
    """One PNG per hit, empty bytes where there is none."""


@frozen
class FetchRequest:
    """Get the mesh of one library asset."""

    uid: str


@frozen
class FetchResult:
    asset: Asset
    glb: bytes
    """The mesh as binary glTF, textures inside."""


@frozen
class AlignRequest:
    """Measure how well the text, the asset and its photographs agree."""

    query: Query
    uid: str
    """A library asset; empty when ``glb`` is given."""
    views: ViewSet
    glb: bytes = b""
    """A mesh that is not in the library."""


@frozen
class AlignResult:
    alignment: Alignment


@frozen
class AnimateRequest:
    """Make a clip of the asset doing what the motion text says."""

    query: Query
    uid: str
    views: ViewSet
    alignment: Alignment
    glb: bytes = b""
    seed: int = 0
    settings: dict[str, Any] = field(factory=dict)
    """Overrides of ``uni4d.config.AnimateConfig``, by field name."""


@frozen
class AnimateResult:
    clip: Clip
    program: dict[str, Any]
    """The motion program (for the report and the panel): tracks, duration, the words, notes; see
    :mod:`uni4d_shared.motions`. A model that paints its frames has no tracks, and says ``model`` instead."""


@frozen
class VideoModelsRequest:
    """Ask which video models there are, and what each lacks to make a clip now."""


@frozen
class VideoModelInfo:
    name: str
    """What ``AnimateRequest.settings["model"]`` says for it."""
    title: str
    takes_program: bool
    """Whether it plays a motion program."""
    takes_seed: bool
    """Whether another seed gives another motion."""
    problem: str = ""
    """Why it cannot make a clip as things are; empty when nothing is known to be missing."""
    cure: str = ""


@frozen
class VideoModelsResult:
    models: tuple[VideoModelInfo, ...]
    default: str
    """The name of the one that is used when a request names none."""


@frozen
class ReadClipRequest:
    """Make a clip of a video that does not say what it needs: its background and its camera are estimated."""

    video: bytes
    """An MP4, MOV, MKV or WebM file."""
    views: ViewSet
    alignment: Alignment
    """The video starts as its key view is."""
    name: str = ""
    """What to call it."""
    fps: float = 12.0
    """The most frames a second that are taken."""
    size: int = 256
    """The most pixels of the longer side."""
    start: float = 0.0
    """Seconds of the video that are left out."""
    seconds: float = 0.0
    """How much of it is taken from there on; 0: all."""


@frozen
class ReadClipResult:
    clip: Clip
    """With a camera, and before an even background."""
    notes: tuple[str, ...]
    """For a person: what was found."""


@frozen
class FitRequest:
    """Fit the 4D Gaussians to a clip. One without a camera is prepared as by :class:`ReadClipRequest`."""

    uid: str
    views: ViewSet
    alignment: Alignment
    clip: Clip
    glb: bytes = b""
    seed: int = 0
    settings: dict[str, Any] = field(factory=dict)
    """Overrides of ``uni4d.config.FitConfig``, by field name."""


@frozen
class FitResult:
    result: Gaussians4D
    metrics: dict[str, float]
    """e.g. ``psnr_foreground`` and ``psnr_foreground_static`` in dB, ``explained`` (a share), ``seconds``."""
    notes: tuple[str, ...] = ()
    """For a person: what was found out about a clip without a camera, and how much the motion explains."""


@frozen
class Accepted:
    """The job is queued; its id is this message's parent."""

    position: int
    """Jobs ahead of it."""


@frozen
class JobProgress:
    stage: str
    fraction: float
    message: str = ""


@frozen
class Failed:
    """The request could not be done. ``cure`` says what the user can do about it."""

    code: str
    message: str
    cure: str = ""


@frozen
class JobCancelled:
    """The job ended because somebody cancelled it."""


# --- control --------------------------------------------------------------------------------------


@frozen
class Ping:
    """Heartbeat; also the handshake."""

    client: str = ""
    """Who asks, e.g. ``"Blender 5.2.2"``, for the server's log."""


@frozen
class Pong:
    server: str
    """Version of the ``uni4d`` package."""
    profile: str
    """``"local"`` or ``"gpu"``."""
    library_size: int
    """Assets in the index; 0 when the library was never built, or not opened yet."""
    worker: str = "idle"
    """``starting``, ``idle``, ``busy``, or ``broken`` when the stages could not be loaded."""
    note: str = ""
    """Why the worker is broken, and what to do."""


@frozen
class Cancel:
    job: str


@frozen
class CancelReply:
    known: bool
    """False when the job has ended already or never existed."""


@frozen
class Status:
    """Ask for all jobs that are queued, running or recently ended."""


@frozen
class JobInfo:
    job: str
    kind: str
    """The type of its request, e.g. ``"FitRequest"``."""
    state: str
    """``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    fraction: float
    message: str


@frozen
class StatusReply:
    jobs: tuple[JobInfo, ...]


@frozen
class ResultRequest:
    """Ask again for the end of a job, e.g. after a reconnect. Answered by the job's result, ``Failed``,
    ``JobCancelled``, or ``JobProgress`` while it still runs."""

    job: str


@frozen
class Shutdown:
    """Stop the server; jobs that are not done end with ``Failed("server-stopped")``.

    Refused unless the server is bound to loopback.
    """


@frozen
class ShutdownReply:
    pass


WORK_REQUESTS: tuple[type, ...] = (
    *(SearchRequest, FetchRequest, AlignRequest, AnimateRequest, FitRequest),
    *(VideoModelsRequest, ReadClipRequest),
)
CONTROL_REQUESTS: tuple[type, ...] = (Ping, Cancel, Status, ResultRequest, Shutdown)
_REPLIES: tuple[type, ...] = (
    *(SearchResult, FetchResult, AlignResult, AnimateResult, FitResult, VideoModelsResult),
    ReadClipResult,
    *(Accepted, JobProgress, Failed, JobCancelled),
    *(Pong, CancelReply, StatusReply, ShutdownReply),
)
MESSAGE_TYPES: dict[str, type] = {cls.__name__: cls for cls in (*WORK_REQUESTS, *CONTROL_REQUESTS, *_REPLIES)}
"""The name in a message's header → its class."""

Message = Any
"""An instance of one of :data:`MESSAGE_TYPES`."""
