# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Photographs of objects: straight-alpha sRGB images, masks and depth, from exact cameras.

The photographs are taken in a scene of their own, to which the objects are linked, so none of the
user's render settings, worlds, lights or cameras take part in them or are touched. The light is a
uniform white world: it has no direction, so what is seen of a surface does not depend on where the
camera stands, and a splat cloud can learn one colour per splat from all views. Under it Cycles draws
soft contact shadows, and Workbench, which has no lights, plain surface colours.

Depth is measured by casting a ray through the centre of every covered pixel against the evaluated
triangles. The engines' own Z passes would give one randomly placed sample per pixel (Cycles), or read
back through a compositor whose API changed in 5.0; the ray gives the same exact value with any engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import bpy
import mathutils.bvhtree
import numpy as np
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Camera, ViewSet

from . import cameras as blender_cameras
from . import compat
from .meshes import world_triangles

__all__ = [
    "DEFAULT_SAMPLES",
    "ENGINES",
    "Studio",
    "iterate_views",
    "pick_engine",
    "render_views",
    "splat_engine",
]

ENGINES = ("auto", "cycles", "eevee", "workbench")

DEFAULT_SAMPLES = 32
"""Cycles samples per pixel: under a uniform world, noise is below the texture's own grain (no denoiser)."""

_SOFTWARE_RENDERERS = ("llvmpipe", "softpipe", "swiftshader", "software")


def pick_engine(engine: str = "auto") -> str:
    """``cycles``, ``eevee`` or ``workbench``; ``auto`` takes EEVEE where a real GPU draws, else Cycles.

    EEVEE takes seconds (in 5.2 nearly a minute) per image on a software rasteriser. Without a window
    the renderer cannot be asked safely (3.4 crashes), so Cycles it is.
    """
    if engine not in ENGINES:
        raise Uni4DError(
            "bad-setting", f"Unknown render engine {engine!r}.", f"Use one of {', '.join(ENGINES)}."
        )
    if engine != "auto":
        return engine
    if bpy.app.background:
        return "cycles"
    import gpu

    renderer = gpu.platform.renderer_get().lower()
    return "cycles" if any(name in renderer for name in _SOFTWARE_RENDERERS) else "eevee"


def splat_engine(engine: str) -> str:
    """The engine for splats where ``engine`` is the one for surfaces: the same, but Cycles for Workbench,
    which shows neither their colours (they are in a shader) nor that they are see-through."""
    picked = pick_engine(engine)
    return "cycles" if picked == "workbench" else picked


