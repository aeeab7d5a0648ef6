"""The chain as the add-on drives it: search → fetch → import → views → align → animate → fit → place.

:class:`Generation` is a sequence of short steps on Blender's main thread. Between two steps Blender is free
to draw and to listen; while the backend works, a step only looks whether it is done, and photographs are
taken one per step. The window's timer and the loop without a window both just call
:meth:`Generation.advance` until it returns False.

No step keeps Blender data for the next one: the user may undo or delete meanwhile. Objects are found
again by a mark on them (see :mod:`.scene.assets`).
"""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import bpy
import numpy as np
from attrs import frozen

from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.codec import encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import (
    AlignRequest,
    AlignResult,
    AnimateRequest,
    AnimateResult,
    FetchRequest,
    FetchResult,
    FitRequest,
    FitResult,
    Message,
    SearchRequest,
    SearchResult,
)
from uni4d_shared.progress import Cancelled
from uni4d_shared.types import Camera, Hit, Query, ViewSet

from .pump import Jobs, Pending
from .scene import assets, meshes, placement, rendering

__all__ = ["Generation", "Settings", "Step", "Store", "choose_hit"]

Result = TypeVar("Result")


@frozen
class Settings:
    """What a run is told besides the prompt."""

    top: int = 5
    """Hits to ask for."""
    uid: str = ""
    """Take this hit instead of the best one."""
    size: int = 256
    """Width and height of the photographs in pixels."""
    azimuths: int = 8
    elevations: tuple[float, ...] = (15.0, 45.0)
    """Degrees above the horizon."""
    margin: float = 1.35
    """Distance of the object from the border; leaves room for the motion."""
    engine: str = "auto"
    samples: int = rendering.DEFAULT_SAMPLES
    seed: int = 0
    own_scene: bool = False
    """The scene belongs to this result: it takes the clip's rate and length."""


@frozen
class Step:
    """How far the run is: what a progress bar shows."""

    stage: str
    fraction: float
    message: str


class Store(Protocol):
    """Keeps the results of stages between runs. ``key`` stands for everything that a result depends on."""

    def recall(self, stage: str, key: str, cls: type[Result]) -> Result | None: ...

    def keep(self, stage: str, key: str, value: object) -> None: ...


