"""The chain as the add-on drives it: search → fetch → import → views → align → animate → fit → place.

Each class here is a :class:`~.run.Run`: short steps on Blender's main thread. While the backend works, a
step only looks whether it is done, and photographs are taken one per step, so a window stays alive.

No step keeps Blender data for the next one: the user may undo or delete meanwhile. Objects are found
again by a mark on them (see :mod:`.scene.assets`).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from attrs import frozen

from uni4d_shared.cameras import bounding_sphere, orbit_rig
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
    SearchRequest,
    SearchResult,
)
from uni4d_shared.types import Camera, Hit, Query, ViewSet

from .pump import Jobs
from .run import Run, Step, Store, digest
from .scene import assets, meshes, placement, rendering

__all__ = ["Generation", "Import", "Search", "Settings", "choose_hit", "import_asset", "rig"]


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


class Search(Run):
    """Find assets for a prompt; with ``like``, the uid of one, more like it."""

    first_stage = "search"

    def __init__(
        self, prompt: str, jobs: Jobs, settings: Settings, *, like: str = "", store: Store | None = None
    ) -> None:
        super().__init__(jobs, store)
        self.found: SearchResult | None = None
        """The result, once the run has ended well."""
        self._request = SearchRequest(prompt, settings.top, like=like)

    def _run(self) -> Generator[Step, None, None]:
        self.found = yield from self._ask("search", self._request, SearchResult)


class Import(Run):
    """Fetch a hit and put its mesh into the scene."""

    first_stage = "fetch"

    def __init__(self, hit: Hit, jobs: Jobs, *, store: Store | None = None) -> None:
        super().__init__(jobs, store)
        self.mark = ""
        """How its objects are found (:mod:`.scene.assets`), once the run has ended well."""
        self._hit = hit

    def _run(self) -> Generator[Step, None, None]:
        fetched = yield from self._ask("fetch", FetchRequest(self._hit.uid), FetchResult)
        yield Step("import", 0.0, self._hit.name)
        self.mark = import_asset(fetched)
        yield Step("import", 1.0, "done")


class Generation(Run):
    """The whole chain, from a prompt (or from an earlier search) to the animated result in the scene."""

    first_stage = "search"

    def __init__(
        self,
        prompt: str,
        jobs: Jobs,
        settings: Settings,
        *,
        found: SearchResult | None = None,
        store: Store | None = None,
    ) -> None:
        """``found``: the prompt's search result, if it was searched before."""
        super().__init__(jobs, store)
        self.placed: placement.Placed | None = None
        """The result, once the run has ended well."""
        self.clip_camera: Camera | None = None
        self._prompt, self._settings, self._found = prompt, settings, found

    def _run(self) -> Generator[Step, None, None]:
        settings = self._settings
        found = self._found
        if found is None:
            found = yield from self._ask("search", SearchRequest(self._prompt, settings.top), SearchResult)
        hit = choose_hit(found, settings.uid)
        fetched = yield from self._ask("fetch", FetchRequest(hit.uid), FetchResult)
        yield Step("import", 0.0, hit.name)
        mark = assets.find(hit.uid) or import_asset(fetched)
        yield Step("import", 1.0, hit.name)
        yield Step("import", 1.0, "done")
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

    def _views_key(self, fetched: FetchResult, cameras: tuple[Camera, ...], engine: str) -> str:
        salt = f"{bpy.app.version_string}/{engine}/{self._settings.samples}"
        geometry = [camera.world_to_camera.tobytes() + camera.intrinsics.tobytes() for camera in cameras]
        return digest(salt.encode(), fetched.glb, *geometry, str(self._settings.size).encode())


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