class Studio:
    """A scene of its own in which objects are photographed; a context manager.

    >>> with Studio(objects) as studio:
    ...     image = studio.photograph(camera)

    ``objects`` are linked, not copied: they appear where they stand, and move as they are animated.
    """

    def __init__(
        self,
        objects: Iterable[bpy.types.Object],
        *,
        engine: str = "auto",
        samples: int = DEFAULT_SAMPLES,
        layers: int = 16,
    ) -> None:
        """``layers``: how many transparent surfaces a ray may cross (Cycles); splat clouds need ~128."""
        self._objects = list(objects)
        self._engine = pick_engine(engine)
        self._samples = samples
        self._layers = layers
        self._tree: mathutils.bvhtree.BVHTree | None = None

    def __enter__(self) -> Studio:
        self._folder = tempfile.TemporaryDirectory(prefix="uni4d-views-")
        self._scene: Any = bpy.data.scenes.new("Uni4D studio")  # Any: add-ons extend scenes, as Cycles does
        self._world = bpy.data.worlds.new("Uni4D studio")
        self._camera: Any = None
        for item in self._objects:
            self._scene.collection.objects.link(item)
        self._scene.frame_set(bpy.context.scene.frame_current)
        self._light()
        self._configure()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop_camera()
        bpy.data.scenes.remove(self._scene)
        bpy.data.worlds.remove(self._world)
        self._folder.cleanup()

    def photograph(self, camera: Camera, *, frame: int | None = None) -> NDArray[np.uint8]:
        """``[H, W, 4]`` sRGB with straight alpha, at the scene's present frame or at ``frame``."""
        if frame is not None and frame != self._scene.frame_current:
            self._scene.frame_set(frame)
            self._tree = None
        self._drop_camera()
        self._camera = blender_cameras.place(camera, name="Uni4D studio", collection=self._scene.collection)
        self._camera.data.clip_start, self._camera.data.clip_end = self._clip_range(camera)
        self._scene.camera = self._camera
        render = self._scene.render
        render.resolution_x, render.resolution_y = camera.width, camera.height
        render.pixel_aspect_x, render.pixel_aspect_y = blender_cameras.pixel_aspect(camera)
        path = Path(self._folder.name) / "view.png"
        path.unlink(missing_ok=True)
        render.filepath = str(path)
        with bpy.context.temp_override(scene=self._scene):  # its argument `scene` would keep our frame
            bpy.ops.render.render(write_still=True)
        if not path.is_file():  # Blender reports success even when it wrote nothing
            raise Uni4DError(
                "render-failed",
                f"Blender's {self._engine} wrote no image.",
                "See Blender's console for the reason, or choose another render engine.",
            )
        return _read_png(path, camera)

    def depth(self, camera: Camera, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """``[H, W]`` metres along the camera's z at the pixel centres inside ``mask``; ``inf`` elsewhere."""
        if self._tree is None:
            vertices, triangles = self._geometry()
            self._tree = mathutils.bvhtree.BVHTree.FromPolygons(
                vertices.tolist(), triangles.tolist(), all_triangles=True
            )
        rows, columns = np.nonzero(mask)
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
        rotation, translation = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
        rays = pixels @ np.linalg.inv(camera.intrinsics).T @ rotation  # [M, 3] world
        origin = mathutils.Vector((-rotation.T @ translation).tolist())
        cast = self._tree.ray_cast
        places = [cast(origin, direction)[0] for direction in rays.tolist()]
        values = np.full(mask.shape, np.inf, np.float32)
        hit = np.array([place is not None for place in places], bool)
        if hit.any():
            points = np.array([place for place in places if place is not None])
            values[rows[hit], columns[hit]] = points @ rotation[2] + translation[2]
        return values

    # --- setting up ---------------------------------------------------------------------------------

    def _light(self) -> None:
        if not self._world.use_nodes:
            self._world.use_nodes = True
        nodes = self._world.node_tree.nodes
        background = next((node for node in nodes if node.type == "BACKGROUND"), None)
        if background is None:
            background = nodes.new("ShaderNodeBackground")
            output = nodes.new("ShaderNodeOutputWorld")
            self._world.node_tree.links.new(background.outputs["Background"], output.inputs["Surface"])
        background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
        background.inputs["Strength"].default_value = 1.0
        self._scene.world = self._world

    def _configure(self) -> None:
        scene, render = self._scene, self._scene.render
        render.resolution_percentage = 100
        render.film_transparent = True
        render.dither_intensity = 0.0
        render.use_compositing = False
        render.use_sequencer = False
        render.image_settings.file_format = "PNG"
        render.image_settings.color_mode = "RGBA"
        render.image_settings.color_depth = "8"
        render.image_settings.compression = 0
        scene.view_settings.view_transform = "Standard"
        scene.view_settings.look = "None"
        scene.view_settings.exposure = 0.0
        scene.view_settings.gamma = 1.0
        if self._engine == "cycles":
            self._configure_cycles(scene.cycles)
        elif self._engine == "eevee":
            render.engine = compat.eevee_engine()
            scene.eevee.taa_render_samples = self._samples
        else:
            self._configure_workbench(scene.display)

    def _configure_cycles(self, cycles: Any) -> None:
        self._scene.render.engine = "CYCLES"
        cycles.device = "CPU"
        cycles.samples = self._samples
        cycles.use_adaptive_sampling = False
        cycles.use_denoising = False
        cycles.pixel_filter_type = "BOX"  # a pixel is the mean over its own square, as in the rasteriser
        cycles.max_bounces = 4
        cycles.diffuse_bounces = 1
        cycles.glossy_bounces = 1
        cycles.transmission_bounces = 4
        cycles.transparent_max_bounces = self._layers
        cycles.min_transparent_bounces = min(self._layers, 24)  # ending rays at random earlier is noise
        cycles.caustics_reflective = False
        cycles.caustics_refractive = False

    def _configure_workbench(self, display: Any) -> None:
        self._scene.render.engine = "BLENDER_WORKBENCH"
        display.render_aa = "8"
        display.shading.light = "FLAT"  # its studio lights would follow the camera or leave the back black
        display.shading.color_type = "TEXTURE"
        display.shading.show_cavity = False
        display.shading.show_object_outline = False

    def _geometry(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        layer = self._scene.view_layers[0]
        layer.update()
        meshes = [item for item in self._objects if item.type == "MESH"]
        return world_triangles(meshes, layer.depsgraph)

    def _clip_range(self, camera: Camera) -> tuple[float, float]:
        """Wide enough for everything the camera may see, scaled to its distance from the objects."""
        corners = np.concatenate(
            [
                np.array(item.bound_box) @ np.array(item.matrix_world)[:3, :3].T
                + item.matrix_world.translation
                for item in self._objects
            ]
        )
        away = np.linalg.norm(
            corners @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3], axis=1
        )
        return max(1e-3 * float(away.max()), 1e-5), 10.0 * float(away.max())

    def _drop_camera(self) -> None:
        if self._camera is not None:
            bpy.data.cameras.remove(self._camera.data)  # takes its object along
            self._camera = None


def render_views(
    objects: Sequence[bpy.types.Object],
    cameras: Sequence[Camera],
    *,
    engine: str = "auto",
    samples: int = DEFAULT_SAMPLES,
    progress: Progress = silent,
) -> ViewSet:
    """Photograph ``objects`` from every camera. All cameras must have one image size."""
    images, depths = [], []
    for image, depth in iterate_views(objects, cameras, engine=engine, samples=samples):
        images.append(image)
        depths.append(depth)
        progress(len(images) / len(cameras), f"view {len(images)} of {len(cameras)}")
    return ViewSet(np.stack(images), np.stack(depths), cameras)  # type: ignore[arg-type] # a converter


def iterate_views(
    objects: Sequence[bpy.types.Object],
    cameras: Sequence[Camera],
    *,
    engine: str = "auto",
    samples: int = DEFAULT_SAMPLES,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """The views of :func:`render_views` one by one, so that a window can be redrawn between them."""
    with Studio(objects, engine=engine, samples=samples) as studio:
        for camera in cameras:
            image = studio.photograph(camera)
            yield image, studio.depth(camera, image[..., 3] > 0)


def _read_png(path: Path, camera: Camera) -> NDArray[np.uint8]:
    """The bytes of a PNG that Blender wrote, as they are in the file; row 0 at the top."""
    image: Any = bpy.data.images.load(str(path))
    try:
        if tuple(image.size) != (camera.width, camera.height):
            raise Uni4DError(
                "render-failed",
                f"Blender wrote {tuple(image.size)} pixels instead of {(camera.width, camera.height)}.",
                "Report this with your Blender version.",
            )
        pixels = np.empty(camera.width * camera.height * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    rows = pixels.reshape(camera.height, camera.width, 4)[::-1]
    return np.ascontiguousarray(np.rint(rows * 255.0).astype(np.uint8))