class Generation:
    """One run, from a prompt (or from a hit of an earlier search) to the animated result in the scene."""

    def __init__(
        self,
        prompt: str,
        jobs: Jobs,
        settings: Settings = Settings(),
        *,
        found: SearchResult | None = None,
        store: Store | None = None,
    ) -> None:
        """``found``: the prompt's search result, if it was searched before."""
        self.step = Step("search", 0.0, "")
        self.seconds: dict[str, float] = {}
        """Wall time of each stage so far."""
        self.placed: placement.Placed | None = None
        """The result, once the run has ended well."""
        self.clip_camera: Camera | None = None
        self._prompt, self._jobs, self._settings = prompt, jobs, settings
        self._found, self._store = found, store
        self._pending: Pending | None = None
        self._cancelled = False
        self._steps = self._run()

    def advance(self) -> bool:
        """Do the next step; False when the run is complete. Raises what goes wrong, or ``Cancelled``."""
        self._jobs.deliver()
        if self._cancelled:
            self._steps.close()
            raise Cancelled
        started, stage = time.perf_counter(), self.step.stage
        try:
            self.step = next(self._steps)
        except StopIteration:
            return False
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        return True

    def cancel(self) -> None:
        """Stop at the next step, and tell the backend to stop as well."""
        self._cancelled = True
        if self._pending is not None:
            self._jobs.cancel(self._pending)

    # --- the chain --------------------------------------------------------------------------------

    def _run(self) -> Generator[Step, None, None]:
        settings = self._settings
        found = self._found
        if found is None:
            found = yield from self._ask("search", SearchRequest(self._prompt, settings.top), SearchResult)
        hit = choose_hit(found, settings.uid)
        fetched = yield from self._ask("fetch", FetchRequest(hit.uid), FetchResult)
        yield Step("import", 0.0, hit.name)
        mark = assets.find(hit.uid) or import_asset(fetched)
        views = yield from self._views(mark, fetched)
        aligned = yield from self._ask("alignment", AlignRequest(found.query, hit.uid, views), AlignResult)
        animated = yield from self._ask(
            "animate",
            AnimateRequest(found.query, hit.uid, views, aligned.alignment, seed=settings.seed),
            AnimateResult,
        )
        fitted = yield from self._ask(
            "fit",
            FitRequest(hit.uid, views, aligned.alignment, animated.clip, seed=settings.seed),
            FitResult,
        )
        yield Step("place", 0.0, "putting the motion and the splats into the scene")
        self.clip_camera = animated.clip.camera
        self.placed = placement.place(
            mark,
            fitted.result,
            views.cameras,
            animated.clip.camera,
            title=f"{hit.name}: {_motion(found.query, animated)}",
            own_scene=settings.own_scene,
        )
        yield Step("place", 1.0, "done")

    def _ask(self, stage: str, request: Message, cls: type[Result]) -> Generator[Step, None, Result]:
        """One stage of the backend's, unless its result is known already."""
        yield Step(stage, 0.0, "")
        key = self._key(request)
        known = self._store.recall(stage, key, cls) if self._store else None
        if known is not None:
            yield Step(stage, 1.0, "done before")
            return known
        pending = self._pending = self._jobs.submit(request)
        while not pending.done:
            yield Step(stage, pending.fraction, pending.message)
        result: Result = pending.result()
        self._pending = None
        if self._store:
            self._store.keep(stage, key, result)
        yield Step(stage, 1.0, "done")
        return result

    def _views(self, mark: str, fetched: FetchResult) -> Generator[Step, None, ViewSet]:
        """Photographs of the asset at rest, one per step."""
        yield Step("views", 0.0, "")
        cameras = rig(meshes.rest_vertices(assets.objects(mark)), self._settings)
        engine = rendering.pick_engine(self._settings.engine)
        key = self._views_key(fetched, cameras, engine)
        known = self._store.recall("views", key, ViewSet) if self._store else None
        if known is not None:
            yield Step("views", 1.0, "done before")
            return known
        images, depths = [], []
        for camera in cameras:
            with assets.at_rest(mark) as objects:
                view = rendering.render_views(
                    objects, [camera], engine=engine, samples=self._settings.samples
                )
            images.append(view.images[0])
            depths.append(view.depth[0])
            yield Step("views", len(images) / len(cameras), f"view {len(images)} of {len(cameras)}")
        views = ViewSet(np.stack(images), np.stack(depths), cameras)
        if self._store:
            self._store.keep("views", key, views)
        return views

    def _key(self, request: Message) -> str:
        backend = self._jobs.backend
        salt = f"{backend.server}/{backend.profile}/{backend.library_size}" if backend else ""
        return _digest(salt.encode(), *encode(request, id="key"))

    def _views_key(self, fetched: FetchResult, cameras: tuple[Camera, ...], engine: str) -> str:
        salt = f"{bpy.app.version_string}/{engine}/{self._settings.samples}"
        geometry = [camera.world_to_camera.tobytes() + camera.intrinsics.tobytes() for camera in cameras]
        return _digest(salt.encode(), fetched.glb, *geometry, str(self._settings.size).encode())


def choose_hit(found: SearchResult, uid: str = "") -> Hit:
    """The hit named ``uid``, or the best one; an error when there is none."""
    if not found.hits:
        raise Uni4DError(
            "no-hit",
            f"Nothing in the library fits {found.query.object_text!r}.",
            "Try other words, or build a larger library.",
        )
    if not uid:
        return found.hits[0]
    for hit in found.hits:
        if hit.uid == uid:
            return hit
    raise Uni4DError("no-hit", f"{uid} is not among the hits.", "Ask for more hits, or name no uid.")


def import_asset(fetched: FetchResult) -> str:
    """Import a fetched mesh into a collection of its own; the mark by which its objects are found."""
    with tempfile.TemporaryDirectory(prefix="uni4d-") as folder:
        path = Path(folder) / "asset.glb"
        path.write_bytes(fetched.glb)
        try:
            return assets.add(fetched.asset, path)
        except Uni4DError as error:
            raise Uni4DError(error.code, f"{fetched.asset.name}: {error.message}", error.cure) from error


def rig(vertices: Any, settings: Settings) -> tuple[Camera, ...]:
    """The cameras from which an object with these ``vertices [P, 3]`` is photographed."""
    centre, radius = bounding_sphere(vertices)
    return orbit_rig(
        centre,
        radius,
        azimuths=settings.azimuths,
        elevations=[math.radians(angle) for angle in settings.elevations],
        size=settings.size,
        margin=settings.margin,
    )


def _motion(query: Query, animated: AnimateResult) -> str:
    return query.motion_text or str(animated.program.get("verb", "moving"))


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
