"""Every stage that the backend computes, behind one door: a request in, its result out.

The server's worker calls :meth:`Stages.handle`; the command line calls the stages by name. Models and
the library are loaded when a stage first needs them and stay loaded.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import cattrs

from uni4d.config import Config, explain
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
    ReadClipRequest,
    SearchRequest,
    SearchResult,
    VideoModelsRequest,
    VideoModelsResult,
)
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Alignment, Array, Asset, Camera, Clip, Query, SearchFilters, ViewSet

if TYPE_CHECKING:
    from uni4d.alignment.aligner import Aligner
    from uni4d.library.geometry import TexturedMesh
    from uni4d.library.opened import Library
    from uni4d.retrieval.embedding import TextShapeSpace
    from uni4d.retrieval.search import Searcher
    from uni4d.video.scene import Moved, VideoModel

__all__ = ["Stages", "with_settings"]

Settings = TypeVar("Settings", bound=attrs.AttrsInstance)

_MESHES_KEPT = 4


class Stages:
    """The stages with the state they share: the library, the searcher, the joint space, recent meshes."""

    def __init__(self, config: Config) -> None:
        if config.profile == "gpu":
            _require_gpu()
        self.config = config
        self._meshes: OrderedDict[str, TexturedMesh] = OrderedDict()
        self._video: tuple[str, VideoModel] | None = None

    def handle(self, request: Message, progress: Progress) -> Message:
        """The result message of one work request of :mod:`uni4d_shared.messages`."""
        match request:
            case SearchRequest():
                return self.search(
                    request.prompt,
                    request.top,
                    progress,
                    filters=request.filters,
                    image=request.image,
                    like=request.like,
                    glb=request.glb,
                )
            case FetchRequest():
                return self.fetch(request.uid, progress)
            case AlignRequest():
                return self.align(request.query, request.uid, request.views, progress, glb=request.glb)
            case AnimateRequest():
                return self.animate(
                    request.query,
                    request.uid,
                    request.views,
                    request.alignment,
                    progress,
                    glb=request.glb,
                    settings={"seed": request.seed, **request.settings},
                )
            case FitRequest():
                from uni4d.pipeline.unfinished import unfinished_folder

                return self.fit(
                    request.uid,
                    request.views,
                    request.alignment,
                    request.clip,
                    progress,
                    glb=request.glb,
                    settings={"seed": request.seed, **request.settings},
                    checkpoint=unfinished_folder(self.config.serve, request),
                )
            case VideoModelsRequest():
                return self.video_models(progress)
            case ReadClipRequest():
                from uni4d.pipeline.foreign_clips import read_foreign

                return read_foreign(request, progress)
        raise Uni4DError("bad-request", f"{type(request).__name__} is not a request for the worker.")

    def library_size(self) -> int:
        """Assets that can be searched; 0 when the library must be built first."""
        try:
            return len(self.library.assets())
        except Uni4DError as error:
            if error.code in ("library-missing", "library-empty", "library-outdated"):
                return 0
            raise

    def search(
        self,
        prompt: str,
        top: int,
        progress: Progress,
        *,
        filters: SearchFilters | None = None,
        image: bytes = b"",
        like: str = "",
        glb: bytes = b"",
    ) -> SearchResult:
        """The ``top`` best assets with their thumbnails, by words, a picture, an asset, a mesh, or several.

        The prompt may hold filters and negative terms (:mod:`uni4d.retrieval.wanted`); it is empty when there
        is something else to search by.
        """
        from uni4d.retrieval.query import parse
        from uni4d.retrieval.wanted import read_wanted

        if not 1 <= top <= 1000:
            raise Uni4DError("bad-setting", f"top is {top}.", "Ask for 1 to 1000 hits.")
        wanted = read_wanted(prompt, filters)
        if not (wanted.query.object_text or image or like or glb):
            parse("")  # says that nothing was asked for
        progress(0.1, "loading the index")
        searcher = self.searcher
        if wanted.query.object_text:
            searcher.open_index(section(progress, 0.1, 0.5))
        progress(0.5, "searching")
        likeness = self._likeness(image, like, glb)
        hits = tuple(searcher.search(wanted.query, top, filters=wanted.filters, likeness=likeness, but=like))
        progress(1.0, f"{len(hits)} hits")
        return SearchResult(wanted.query, hits, tuple(_bytes_of(hit.thumbnail) for hit in hits))

    def _likeness(self, image: bytes, like: str, glb: bytes) -> Array | None:
        """The point of the joint space between the examples; ``None`` without any."""
        import numpy as np

        from uni4d.retrieval.pictures import read_picture

        examples = []
        if image:
            examples.append(self.space.embed_images(read_picture(image)[None])[0])
        if like:
            examples.append(self.space.embed_asset(like))
        if glb:
            examples.append(self.space.embed_mesh(self.mesh("", glb)))
        if not examples:
            return None
        mean = np.mean(examples, axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12))

    def fetch(self, uid: str, progress: Progress) -> FetchResult:
        """One asset and its mesh as GLB; converted from the source's format the first time."""
        progress(0.0, "fetching the mesh")
        asset = self.asset(uid)
        glb = Path(asset.path).read_bytes()
        progress(1.0, asset.name)
        return FetchResult(asset, glb)

    def align(
        self, query: Query, uid: str, views: ViewSet, progress: Progress, *, glb: bytes = b""
    ) -> AlignResult:
        """The three cosines between text, asset and photographs, the score, and the weights of the views."""
        progress(0.0, "embedding the asset")
        asset = self.space.embed_mesh(self.mesh("", glb)) if glb else self.space.embed_asset(uid)
        progress(0.4, "looking at the views")
        alignment = self.aligner(query, asset, views)
        progress(1.0, f"score {alignment.score:.2f}")
        return AlignResult(alignment)

    def animate(
        self,
        query: Query,
        uid: str,
        views: ViewSet,
        alignment: Alignment,
        progress: Progress,
        *,
        glb: bytes = b"",
        settings: dict[str, Any] | None = None,
    ) -> AnimateResult:
        """A clip of the asset doing what the motion text says."""
        from uni4d.video.models import check_settings
        from uni4d.video.scene import Scene

        config = with_settings(self.config.animate, settings)
        check_settings(config.model, settings or {})
        tokens = alignment.tokens if len(alignment.tokens) else None
        scene = Scene(query, views, alignment, lambda: self.mesh(uid, glb), tokens)
        animated = self.video_model(config.model).animate(scene, config, progress)
        return AnimateResult(animated.clip, animated.program)

    def video_models(self, progress: Progress) -> VideoModelsResult:
        """The video models, and what each lacks on this machine."""
        from uni4d.video.models import describe_models

        progress(0.0, "looking at the video models")
        models = describe_models(self.config.video)
        return VideoModelsResult(models, self.config.animate.model)

    def fit(
        self,
        uid: str,
        views: ViewSet,
        alignment: Alignment,
        clips: Clip | Sequence[Clip],
        progress: Progress,
        *,
        glb: bytes = b"",
        settings: dict[str, Any] | None = None,
        checkpoint: Path | None = None,
    ) -> FitResult:
        """4D Gaussians fitted to the frames of a clip, or of several of one motion.

        A clip without a camera is a foreign video: what is found out about it is in the result's notes.
        ``checkpoint``: a folder of its own, from which the same fit goes on when it was interrupted.
        """
        from uni4d.fourd import fit
        from uni4d.fourd.checkpoint import Checkpoint
        from uni4d.fourd.foreign import explained, prepared, says_explained

        config = with_settings(self.config.fit, settings)
        progress(0.0, "reading the mesh")
        mesh = self.mesh(uid, glb)
        given = (clips,) if isinstance(clips, Clip) else tuple(clips)
        known, found = prepared(given, views, alignment.key_view)
        own = section(progress, 0.01, 1.0)
        fitted = fit(mesh, views, alignment, known, config, own, Checkpoint(checkpoint))
        metrics = {**fitted.metrics, "explained": explained(fitted.metrics)}
        return FitResult(fitted.result, metrics, (*found, says_explained(metrics)))

    def asset(self, uid: str) -> Asset:
        return self.library.get(uid)

    def mesh(self, uid: str, glb: bytes = b"") -> TexturedMesh:
        """The textured mesh of a library asset, or of the given GLB; the last few stay in memory."""
        from uni4d.library.formats.reading import load_mesh

        if not uid and not glb:
            raise Uni4DError("bad-request", "Neither an asset nor a mesh was given.", "Send uid or glb.")
        key = hashlib.sha256(glb).hexdigest() if glb else uid
        if key not in self._meshes:
            if glb:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "uploaded.glb"
                    path.write_bytes(glb)
                    self._meshes[key] = load_mesh(path)
            else:
                self._meshes[key] = load_mesh(Path(self.asset(uid).path))
        self._meshes.move_to_end(key)
        while len(self._meshes) > _MESHES_KEPT:
            self._meshes.popitem(last=False)
        return self._meshes[key]

    def video_model(self, name: str) -> VideoModel:
        """The model of ``[animate] model``. The last one stays loaded: two would seldom fit into one
        device."""
        if self._video is None or self._video[0] != name:
            self._video = None
            self._video = (name, self._new_video_model(name))
        return self._video[1]

    def _new_video_model(self, name: str) -> VideoModel:
        from uni4d.pipeline.filming import film_mesh
        from uni4d.video.models import video_model

        def film(mesh: TexturedMesh, moved: Moved, camera: Camera, progress: Progress) -> Array:
            return film_mesh(mesh, moved, camera, self.config.blender, progress)

        return video_model(name, self.config.video, self._embed_sentence, film)

    def _embed_sentence(self, text: str) -> Array:
        return self.space.embed_sentence(text)

    @cached_property
    def library(self) -> Library:
        from uni4d.library.opened import open_library

        return open_library(self.config.library)

    @cached_property
    def searcher(self) -> Searcher:
        from uni4d.retrieval.search import Searcher

        return Searcher(self.library, self.space)

    @cached_property
    def aligner(self) -> Aligner:
        from uni4d.alignment.aligner import Aligner

        return Aligner(self.space, self.config.align)

    @cached_property
    def space(self) -> TextShapeSpace:
        from uni4d.retrieval.embedding import TextShapeSpace

        return TextShapeSpace(self.library)


