# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Pictures of a mesh whose every vertex is told where to be: ``headless.py render-sequence``.

The reconstruction benchmark films motions with it that it knows exactly. A folder describes the work:

- ``motion.npz``: ``rest [P, 3]``, ``vertices [T, P, 3]`` (world space, metres; the vertices in the order of
  the GLB), and optionally ``glow [T, M]`` in [0, 1], an amount per material of the GLB, with
  ``glow_color [3]`` (linear light);
- ``cameras.json``: see :func:`uni4d_shared.cameras.write_transforms`;
- ``shots.json``: ``[{"file": …, "camera": i, "moment": t}]``; ``"moment": -1`` is the mesh at rest, whose
  shots also give ``depth.npz``, in their order.

Three lights. ``shadeless``: a surface shows its own colour, which moves with it; drawn by Workbench. ``sun``:
a sun with hard shadows that stands still in the world while the object turns, over an even ambient light;
drawn by Cycles, with rays that end at the first surface, so that there is no noise but that of the edges. The
colour of a material that glows gives way to that of the glow. These two have many samples per pixel, the sun
where samples differ: a few leave edges uncertain by a quarter of the contrast. ``studio``: the light of the
photographs, by any engine; nothing glows in it.

What is there already is not rendered again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import mathutils
import numpy as np
from numpy.typing import NDArray

from uni4d_shared.cameras import project, read_transforms, scaled
from uni4d_shared.conventions import linear_from_srgb, srgb_from_linear
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera

from .scene import meshes, rendering
from .view_files import write_png

__all__ = ["LIGHTS", "add_command", "render_sequence"]

LIGHTS = ("shadeless", "sun", "studio")

Report = Callable[..., None]
Array = NDArray[Any]

_AMBIENT = 0.3
_SUN = 0.75
"""Of the light that a surface facing the sun gets; more than 1 in all would burn white out."""
_SUN_FROM = (-0.45, -0.75, 0.9)
_FINER = {"workbench": 2, "cycles": 1}
"""The narrowest pictures are drawn that many times as wide and averaged, others as wide as those at least."""
_SAMPLES = {"workbench": 16, "cycles": 64}
"""Per drawn pixel; by Cycles at most, and n² times fewer in pictures n times as wide as the narrowest."""
_FIRST_SAMPLES = 8
"""Cycles: where so many agree, no more are drawn …"""
_UNCERTAIN = 0.01
"""… their expected error, relative to the root of the light, being below this."""
_RIM = 2
"""Pixels around the object that are drawn too; what lies farther out is empty."""


def add_command(commands: Any, common: argparse.ArgumentParser, report: Report) -> None:
    """Make ``render-sequence`` known to the parser of :mod:`.commands`."""
    parser = commands.add_parser("render-sequence", parents=[common], help="film a mesh with a given motion")
    parser.add_argument("--glb", type=Path, required=True)
    parser.add_argument("--light", choices=LIGHTS, default=LIGHTS[0])
    parser.set_defaults(
        run=lambda given: render_sequence(given.glb, given.out, given.light, report, engine=given.engine)
    )


