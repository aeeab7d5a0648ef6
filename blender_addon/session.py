"""What goes on between the panel and the backend: one connection, at most one run at a time.

In a window a timer calls :func:`tick`; without one, where timers never fire, operators call
:meth:`Session.finish`. Everything here happens on Blender's main thread.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
from attrs import evolve

from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Failed, SearchResult, VideoModelInfo, VideoModelsRequest, VideoModelsResult
from uni4d_shared.progress import Cancelled
from uni4d_shared.types import Hit

from . import motion, playback, program
from .client import Client
from .generation import Chain, Draft, Fit, Generation, Import, Retake, Search, Settings
from .own_video import UseVideo, Video
from .pump import Jobs, Pending
from .run import Run, Step

__all__ = ["Session", "current", "on_change", "redraw", "shut_down"]

_BUSY_SECONDS, _IDLE_SECONDS = 0.03, 0.5
_NEVER_HEARD = frozenset({"no-backend", "backend-lost", "request-lost", "server-stopped"})
"""Errors after which a question may be asked again once the backend is there."""

_log = logging.getLogger(__name__)

on_change: list[Callable[[Session], None]] = []
"""Called in the window when there is something new to show, besides redrawing the panels."""


class Session:
    """The state that the panel draws."""

    def __init__(self) -> None:
        self.jobs: Jobs | None = None
        self.endpoint = ""
        self.run: Run | None = None
        self.waiting = ""
        """Why the run does not go on just now, e.g. because of Edit Mode."""
        self.found: SearchResult | None = None
        self.searched = ""
        """The prompt of ``found``."""
        self.chosen = 0
        """Index of the chosen hit."""
        self.draft: Draft | None = None
        """The last clip, with all that fitting it takes."""
        self.findings: tuple[str, ...] = ()
        """What the last fit says about the clip that is shown."""
        self.models: VideoModelsResult | None = None
        """The backend's video models, once it has told of them; older ones never do."""
        self._models_asked: Pending | None = None
        self.error: Uni4DError | None = None
        """What went wrong last; shown until the next action."""
        self.note = ""
        """What ended well last."""

    # --- connection -------------------------------------------------------------------------------

    def connect(self, endpoint: str, control_endpoint: str, keys: Path | None = None) -> None:
        """Connect, leaving an earlier connection. Whether a backend answers is known some seconds later."""
        self.disconnect()
        name = f"Blender {bpy.app.version_string}"
        self.jobs = Jobs(Client(endpoint, control_endpoint, name=name, keys=keys))
        self.endpoint = endpoint
        self.models = self._models_asked = None
        _start_timer()

    def disconnect(self) -> None:
        """End the run and the connection."""
        if self.run is not None:
            self.run.cancel()
            self.run = None
        if self.jobs is not None:
            self.jobs.client.close()
            self.jobs = None
        _stop_timer()

    @property
    def connected(self) -> bool:
        return self.jobs is not None and self.jobs.backend is not None

    # --- runs -------------------------------------------------------------------------------------

    def search(self, prompt: str, settings: Settings) -> None:
        self._begin(Search(self._prompt(prompt), self._connection(), settings))
        self.searched = prompt

    def search_like(self, index: int, prompt: str, settings: Settings) -> None:
        """More results like one of those shown; the prompt still says what it shall do."""
        like = self.hit(index).uid
        self._begin(Search(self._prompt(prompt), self._connection(), settings, like=like))
        self.searched = prompt

    def import_hit(self) -> None:
        self._begin(Import(self.hit(), self._connection()))

    def generate(self, prompt: str, settings: Settings, *, review: bool = False) -> None:
        """The whole chain, or the part before the fit; with the chosen hit if the prompt was searched
        before."""
        found = self._found_for(prompt)
        self._check_model(settings.model)
        self._begin(
            Generation(self._prompt(prompt), self._connection(), settings, found=found, review=review)
        )

    def use_video(self, video: Video, prompt: str, settings: Settings, *, review: bool = False) -> None:
        """A video file in the clip's place; of the object that was photographed last, if the prompt still
        means that one."""
        known = self.draft
        if known is not None and (
            known.query.prompt != prompt.strip() or settings.uid not in ("", known.hit.uid)
        ):
            known = None
        self._begin(
            UseVideo(
                *(video, self._prompt(prompt), self._connection(), settings),
                subject=known,
                found=self._found_for(prompt),
                review=review,
            )
        )

    def animate_again(self, settings: Settings) -> None:
        """Another clip of what the last one shows; without one, of what the saved file was made for."""
        self._check_model(settings.model)
        if self.draft is not None:
            self._begin(Retake(self.draft, self._connection(), settings))
            return
        saved = motion.get(bpy.context)
        if not saved.prompt:
            raise Uni4DError("no-clip", "There is no clip yet.", "Press Generate.")
        settings = evolve(settings, uid=saved.uid)
        self._begin(Generation(saved.prompt, self._connection(), settings, review=True))

    def fit(self, settings: Settings) -> None:
        """Go on with the clip that is shown."""
        if self.draft is None:
            raise Uni4DError("no-clip", "There is no clip to fit.", "Press Generate, or Animate Again.")
        self._begin(Fit(self.draft, self._connection(), settings))

    def model(self, name: str) -> VideoModelInfo | None:
        """What the backend told of a video model (:data:`.motion.BACKEND_CHOICE`: of the one that it
        chooses)."""
        if self.models is None:
            return None
        wanted = self.models.default if name == motion.BACKEND_CHOICE else name
        return next((info for info in self.models.models if info.name == wanted), None)

    def _check_model(self, name: str) -> None:
        """Say at once what a video model lacks, and not after the photographs."""
        known = self.model(name or motion.BACKEND_CHOICE)
        if known is not None and known.problem:
            raise Uni4DError("model-unavailable", known.problem, known.cure)

    def plays_programs(self, name: str) -> bool:
        """Whether that model plays a motion program."""
        known = self.model(name)
        return known.takes_program if known is not None else name in (motion.BACKEND_CHOICE, "kinematic")

    def hit(self, index: int | None = None) -> Hit:
        """The search result of that index, or the chosen one."""
        if self.found is None or not self.found.hits:
            raise Uni4DError("no-hit", "Nothing was searched yet.", "Type a prompt and press Search.")
        return self.found.hits[min(self.chosen if index is None else index, len(self.found.hits) - 1)]

    def chosen_uid(self, prompt: str) -> str:
        """That of the chosen hit, if the prompt is the one that was searched."""
        found = self._found_for(prompt)
        return self.hit().uid if found is not None and found.hits else ""

    def _found_for(self, prompt: str) -> SearchResult | None:
        return self.found if self.searched == prompt else None

    def cancel(self) -> None:
        if self.run is not None:
            self.run.cancel()

    @property
    def step(self) -> Step | None:
        """The present run's step, if there is a run."""
        return self.run.step if self.run is not None else None

    def advance(self) -> bool:
        """One step of whatever is going on; whether the panel has something new to show."""
        if self.jobs is None:
            return False
        before = (self.jobs.backend, self.jobs.problem, self.step, self.waiting, self.models)
        self.jobs.deliver()
        self._learn_models(self.jobs)
        if self.run is not None:
            self.waiting = _obstacle()
            if not self.waiting:
                self._advance(self.run)
        return self.jobs is None or before != (
            *(self.jobs.backend, self.jobs.problem, self.step, self.waiting, self.models),
        )

    def finish(self) -> None:
        """Drive the present run to its end (for use without a window); raises what went wrong."""
        while self.run is not None:
            if not self.advance():
                time.sleep(0.01)
        if self.error is not None:
            raise self.error

    def _begin(self, run: Run) -> None:
        self.error, self.note, self.waiting = None, "", ""
        self.run = run

    def _learn_models(self, jobs: Jobs) -> None:
        """For the panel: ask once, when the backend is ready."""
        if self._models_asked is None:
            ready = jobs.backend is not None and jobs.backend.worker in ("idle", "busy")
            if ready and not bpy.app.background:
                self._models_asked = jobs.submit(VideoModelsRequest())
        elif isinstance(self._models_asked.end, VideoModelsResult):
            self.models = self._models_asked.end
        elif isinstance(self._models_asked.end, Failed) and self._models_asked.end.code in _NEVER_HEARD:
            self._models_asked = None

    def _advance(self, run: Run) -> None:
        try:
            with _window():
                going_on = run.advance()
                self._adopt(run)
                if going_on:
                    return
                self._conclude(run)
        except Cancelled:
            self.note = "Cancelled."
        except Uni4DError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a defect must not stop the timer in silence
            _log.exception("a run failed")
            self.error = Uni4DError(
                "internal",
                f"{type(error).__name__}: {error}.",
                "This is a defect of Uni4D; Blender's console has the details.",
            )
        self.run = None
        if isinstance(run, Chain):
            self._push_undo(run)

    def _adopt(self, run: Run) -> None:
        """Show a run's clip and its program as soon as they are there."""
        draft = getattr(run, "draft", None)
        if draft is None or draft is self.draft:
            return
        self.draft, self.findings = draft, ()
        playback.current().show(draft.animated.clip, play=True)
        shown = motion.get(bpy.context)
        asked = run.settings.program if isinstance(run, (Generation, Retake)) else None
        if asked is None or not program.is_edited(shown, asked):  # else the user has gone on editing
            program.load(shown, draft.animated.program)
        shown.prompt, shown.uid = draft.query.prompt, draft.hit.uid

    def _push_undo(self, run: Chain) -> None:
        """One step back for what a run has left, also when it was cancelled after its clip."""
        message = "Uni4D result" if run.placed is not None else "Uni4D clip"
        if run.placed is not None or (run.draft is not None and not isinstance(run, Fit)):
            with _window():
                _push_undo(message)

    def _conclude(self, run: Run) -> None:
        if isinstance(run, Search):
            self.found, self.chosen = run.found, 0
            count = len(run.found.hits) if run.found else 0
            self.note = f"{count} results." if count else "Nothing in the library fits."
        elif isinstance(run, Import):
            self.note = "Imported."
            _push_undo("Uni4D import")
        elif isinstance(run, Chain) and run.placed is None:
            self.note = "Look at the clip, then fit it."
        elif isinstance(run, Chain):
            self.findings = run.findings
            self.note = f"Done in {sum(run.seconds.values()):.0f} s: press play."

    def _connection(self) -> Jobs:
        if self.run is not None:
            raise Uni4DError("busy", "Something is going on already.", "Wait for its end, or cancel it.")
        if self.jobs is None:
            raise Uni4DError("disconnected", "There is no connection to a backend.", "Press Connect.")
        if self.jobs.problem is not None:
            raise self.jobs.problem
        return self.jobs

    def _prompt(self, prompt: str) -> str:
        if not prompt.strip():
            raise Uni4DError("prompt-empty", "The prompt is empty.", "Try: a teddy bear is dancing.")
        return prompt.strip()


