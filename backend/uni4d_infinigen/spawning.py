"""One Infinigen asset as one plain mesh object: spawned, realised, thinned out or refined.

Factories return an object, a hierarchy below an empty, or instances made by geometry nodes; all of it is
realised into a single mesh in world coordinates, so that one colour bake covers the whole object.
Infinigen's assets face +X; ours face −Y (:mod:`uni4d_shared.conventions`), hence the quarter turn.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import bpy
from mathutils import Matrix

__all__ = ["prepare", "spawn"]

_WITH_SURFACE = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
_FEWEST_FACES = 24
"""A repeated part, a leaf or a spike, keeps at least so many."""
_FACE_SIZE = 0.012
"""Metres: how finely factories mesh that would otherwise mesh for a close-up of 3 mm."""
_FACE_SIZES = {"corals": 0.03, "creatures": 0.02, "mushroom": 0.006, "trees": 0.03}
"""By package, where objects are all larger or smaller."""
_TURN = Matrix.Rotation(-math.pi / 2, 4, "Z")
_REFINED_EDGES = 28
"""Edges longer than the object's diagonal divided by this are halved: vertex colours then show patterns."""


class NotAnObject(Exception):
    """The factory ran, but what came is nothing one could call an object."""


def without_online_extensions() -> None:
    """Some of Infinigen's modules download a Blender extension when they are imported; not here."""
    from infinigen.core import init

    init.require_blender_addon = lambda *_, **__: False


def _without_hair() -> None:
    """Fur and feathers are particles, which no mesh carries; combing them takes most of a creature's time."""
    from infinigen.assets.objects.creatures.util import hair

    hair.configure_hair = lambda *_, **__: None


def spawn(factory: str, seed: int, variant: str = "") -> tuple[Any, str]:
    """The root object that ``factory``, ``module.Class`` below infinigen.assets.objects, makes for ``seed``.

    With it the value of the factory's attribute ``variant``, which says what kind of thing it chose to make.
    """
    without_online_extensions()
    import gin
    from infinigen.core.placement import detail  # noqa: F401 - it registers what is bound below
    from infinigen.core.util import blender as butil
    from infinigen.core.util.math import FixedSeed

    module, _, name = factory.rpartition(".")
    with gin.unlock_config():
        maker = getattr(importlib.import_module(f"infinigen.assets.objects.{module}"), name)
        gin.bind_parameter(
            "target_face_size.global_clip_min", _FACE_SIZES.get(module.split(".")[0], _FACE_SIZE)
        )
    if module.startswith("creatures."):
        _without_hair()
    butil.clear_scene()
    with FixedSeed(seed):
        made = maker(seed)
        asset = made.spawn_asset(seed)
        made.finalize_assets([asset])
    return asset, str(getattr(made, variant)) if variant else ""


def prepare(asset: Any, most_faces: int) -> Any:
    """``asset`` as one mesh object of at most about ``most_faces`` triangles."""
    whole = _joined(_realised(asset, most_faces))
    whole.data = _thin_out(whole.data, most_faces)
    _refine(whole.data, most_faces)
    if not whole.data.polygons:
        raise NotAnObject("it has no faces")
    return whole


def _realised(asset: Any, most_faces: int) -> list[tuple[Any, Any]]:
    """Every mesh that belongs to ``asset``, instances included, with its matrix and applied modifiers."""
    bpy.context.view_layer.update()
    family = {asset, *asset.children_recursive}
    graph = bpy.context.evaluated_depsgraph_get()
    meshes: dict[int, Any] = {}
    parts: list[tuple[Any, Any]] = []
    for instance in graph.object_instances:
        owner = instance.parent.original if instance.is_instance else instance.object.original
        if owner not in family or instance.object.type not in _WITH_SURFACE:
            continue
        if not instance.is_instance and not instance.show_self:
            continue
        source = instance.object
        key = source.data.as_pointer() if source.data is not None else source.as_pointer()
        if key not in meshes:
            meshes[key] = bpy.data.meshes.new_from_object(
                source, preserve_all_data_layers=True, depsgraph=graph
            )
        if meshes[key].polygons:
            parts.append((meshes[key], _TURN @ instance.matrix_world.copy()))
    if not parts:
        raise NotAnObject("it has no mesh")
    return _thinned(parts, most_faces)


def _thinned(parts: list[tuple[Any, Any]], most_faces: int) -> list[tuple[Any, Any]]:
    """Fewer faces in each mesh that occurs many times, and where that is not enough fewer occurrences.

    Each mesh is thinned once, however often it occurs: that is what makes trees and spiny things cheap.
    """
    total = sum(_triangles(mesh) for mesh, _ in parts)
    allowed = 2 * most_faces
    if len(parts) == 1 or total <= allowed:
        return parts
    fewer = {}
    for mesh in {mesh.name: mesh for mesh, _ in parts}.values():
        wanted = max(_FEWEST_FACES, _triangles(mesh) * allowed / total)
        ratio = wanted / _triangles(mesh)
        fewer[mesh.name] = _modified(mesh, "DECIMATE", ratio=ratio) if ratio < 0.8 else mesh
    parts = [(fewer[mesh.name], matrix) for mesh, matrix in parts]
    total = sum(_triangles(mesh) for mesh, _ in parts)
    if total <= 2 * allowed:
        return parts
    # Every n-th of each kind, so that a trunk among ten thousand leaves stays.
    step = math.ceil(total / (2 * allowed))
    seen: dict[str, int] = {}
    kept = []
    for mesh, matrix in parts:
        place = seen.get(mesh.name, 0)
        seen[mesh.name] = place + 1
        if place % step == 0:
            kept.append((mesh, matrix))
    return kept


