"""The stage: submit the photograph and the prompt, ask until the video is there, download and decode it."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from uni4d.config import AnimateConfig, RemoteConfig
from uni4d.video.photograph import BACKGROUND, first_frame, resized
from uni4d.video.remote.decode import decode
from uni4d.video.remote.http import Answer, Busy, Unreachable, fetch, patiently, wait
from uni4d.video.remote.keys import Keys, read_keys
from uni4d.video.remote.kling import (
    PATH,
    Task,
    check_prompt,
    check_url,
    read_task,
    submission,
    task_url,
    video_url,
)
from uni4d.video.scene import Animated, Scene
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Array, Clip

__all__ = ["RemoteVideo"]

Result = TypeVar("Result")

_ANSWER_BYTES = 1_000_000
_TYPICAL_SECONDS = 180.0
"""How long a task usually takes; only the progress bar's pace depends on it."""


class RemoteVideo:
    """A :class:`uni4d.video.scene.VideoModel` at a service."""

    def __init__(self, config: RemoteConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        return f"Video service ({self.config.model})"

    def check(self) -> None:
        check_url(self.config)
        read_keys()

    def animate(self, scene: Scene, config: AnimateConfig, progress: Progress = silent) -> Animated:
        """A clip from the service. It takes no seed: equal requests make different clips."""
        settings = self.config
        base, keys = check_url(settings), read_keys()
        parts = (scene.query.prompt.strip(), settings.staging.strip())
        prompt = check_prompt(" ".join(part for part in parts if part))
        side = settings.image_size
        image, camera = first_frame(scene.views, scene.alignment, side, side)
        call = _Call(settings, base, keys, progress)
        try:
            task = call.finished(call.submit(_png(image), prompt))
            call.tell(0.9, "downloading the video")
            data = call.download(task)
        except (Busy, Unreachable) as error:
            raise Uni4DError(
                "service-unreachable",
                f"The video service at {base} does not help: {keys.hidden(str(error))[:300]}.",
                "Check the network and video.remote.base_url, or try again later.",
            ) from None
        except Uni4DError as error:
            raise Uni4DError(error.code, keys.hidden(error.message), error.cure) from None
        frames, fps = decode(data, settings.fps, settings.size, settings.size, call.alive)
        progress(1.0, f"{len(frames)} frames")
        view = resized(camera, settings.size, settings.size)
        clip = Clip(frames, fps, view, BACKGROUND, f"{settings.model}: {scene.query.prompt}")
        notes = [f"{settings.model} ({settings.mode}); the service takes no seed."]
        told = {"name": settings.model, "service": base, "task": task.identifier}
        return Animated(
            clip,
            {
                "motion_text": scene.query.motion_text,
                "duration": len(frames) / fps,
                "tracks": [],
                "notes": notes,
                "model": told,
            },
        )


def _png(image: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


class _Call:
    """One clip's conversation with the service."""

    def __init__(self, config: RemoteConfig, base: str, keys: Keys, progress: Progress) -> None:
        self.config, self.base, self.keys = config, base, keys
        self._progress = progress
        self._told = (0.0, "asking the video service")

    def tell(self, fraction: float, message: str) -> None:
        self._told = (fraction, message)
        self.alive()

    def alive(self) -> None:
        """Say the last thing again, so that a cancellation comes through."""
        self._progress(*self._told)

    def submit(self, png: bytes, prompt: str) -> Task:
        """The task at the service. After a failure that leaves open whether it was made, it is looked for by
        our own name before it is made again."""
        name = f"uni4d-{uuid.uuid4().hex}"
        body = submission(self.config, png, prompt, name)
        unsure = False

        def attempt() -> Task:
            nonlocal unsure
            if unsure:
                found = self._known(name)
                if found is not None:
                    return found
            try:
                return read_task(self._ask(self.base + PATH, body))
            except Busy as error:
                unsure = unsure or not error.definite
                raise
            except Unreachable:
                unsure = True
                raise

        self.tell(0.02, "sending the photograph")
        return self._patiently(attempt)

    def _known(self, name: str) -> Task | None:
        try:
            return read_task(self._ask(task_url(self.base, name)))
        except Uni4DError:
            return None  # no such task: it was not made

    def finished(self, task: Task) -> Task:
        """The task once it is done."""
        started = time.monotonic()
        url = task_url(self.base, task.identifier)
        while not task.done:
            if task.status == "failed":
                raise Uni4DError(
                    "service-failed",
                    f"The video service could not make the clip: {task.reason}.",
                    "Word the prompt otherwise, or try again.",
                )
            passed = time.monotonic() - started
            if passed > self.config.patience_seconds:
                raise Uni4DError(
                    "service-slow",
                    f"The video service is not done after {passed:.0f} seconds.",
                    f"Raise video.remote.patience_seconds; the task {task.identifier} may still end.",
                )
            self._wait(task, passed)
            task = self._patiently(lambda: read_task(self._ask(url)))
        return task

    def _wait(self, task: Task, passed: float) -> None:
        fraction = 0.05 + 0.84 * passed / (passed + _TYPICAL_SECONDS)
        self.tell(fraction, f"the service says: {task.status} ({passed:.0f} s)")
        wait(self.config.poll_seconds, self.alive)

    def download(self, task: Task) -> bytes:
        """The video's bytes, all of them. Its address carries no key."""
        url = video_url(self.base, task)
        limit = int(self.config.download_megabytes * 1e6)

        def attempt() -> bytes:
            answer = fetch(url, timeout=self.config.timeout_seconds, limit=limit, watch=self._watch)
            if answer.status == 200:
                return answer.body
            if answer.status == 429 or answer.status >= 500:
                raise Busy(f"the video's server answers {answer.status}", answer.retry_after)
            raise Uni4DError(
                "service-invalid",
                f"The service's video cannot be downloaded: its server answers {answer.status}.",
                "Make it again.",
            )

        return self._patiently(attempt)

    def _watch(self, received: int, total: int) -> None:
        self.tell(0.9 + 0.08 * (received / total if total else 0.5), f"{received / 1e6:.1f} MB")

    def _ask(self, url: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.keys.bearer()}", "Content-Type": "application/json"}
        return fetch(
            url,
            timeout=self.config.timeout_seconds,
            limit=_ANSWER_BYTES,
            body=body,
            headers=headers,
            watch=lambda received, total: self.alive(),
        )

    def _patiently(self, attempt: Callable[[], Result]) -> Result:
        return patiently(attempt, self.config.retries, self.config.backoff_seconds, self.alive)