_session = Session()


def current() -> Session:
    """The one session of this Blender."""
    return _session


def shut_down() -> None:
    """End everything and forget it: before the add-on is switched off, and before Blender ends."""
    global _session  # noqa: PLW0603 - Blender has one main thread and one session
    _session.disconnect()
    _session = Session()
    redraw()


# --- the window -------------------------------------------------------------------------------------


def tick() -> float:
    """Called by Blender's timer; the seconds until it shall be called again."""
    if _session.advance():
        redraw()
    return _BUSY_SECONDS if _session.run is not None else _IDLE_SECONDS


def redraw() -> None:
    """Have the session shown as it is now."""
    for show in on_change:
        show(_session)
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=_BUSY_SECONDS, persistent=True)
    atexit.register(shut_down)  # a timer or thread that is left over hangs or crashes Blender at its exit


def _stop_timer() -> None:
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    atexit.unregister(shut_down)


def _obstacle() -> str:
    """Why the scene must not be changed right now; empty when it may."""
    if bpy.context.mode != "OBJECT":
        return "waiting until you leave Edit Mode"
    if not bpy.app.background and bpy.app.is_job_running("RENDER"):
        return "waiting for your render"
    return ""


@contextlib.contextmanager
def _window() -> Iterator[None]:
    """Timers run without a window in their context; operators want one."""
    manager: Any = bpy.context.window_manager
    if bpy.context.window is not None or not manager.windows:
        yield
        return
    with bpy.context.temp_override(window=manager.windows[0]):
        yield


def _push_undo(message: str) -> None:
    if not bpy.app.background:
        bpy.ops.ed.undo_push(message=message)
