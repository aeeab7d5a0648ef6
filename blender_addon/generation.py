"""The chain as the add-on drives it: search → fetch → import → views → align → animate → fit → place.

It can pause with the clip (:class:`Draft`), be taken again from there (:class:`Retake`), take a video of the
user's own in the clip's place (:mod:`.own_video`), and go on (:class:`Fit`).

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
from uni4d_shared.types import Alignment, Camera, Hit, Query, ViewSet

from .pump import Jobs
from .run import Run, Step, Store, digest
from .scene import assets, meshes, placement, rendering

__all__ = [
    "Chain",
    "Draft",
    "Fit",
    "Generation",
    "Import",
    "Retake",
    "Search",
    "Settings",
    "Subject",
    "choose_hit",
    "import_asset",
    "rig",
]


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
    model: str = ""
    """The video model; empty: the one that the backend's settings name."""
    program: dict[str, Any] | None = None
    """A motion program to play instead of what the prompt says."""
    own_scene: bool = False
    """The scene belongs to this result: it takes the clip's rate and length."""

    def of_the_clip(self) -> dict[str, Any]:
        """What ``AnimateRequest.settings`` says."""
        chosen: dict[str, Any] = {"model": self.model} if self.model else {}
        return chosen if self.program is None else {**chosen, "program": self.program}


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


@frozen(eq=False)
class Subject:
    """An asset that was photographed and looked at: what every clip of it starts from. No Blender data."""

    query: Query
    hit: Hit
    fetched: FetchResult
    views: ViewSet
    alignment: Alignment

    def filmed(self, animated: AnimateResult) -> Draft:
        """With its clip."""
        return Draft(self.query, self.hit, self.fetched, self.views, self.alignment, animated)


@frozen(eq=False)
class Draft(Subject):
    """A clip, and all that it takes to make another one or to fit this one."""

    animated: AnimateResult


class Chain(Run):
    """The parts that the runs below, and :mod:`.own_video`'s, are made of."""

    def __init__(self, jobs: Jobs, settings: Settings, store: Store | None) -> None:
        super().__init__(jobs, store)
        self.draft: Draft | None = None
        """The clip, as soon as there is one."""
        self.placed: placement.Placed | None = None
        """The result in the scene, once there is one."""
        self.findings: tuple[str, ...] = ()
        """What the fit says about the clip, for the user."""
        self.settings = settings
        self._mark = ""
        """How the asset's objects are found (:mod:`.scene.assets`)."""

    def _look(self, prompt: str, found: SearchResult | None) -> Generator[Step, None, Subject]:
        """From the prompt to all that precedes the clip."""
        if found is None:
            found = yield from self._ask("search", SearchRequest(prompt, self.settings.top), SearchResult)
        hit = choose_hit(found, self.settings.uid)
        fetched = yield from self._ask("fetch", FetchRequest(hit.uid), FetchResult)
        self._mark = yield from self._imported(hit, fetched)
        views = yield from self._views(self._mark, fetched)
        aligned = yield from self._ask("alignment", AlignRequest(found.query, hit.uid, views), AlignResult)
        return Subject(found.query, hit, fetched, views, aligned.alignment)

    def _imported(self, hit: Hit, fetched: FetchResult) -> Generator[Step, None, str]:
        """The mark of the asset in the scene, where it may stand already."""
        yield Step("import", 0.0, hit.name)
        mark = assets.find(hit.uid) or import_asset(fetched)
        yield Step("import", 1.0, hit.name)
        yield Step("import", 1.0, "done")
        return mark

    def _animate(self, subject: Subject) -> Generator[Step, None, Draft]:
        request = AnimateRequest(
            *(subject.query, subject.hit.uid, subject.views, subject.alignment),
            seed=self.settings.seed,
            settings=self.settings.of_the_clip(),
        )
        return subject.filmed((yield from self._ask("animate", request, AnimateResult)))

    def _fit(self, draft: Draft) -> Generator[Step, None, None]:
        """From a clip to the animated object in the scene."""
        clip = draft.animated.clip
        fitted = yield from self._ask(
            "fit",
            FitRequest(draft.hit.uid, draft.views, draft.alignment, clip, seed=self.settings.seed),
            FitResult,
        )
        self.findings = fitted.notes
        yield Step("place", 0.0, "putting the motion and the splats into the scene")
        self.placed = placement.place(
            self._mark,
            fitted.result,
            draft.views.cameras,
            clip.camera,
            title=f"{draft.hit.name}: {_motion(draft)}",
            own_scene=self.settings.own_scene,
        )
        yield Step("place", 1.0, "done")

    def _views(self, mark: str, fetched: FetchResult) -> Generator[Step, None, ViewSet]:
        """Photographs of the asset at rest, one per step."""
        yield Step("views", 0.0, "")
        cameras = rig(meshes.rest_vertices(assets.objects(mark)), self.settings)
        engine = rendering.pick_engine(self.settings.engine)
        key = self._views_key(fetched, cameras, engine)
        known = self._store.recall("views", key, ViewSet) if self._store else None
        if known is not None:
            yield Step("views", 1.0, "done before")
            return known
        images, depths = [], []
        for camera in cameras:
            with assets.at_rest(mark) as objects:
                view = rendering.render_views(objects, [camera], engine=engine, samples=self.settings.samples)
            images.append(view.images[0])
            depths.append(view.depth[0])
            yield Step("views", len(images) / len(cameras), f"view {len(images)} of {len(cameras)}")
        views = ViewSet(np.stack(images), np.stack(depths), cameras)
        if self._store:
            self._store.keep("views", key, views)
        return views

    def _views_key(self, fetched: FetchResult, cameras: tuple[Camera, ...], engine: str) -> str:
        salt = f"{bpy.app.version_string}/{engine}/{self.settings.samples}"
        geometry = [camera.world_to_camera.tobytes() + camera.intrinsics.tobytes() for camera in cameras]
        return digest(salt.encode(), fetched.glb, *geometry, str(self.settings.size).encode())


