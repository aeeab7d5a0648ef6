"""A video of the user's own in the clip's place: of the asset, or of something that moves as it shall.

The backend decodes it and finds its background and its camera; from there on it is a clip like any other.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from attrs import frozen

from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AnimateResult, ReadClipRequest, ReadClipResult, SearchResult

from .generation import Chain, Settings, Subject
from .pump import Jobs
from .run import Step, Store

__all__ = ["UseVideo", "Video"]

_MOST_BYTES = 500_000_000
_CURE = "Choose an MP4, MOV, MKV or WebM file."


@frozen
class Video:
    """A file, and what of it is taken."""

    path: Path
    fps: float = 12.0
    """The most frames a second."""
    start: float = 0.0
    """Seconds that are left out."""
    seconds: float = 0.0
    """How much is taken from there on; 0: all."""

    def read(self) -> bytes:
        try:
            size = self.path.stat().st_size
            if size > _MOST_BYTES:
                raise Uni4DError(
                    "video-too-large",
                    f"{self.path.name} has {size / 1e6:.0f} MB; {_MOST_BYTES / 1e6:.0f} MB can be sent.",
                    "Cut it, or make it smaller.",
                )
            return self.path.read_bytes()
        except OSError as error:
            raise Uni4DError("video-unreadable", f"{self.path}: {error.strerror or error}.", _CURE) from error


class UseVideo(Chain):
    """From a video, and the asset of the prompt or one that was looked at before, to the clip; and on to the
    result in the scene, unless the user wants to look at the clip first."""

    first_stage = "video"

    def __init__(
        self,
        video: Video,
        prompt: str,
        jobs: Jobs,
        settings: Settings,
        *,
        subject: Subject | None = None,
        found: SearchResult | None = None,
        review: bool = False,
        store: Store | None = None,
    ) -> None:
        """``subject``: the asset, if it was photographed before. ``found``, ``review``: see
        :class:`.generation.Generation`."""
        super().__init__(jobs, settings, store)
        self._video, self._prompt, self._review = video, prompt, review
        self._subject, self._found = subject, found

    def _run(self) -> Generator[Step, None, None]:
        data = self._video.read()  # before anything that takes long
        subject = self._subject
        if subject is None:
            subject = yield from self._look(self._prompt, self._found)
        request = ReadClipRequest(
            *(data, subject.views, subject.alignment, self._video.path.name),
            fps=self._video.fps,
            size=self.settings.size,
            start=self._video.start,
            seconds=self._video.seconds,
        )
        read = yield from self._ask("video", request, ReadClipResult)
        program = {"tracks": [], "video": self._video.path.name, "notes": list(read.notes)}
        self.draft = subject.filmed(AnimateResult(read.clip, program))
        if not self._review:
            self._mark = yield from self._imported(subject.hit, subject.fetched)
            yield from self._fit(self.draft)
