"""What every video model is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from uni4d.config import AnimateConfig
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Alignment, Array, Camera, Clip, Query, ViewSet

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh

__all__ = ["Animated", "FilmMesh", "Moved", "Scene", "VideoModel"]

Moved = Callable[[Array], Array]
"""Vertices at rest ``[P, 3]`` → where they are in each frame, ``[T, P, 3]``, metres."""
FilmMesh = Callable[["TexturedMesh", Moved, Camera, Progress], Array]
"""Photographs ``[T, H, W, 4]`` uint8 (straight alpha) of a moving mesh by a renderer that is not ours."""


@frozen(eq=False)
class Scene:
    """What a clip is made from."""

    query: Query
    views: ViewSet
    alignment: Alignment
    mesh: Callable[[], TexturedMesh]
    """Reads the mesh, for a model that needs it."""
    tokens: Array | None = None
    """``[K, D]`` the conditioning tokens of CrOSSMA, where the alignment made some."""


@frozen(eq=False)
class Animated:
    """A clip and what made it."""

    clip: Clip
    program: dict[str, Any] = field(factory=dict)
    """For the report and the panel, as :class:`uni4d_shared.messages.AnimateResult` has it: always ``tracks``
    and ``notes``, and for every model but the kinematic one also ``model``."""


class VideoModel(Protocol):
    """From a scene to a clip. Progress is reported at least per denoising step or question to the service,
    and the callback's :class:`~uni4d_shared.progress.Cancelled` passes through."""

    @property
    def title(self) -> str:
        """Its name for a person."""

    def check(self) -> None:
        """Raise the ``Uni4DError`` that says what it lacks to make a clip; nothing is loaded."""

    def animate(self, scene: Scene, config: AnimateConfig, progress: Progress = silent) -> Animated:
        """The clip of a scene."""