class Generation(Chain):
    """The whole chain, from a prompt (or from an earlier search) to the animated result in the scene."""

    first_stage = "search"

    def __init__(
        self,
        prompt: str,
        jobs: Jobs,
        settings: Settings,
        *,
        found: SearchResult | None = None,
        review: bool = False,
        store: Store | None = None,
    ) -> None:
        """``found``: the prompt's search result, if it was searched before. ``review``: end with the clip,
        for the user to look at; a :class:`Fit` goes on."""
        super().__init__(jobs, settings, store)
        self._prompt, self._found, self._review = prompt, found, review

    def _run(self) -> Generator[Step, None, None]:
        subject = yield from self._look(self._prompt, self._found)
        self.draft = yield from self._animate(subject)
        if not self._review:
            yield from self._fit(self.draft)


class Retake(Chain):
    """Another clip of the same photographs: another program, model or seed."""

    first_stage = "animate"

    def __init__(self, draft: Draft, jobs: Jobs, settings: Settings, *, store: Store | None = None) -> None:
        super().__init__(jobs, settings, store)
        self._from = draft

    def _run(self) -> Generator[Step, None, None]:
        self.draft = yield from self._animate(self._from)


class Fit(Chain):
    """What follows the clip. An asset that has a motion already keeps it; then a new copy takes this one."""

    first_stage = "import"

    def __init__(self, draft: Draft, jobs: Jobs, settings: Settings, *, store: Store | None = None) -> None:
        super().__init__(jobs, settings, store)
        self.draft = draft

    def _run(self) -> Generator[Step, None, None]:
        if self.draft is not None:
            self._mark = yield from self._imported(self.draft.hit, self.draft.fetched)
            yield from self._fit(self.draft)


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


def _motion(draft: Draft) -> str:
    program = draft.animated.program
    if "video" in program:
        return str(program["video"])
    verbs = [str(track.get("verb", "")) for track in program.get("tracks") or ()]
    return draft.query.motion_text or ", ".join(verbs) or "moving"