def render_sequence(glb: Path, folder: Path, light: str, report: Report, *, engine: str = "auto") -> None:
    """Render the shots that ``folder`` asks for into it; ``engine`` is heeded in the light ``studio``."""
    report("film", 0.0, "importing")
    objects = meshes.import_glb(glb)
    cameras, _ = read_transforms(folder / "cameras.json")
    shots = json.loads((folder / "shots.json").read_text(encoding="utf-8"))
    missing = [shot for shot in shots if not (folder / shot["file"]).is_file()]
    missing.sort(key=lambda shot: (shot["moment"], shot["camera"]))
    motion = _Motion(folder / "motion.npz", objects, light)
    narrowest = min(camera.width for camera in cameras)
    studio_of = (
        rendering.Studio(objects, engine=engine) if light == "studio" else _Set(objects, light, narrowest)
    )
    with studio_of as studio:
        for done, shot in enumerate(missing):
            report("film", done / len(missing), f"{shot['file']}, {done + 1} of {len(missing)}")
            motion.pose(shot["moment"])
            path = folder / shot["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path.with_suffix(".part"), studio.photograph(cameras[shot["camera"]]))
            path.with_suffix(".part").replace(path)
        still = [shot for shot in shots if shot["moment"] < 0]
        if still and not (folder / "depth.npz").is_file():
            motion.pose(-1)
            depth = [studio.depth(cameras[shot["camera"]], _covered(folder / shot["file"])) for shot in still]
            np.savez_compressed(folder / "depth.npz", depth=np.stack(depth))
    report("film", 1.0, f"{len(shots)} pictures")


def _covered(path: Path) -> NDArray[np.bool_]:
    """``[H, W]`` where a picture shows something."""
    image: Any = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(4 * width * height, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.asarray(pixels.reshape(height, width, 4)[::-1, :, 3] > 0)


class _Motion:
    """Puts the vertices of the objects where the archive says, and lights what glows."""

    def __init__(self, path: Path, objects: Sequence[bpy.types.Object], light: str) -> None:
        with np.load(path, allow_pickle=False) as archive:
            self._rest, self._vertices = archive["rest"], archive["vertices"]
            self._glow = archive.get("glow")
            color = archive.get("glow_color")
        found = meshes.rest_vertices(objects)
        reach = 1e-3 * float(np.ptp(self._rest, axis=0).max())
        if found.shape != self._rest.shape or not np.abs(found - self._rest).max() < reach:
            raise Uni4DError(
                "motion-mismatch",
                f"{path}: the motion is of {len(self._rest)} vertices that are not those of the mesh "
                f"({len(found)}).",
                "Make the motion from the vertices of the GLB, in its order.",
            )
        self._meshes: list[Any] = [item.data for item in objects]
        materials = list(dict.fromkeys(m for item in objects for m in item.data.materials if m))
        if self._glow is not None and self._glow.shape[1] != len(materials):
            raise Uni4DError(
                "motion-mismatch",
                f"{path}: glow is of {self._glow.shape[1]} materials, the mesh has {len(materials)}.",
                "Give an amount for each material of the GLB, in its order.",
            )
        self._surfaces: list[_Flat | _Sunlit] = []
        if light != "studio":
            surface = _Flat if light == "shadeless" else _Sunlit
            self._surfaces = [surface(material, color) for material in materials]
        self._at: int | None = None

    def pose(self, moment: int) -> None:
        """Moment ``moment`` of the motion; below 0, at rest."""
        if moment == self._at:
            return
        self._at = moment
        points = (self._rest if moment < 0 else self._vertices[moment]).astype(np.float32)
        start = 0
        for mesh in self._meshes:
            stop = start + len(mesh.vertices)
            mesh.vertices.foreach_set("co", points[start:stop].ravel())
            mesh.update()
            start = stop
        if self._glow is not None:
            amounts = self._glow[max(moment, 0)] * (moment >= 0)
            for surface, amount in zip(self._surfaces, amounts.tolist(), strict=True):
                surface.glow(amount)


class _Flat:
    """A material as Workbench sees it: its picture, or its colour in the viewport."""

    def __init__(self, material: Any, glow_color: Array | None) -> None:
        self._material, self._target, self._amount = material, glow_color, 0.0
        color = _shader(material).inputs["Base Color"]
        nodes = [node for node in material.node_tree.nodes if node.type == "TEX_IMAGE" and node.image]
        self._image: Any = nodes[0].image if nodes else None
        if not color.is_linked:
            material.diffuse_color = tuple(color.default_value)
        self._color = np.array(material.diffuse_color)
        if self._image is not None and glow_color is not None:
            self._pixels = np.empty(len(self._image.pixels), np.float32)
            self._image.pixels.foreach_get(self._pixels)

    def glow(self, amount: float) -> None:
        if amount == self._amount or self._target is None:
            return
        self._amount = amount
        if self._image is None:
            mixed = (1.0 - amount) * self._color[:3] + amount * self._target
            self._material.diffuse_color = (*mixed.tolist(), float(self._color[3]))
            return
        pixels = self._pixels.reshape(-1, 4).copy()
        mixed = (1.0 - amount) * linear_from_srgb(pixels[:, :3]) + amount * self._target
        pixels[:, :3] = srgb_from_linear(mixed)
        self._image.pixels.foreach_set(pixels.ravel())
        self._image.update()


class _Sunlit:
    """A material as Cycles sees it: its own shader under the sun, the ambient light and the glow."""

    def __init__(self, material: Any, glow_color: Array | None) -> None:
        nodes, links = material.node_tree.nodes, material.node_tree.links
        shader = _shader(material)
        output = next(node for node in nodes if node.type == "OUTPUT_MATERIAL")
        opacity = _detached(links, shader.inputs["Alpha"])
        both = nodes.new("ShaderNodeAddShader")
        links.new(shader.outputs["BSDF"], both.inputs[0])
        links.new(_emission(nodes, links, shader.inputs["Base Color"], _AMBIENT), both.inputs[1])
        surface = both.outputs[0]
        self._share: Any = None
        if glow_color is not None:
            lamp = nodes.new("ShaderNodeEmission")
            lamp.inputs["Color"].default_value = (*glow_color.tolist(), 1.0)
            surface = _mixed(nodes, links, 0.0, surface, lamp.outputs[0])
            self._share = surface.node.inputs[0]
        if opacity is not None:
            clear = nodes.new("ShaderNodeBsdfTransparent")
            surface = _mixed(nodes, links, opacity, clear.outputs[0], surface)
        links.new(surface, output.inputs["Surface"])

    def glow(self, amount: float) -> None:
        if self._share is not None:
            self._share.default_value = amount


class _Set(rendering.Studio):
    """The studio with lights that do not depend on chance."""

    def __init__(self, objects: Sequence[bpy.types.Object], light: str, narrowest: int) -> None:
        """``narrowest``: pixels, the width of the scene's smallest pictures."""
        engine = "workbench" if light == "shadeless" else "cycles"
        super().__init__(objects, engine=engine, samples=_SAMPLES[engine])
        self._lit_by, self._finer, self._narrowest = light, _FINER[engine], narrowest
        self._lamp: Any = None

    def photograph(self, camera: Camera, *, frame: int | None = None) -> NDArray[np.uint8]:
        if self._engine == "cycles":
            self._scene.cycles.samples = max(
                round(self._samples * (self._narrowest / camera.width) ** 2), _FIRST_SAMPLES
            )
            self._frame_object(camera)
        finer = max(self._finer * self._narrowest // camera.width, 1)
        return _averaged(super().photograph(scaled(camera, finer * camera.width), frame=frame), finer)

    def _frame_object(self, camera: Camera) -> None:
        """Have only the part of the picture drawn that the object is in."""
        vertices = np.concatenate([meshes.world_vertices(item) for item in self._objects])
        pixels, depths = project(camera, vertices)
        size = np.array([camera.width, camera.height], float)
        low = np.clip((np.floor(pixels.min(0)) - _RIM) / size, 0.0, 1.0)
        high = np.clip((np.ceil(pixels.max(0)) + _RIM) / size, 0.0, 1.0)
        render = self._scene.render
        render.use_border = bool(depths.min() > 0.0 and (low < high).all())
        render.border_min_x, render.border_max_x = low[0], high[0]
        render.border_min_y, render.border_max_y = 1.0 - high[1], 1.0 - low[1]

    def _light(self) -> None:
        super()._light()
        for node in self._world.node_tree.nodes:
            if node.type == "BACKGROUND":
                node.inputs["Strength"].default_value = 0.0
        if self._lit_by == "sun":
            self._lamp = bpy.data.lights.new("Uni4D sun", "SUN")
            self._lamp.energy, self._lamp.angle = math.pi * _SUN, 0.0
            item = bpy.data.objects.new("Uni4D sun", self._lamp)
            item.rotation_mode = "QUATERNION"
            item.rotation_quaternion = mathutils.Vector(_SUN_FROM).to_track_quat("Z", "Y")
            self._scene.collection.objects.link(item)

    def _configure_cycles(self, cycles: Any) -> None:
        super()._configure_cycles(cycles)
        cycles.max_bounces = cycles.diffuse_bounces = cycles.glossy_bounces = 0
        cycles.transmission_bounces = 0
        cycles.use_adaptive_sampling = True
        cycles.adaptive_min_samples, cycles.adaptive_threshold = _FIRST_SAMPLES, _UNCERTAIN

    def _configure_workbench(self, display: Any) -> None:
        super()._configure_workbench(display)
        display.render_aa = str(_SAMPLES["workbench"])

    def __exit__(self, *reason: Any) -> None:
        super().__exit__(*reason)
        if self._lamp is not None:
            bpy.data.lights.remove(self._lamp)  # takes its object along


def _averaged(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Straight RGBA ``[H, W, 4]``, each square of ``factor`` pixels as one; colours count by their alpha."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape[:2])
    rgba = image[: height * factor, : width * factor].astype(np.float64)
    rgba[..., :3] *= rgba[..., 3:]
    rgba = rgba.reshape(height, factor, width, factor, 4).mean(axis=(1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
    return np.asarray(np.rint(rgba), np.uint8)


def _shader(material: Any) -> Any:
    """The Principled shader that the glTF importer makes."""
    found = next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
    if found is None:
        raise Uni4DError(
            "material-unknown",
            f"The material {material.name} has no Principled shader.",
            "Use a mesh whose materials glTF can describe.",
        )
    return found


def _detached(links: Any, alpha: Any) -> Any:
    """What drives ``alpha``, a socket or a number below 1, and ``None`` if it is 1; the input itself is 1
    afterwards."""
    if alpha.is_linked:
        source = alpha.links[0].from_socket
        links.remove(alpha.links[0])
    else:
        source = alpha.default_value if alpha.default_value < 1.0 else None
    alpha.default_value = 1.0
    return source


def _emission(nodes: Any, links: Any, color: Any, strength: float) -> Any:
    node = nodes.new("ShaderNodeEmission")
    node.inputs["Strength"].default_value = strength
    if color.is_linked:
        links.new(color.links[0].from_socket, node.inputs["Color"])
    else:
        node.inputs["Color"].default_value = tuple(color.default_value)
    return node.outputs[0]


def _mixed(nodes: Any, links: Any, share: Any, first: Any, second: Any) -> Any:
    node = nodes.new("ShaderNodeMixShader")
    if isinstance(share, float):
        node.inputs[0].default_value = share
    else:
        links.new(share, node.inputs[0])
    links.new(first, node.inputs[1])
    links.new(second, node.inputs[2])
    return node.outputs[0]