def _triangles(mesh: Any) -> int:
    return len(mesh.loops) - 2 * len(mesh.polygons)


def _joined(parts: list[tuple[Any, Any]]) -> Any:
    """One object with the geometry, attributes and materials of all ``parts``; the scene holds only it."""
    for other in list(bpy.context.scene.objects):
        bpy.data.objects.remove(other, do_unlink=True)
    for mesh, matrix in parts:
        part = bpy.data.objects.new("part", mesh)
        part.matrix_world = matrix
        bpy.context.scene.collection.objects.link(part)
        part.select_set(True)
    bpy.context.view_layer.update()
    first = bpy.context.scene.collection.objects[0]
    first.data = first.data.copy()
    bpy.context.view_layer.objects.active = first
    if len(parts) > 1:
        bpy.ops.object.join()
    first.data.transform(first.matrix_world)
    first.matrix_world = Matrix.Identity(4)
    first.data.validate()
    return first


def _refine(mesh: Any, most_faces: int) -> None:
    """Halve long edges, as far as the budget goes."""
    import bmesh

    shape = bmesh.new()
    shape.from_mesh(mesh)
    if any(len(face.verts) > 3 for face in shape.faces):
        bmesh.ops.triangulate(shape, faces=shape.faces)
    corners = [vertex.co for vertex in shape.verts]
    size = math.dist(*([bound(co[axis] for co in corners) for axis in range(3)] for bound in (min, max)))
    limit = size / _REFINED_EDGES
    for _ in range(6):
        long = [edge for edge in shape.edges if edge.calc_length() > limit]
        if not long or len(shape.faces) + 2 * len(long) > most_faces:
            break
        bmesh.ops.subdivide_edges(shape, edges=long, cuts=1)
        bmesh.ops.triangulate(shape, faces=[face for face in shape.faces if len(face.verts) > 3])
    shape.to_mesh(mesh)
    shape.free()


def _thin_out(mesh: Any, most_faces: int) -> Any:
    """``mesh`` with at most about ``most_faces`` triangles.

    Collapsing edges one by one, best first, takes 50 µs a face; so islands beyond what the budget can show
    go first, then edges shorter than the final ones are welded, both in no time.
    """
    if _triangles(mesh) <= most_faces:
        return mesh
    mesh = _without_surplus_islands(mesh, most_faces // 6)
    if _triangles(mesh) > 3 * most_faces:
        mesh = _modified(mesh, "WELD", mode="CONNECTED", merge_threshold=_final_edge(mesh, 4 * most_faces))
    if _triangles(mesh) > most_faces:
        mesh = _modified(mesh, "DECIMATE", ratio=most_faces / _triangles(mesh))
    return mesh


def _without_surplus_islands(mesh: Any, most: int) -> Any:
    """``mesh`` without every other (third, …) of its smallest islands where it has more than ``most``."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", edges)
    ends = edges.reshape(-1, 2).T
    count = len(mesh.vertices)
    graph = coo_array((np.ones(len(mesh.edges), bool), (ends[0], ends[1])), shape=(count, count))
    islands, island = connected_components(graph, directed=False)
    if islands <= most:
        return mesh
    by_size = np.argsort(np.bincount(island), kind="stable")[::-1]
    large, small = by_size[: most // 4], by_size[most // 4 :]
    small.sort()
    kept = np.zeros(islands, bool)
    kept[large] = True
    kept[small[:: math.ceil(len(small) / (most - len(large)))]] = True
    return _modified(mesh, "MASK", vertices=np.flatnonzero(kept[island]).tolist())


def _final_edge(mesh: Any, faces: int) -> float:
    """The edge length of ``faces`` equal triangles with the area of ``mesh``."""
    import numpy as np

    areas = np.empty(len(mesh.polygons), np.float32)
    mesh.polygons.foreach_get("area", areas)
    return math.sqrt(float(areas.sum(dtype=np.float64)) / faces * 4 / math.sqrt(3))


def _modified(mesh: Any, kind: str, *, vertices: list[int] | None = None, **settings: Any) -> Any:
    """A copy of ``mesh`` after one modifier; ``vertices`` become its vertex group."""
    carrier = bpy.data.objects.new("modified", mesh)
    bpy.context.scene.collection.objects.link(carrier)
    modifier = carrier.modifiers.new(kind, kind)
    for name, value in settings.items():
        setattr(modifier, name, value)
    if vertices is not None:
        modifier.vertex_group = carrier.vertex_groups.new(name="kept").name
        carrier.vertex_groups["kept"].add(vertices, 1.0, "REPLACE")
    graph = bpy.context.evaluated_depsgraph_get()
    changed = bpy.data.meshes.new_from_object(
        carrier.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph
    )
    bpy.data.objects.remove(carrier)
    return changed