def with_settings(config: Settings, settings: dict[str, Any] | None) -> Settings:
    """``config`` with some fields replaced by name; unknown names and impossible values are refused."""
    if not settings:
        return config
    names = [attribute.name for attribute in attrs.fields(type(config))]
    unknown = sorted(set(settings) - set(names))
    if unknown:
        raise Uni4DError(
            "bad-setting", f"Unknown setting: {', '.join(unknown)}.", f"Known: {', '.join(names)}."
        )
    try:
        merged = {**attrs.asdict(config), **settings}
        return cattrs.structure(merged, type(config))
    except (ValueError, TypeError, cattrs.BaseValidationError) as error:
        raise Uni4DError("bad-setting", f"A setting is out of range: {explain(error)}.") from error


def _require_gpu() -> None:
    """Raise the one error that says what the ``gpu`` profile lacks on this machine."""
    import torch

    if not torch.cuda.is_available():
        raise Uni4DError(
            "gpu-missing",
            "The gpu profile needs a CUDA device, and PyTorch finds none here.",
            "Install a CUDA build of PyTorch on a machine with an NVIDIA GPU, or use the local profile.",
        )
    raise Uni4DError(
        "weights-missing",
        "The gpu profile's encoders are not yet part of the chain.",
        "Use the local profile; its video model can be one for the GPU: uni4d animate --model cogvideox.",
    )


def _bytes_of(path: str) -> bytes:
    return Path(path).read_bytes() if path else b""
