"""Wavefront OBJ with MTL materials (Y-up, front towards +Z, as Sweet Home 3D and Blender write it).

Follows the format's specification (Wavefront, *Advanced Visualizer*, appendix B1) for polygons: corners
``v``, ``v/t``, ``v//n``, ``v/t/n``, negative (relative) indices, continued lines, ``usemtl``, ``mtllib``,
smoothing groups. Curves, lines and points are skipped. A texture replaces the diffuse colour, as in
Blender: exporters leave meaningless colours beside ``map_Kd``.
"""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from uni4d.library.formats.members import Members
from uni4d.library.formats.shading import corner_normals
from uni4d.library.formats.textures import decode_texture, with_alpha_from
from uni4d.library.formats.triangulation import triangulate
from uni4d.library.geometry import Material, Texture, TexturedMesh
from uni4d_shared.conventions import world_from_gltf

__all__ = ["parse_mtl", "read_obj"]

Array = NDArray[Any]

_UNKNOWN = Material("default", (0.8, 0.8, 0.8, 1.0))


def read_obj(
    data: bytes,
    members: Members,
    name: str = "mesh",
    default_materials: Mapping[str, Material] | None = None,
    *,
    draft: bool = False,
) -> TexturedMesh:
    """The mesh in the bytes of an OBJ file; ``ValueError`` says what is wrong with it.

    A ``draft`` has the same triangles and colours, but no shared vertices and flat normals, and concave
    polygons may be filled wrongly: enough for small pictures, in a third of the time.

    ``members`` finds material libraries and textures; ``default_materials`` are materials that the file
    may name without defining them.
    """
    scan = _scan(data)
    if not scan.faces:
        raise ValueError("the file has no faces")
    materials = dict(default_materials or {})
    for library in scan.libraries:
        materials.update(parse_mtl(_read_library(library, members), members))
    return _assemble(scan, materials, name, draft=draft)


@define
class _Scan:
    """The statements of an OBJ file, sorted by kind."""

    positions: list[bytes] = field(factory=list)
    texture_coordinates: list[bytes] = field(factory=list)
    normals: list[bytes] = field(factory=list)
    faces: dict[bytes, list[list[bytes]]] = field(factory=dict)
    """Corner tokens of every polygon, by material name."""
    smooth: dict[bytes, list[bool]] = field(factory=dict)
    libraries: list[bytes] = field(factory=list)


def _scan(data: bytes) -> _Scan:
    scan = _Scan()
    material, smooth = b"", True
    polygons, flags = scan.faces.setdefault(material, []), scan.smooth.setdefault(material, [])
    if b"\\\n" in data or b"\\\r\n" in data:
        data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    for line in data.split(b"\n"):
        start = line[:2]
        if start == b"v ":
            scan.positions.append(line[2:])
            continue
        if start == b"f ":
            corners = line[2:].split()
            if b"-" in line:
                corners = [_absolute(corner, scan) for corner in corners]
            if len(corners) >= 3:
                polygons.append(corners)
                flags.append(smooth)
            continue
        if start == b"vt":
            scan.texture_coordinates.append(line[3:])
            continue
        if start == b"vn":
            scan.normals.append(line[3:])
            continue
        keyword, _, rest = line.strip().partition(b" ")
        if keyword == b"usemtl":
            material = rest.strip()
            polygons, flags = scan.faces.setdefault(material, []), scan.smooth.setdefault(material, [])
        elif keyword == b"s":
            smooth = rest.strip() not in (b"off", b"0")
        elif keyword == b"mtllib":
            scan.libraries.append(rest.strip())
    scan.faces = {key: value for key, value in scan.faces.items() if value}
    return scan


def _absolute(corner: bytes, scan: _Scan) -> bytes:
    """A corner with its relative (negative) indices counted from the start of the file."""
    counts = (len(scan.positions), len(scan.texture_coordinates), len(scan.normals))
    parts = corner.split(b"/")
    return b"/".join(
        str(count + 1 + int(part)).encode() if part.startswith(b"-") else part
        for part, count in zip(parts, counts, strict=False)
    )


def _numbers(lines: list[bytes], width: int) -> Array:
    """The first ``width`` numbers of every line, ``[N, width]``; missing ones are 0."""
    if not lines:
        return np.zeros((0, width))
    per_line = len(lines[0].split())
    values = _parse(b" ".join(lines), np.float64)
    if len(values) == per_line * len(lines) and per_line >= width and len(lines[-1].split()) == per_line:
        return values.reshape(-1, per_line)[:, :width]
    rows = np.zeros((len(lines), width))
    for row, line in zip(rows, lines, strict=True):
        found = [float(value) for value in line.split()[:width]]
        row[: len(found)] = found
    return rows


def _parse(text: bytes, dtype: type[np.generic]) -> Array:
    """Numbers separated by white space; ``ValueError`` when there is anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's way to say "not a number"
        try:
            return np.fromstring(text, dtype=dtype, sep=" ")
        except DeprecationWarning as error:
            raise ValueError("a number cannot be read") from error


def _indices(tokens: list[bytes], counts: tuple[int, int, int]) -> Array:
    """Corner tokens as zero-based indices ``[N, 3]`` (position, texture, normal); −1 where absent."""
    rows = np.full((len(tokens), 3), -1, dtype=np.int64)
    slashes = tokens[0].count(b"/")
    joined = b" ".join(tokens)
    if slashes <= 2 and b"//" not in joined and all(token.count(b"/") == slashes for token in tokens):
        values = _parse(joined.replace(b"/", b" "), np.int64)
        rows[:, : slashes + 1] = values.reshape(len(tokens), slashes + 1) - 1
    else:
        for row, token in zip(rows, tokens, strict=True):
            for slot, part in enumerate(token.split(b"/")[:3]):
                if part:
                    row[slot] = int(part) - 1
    for slot, count in enumerate(counts):
        if rows[:, slot].max(initial=-1) >= count or rows[:, slot].min(initial=0) < -1:
            raise ValueError("a face names a vertex that does not exist")
    if (rows[:, 0] < 0).any():
        raise ValueError("a face names a vertex that does not exist")
    return rows


def _assemble(scan: _Scan, materials: Mapping[str, Material], name: str, *, draft: bool) -> TexturedMesh:
    positions = _numbers(scan.positions, 3)
    coordinates = _numbers(scan.texture_coordinates, 2)
    normals = _numbers(scan.normals, 3)
    if not np.isfinite(positions).all():
        raise ValueError("a vertex is not a finite number")
    tables = (len(positions), len(coordinates), len(normals))
    corners, owners, flat = [], [], []
    used: list[Material] = []
    for key, polygons in scan.faces.items():
        numbers: dict[bytes, int] = {}
        ids = [[numbers.setdefault(token, len(numbers)) for token in polygon] for polygon in polygons]
        table = _indices(list(numbers), tables)
        triangles, origin = triangulate(ids, positions[table[:, 0]], exact=not draft)
        corners.append(table[triangles])  # [F, 3, 3]
        owners.append(np.full(len(triangles), len(used)))
        flat.append(~np.array(scan.smooth[key])[origin])
        used.append(materials.get(key.decode("utf-8", "replace"), _UNKNOWN))
    corner, owner, flat_face = np.concatenate(corners), np.concatenate(owners), np.concatenate(flat)
    solid = ~_degenerate(positions[corner[:, :, 0]])
    if not solid.any():
        raise ValueError("the file has no faces with an area")
    corner, owner, flat_face = corner[solid], owner[solid], flat_face[solid]
    if draft:
        return _draft(positions, coordinates, corner, owner, used, name)
    shading = corner_normals(positions, corner[:, :, 0], flat_face)
    given = corner[:, :, 2] >= 0
    if given.any():
        chosen = normals[corner[:, :, 2][given]]
        length = np.linalg.norm(chosen, axis=1, keepdims=True)
        shading[given] = np.where(length > 1e-9, chosen / np.maximum(length, 1e-12), shading[given])
    return _split_vertices(positions, coordinates, corner, owner, shading, used, name)


def _degenerate(triangles: Array) -> Array:
    """Which of the triangles ``[F, 3, 3]`` have two corners in one place."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    return (a == b).all(axis=1) | (b == c).all(axis=1) | (c == a).all(axis=1)


def _draft(
    positions: Array, coordinates: Array, corner: Array, owner: Array, materials: list[Material], name: str
) -> TexturedMesh:
    """Every corner a vertex of its own."""
    place, texture = corner[:, :, 0].reshape(-1), corner[:, :, 1].reshape(-1)
    uv = np.zeros((len(place), 2))
    mapped = texture >= 0
    uv[mapped] = coordinates[texture[mapped]] * (1, -1) + (0, 1)
    vertices = world_from_gltf(positions[place])
    a, b, c = np.moveaxis(vertices.reshape(-1, 3, 3), 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return TexturedMesh(
        vertices=vertices.astype(np.float32),
        normals=np.repeat(normals, 3, axis=0).astype(np.float32),
        uv=uv.astype(np.float32),
        faces=np.arange(len(place), dtype=np.int32).reshape(-1, 3),
        face_material=owner.astype(np.int32),
        materials=tuple(materials),
        name=name,
    )


def _split_vertices(
    positions: Array,
    coordinates: Array,
    corner: Array,
    owner: Array,
    shading: Array,
    materials: list[Material],
    name: str,
) -> TexturedMesh:
    """One vertex per distinct (material, position, texture coordinate, normal), in order of first use."""
    textured = np.array([material.texture is not None for material in materials])[owner]
    texture_index = np.where(textured[:, None], corner[:, :, 1], -1)
    quantised = np.round(shading * 1000).astype(np.int64) + 1000  # 0..2000 in each axis
    normal_key = (quantised[..., 0] * 2001 + quantised[..., 1]) * 2001 + quantised[..., 2]
    keys = np.stack(
        [np.broadcast_to(owner[:, None], texture_index.shape), corner[:, :, 0], texture_index, normal_key], -1
    ).reshape(-1, 4)
    order = np.lexsort(keys.T[::-1])
    ranked = keys[order]
    starts = np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]
    first, vertex = order[starts], np.empty(len(keys), dtype=np.int64)
    vertex[order] = np.cumsum(starts) - 1
    uv = np.zeros((len(first), 2))
    mapped = keys[first, 2] >= 0
    uv[mapped] = coordinates[keys[first, 2][mapped]] * (1, -1) + (0, 1)  # OBJ's origin is bottom left
    return TexturedMesh(
        vertices=world_from_gltf(positions[keys[first, 1]]).astype(np.float32),
        normals=world_from_gltf(shading.reshape(-1, 3)[first]).astype(np.float32),
        uv=uv.astype(np.float32),
        faces=vertex.reshape(-1, 3).astype(np.int32),
        face_material=owner.astype(np.int32),
        materials=tuple(materials),
        name=name,
    )


def _read_library(name: bytes, members: Members) -> bytes:
    """A material library; ``b""`` when the file is not there, which OBJ readers accept."""
    try:
        return members.read(name.decode("utf-8", "replace"))
    except FileNotFoundError:
        return b""


def parse_mtl(data: bytes, members: Members) -> dict[str, Material]:
    """The materials of an MTL file by name; a texture that is missing or no image leaves the colour."""
    blocks: list[tuple[str, dict[str, str]]] = []
    for raw in data.decode("utf-8", "replace").splitlines():
        keyword, _, rest = raw.strip().partition(" ")
        if keyword == "newmtl":
            blocks.append((rest.strip(), {}))
        elif blocks and rest:
            blocks[-1][1][keyword] = rest.strip()
    textures: dict[str, Texture | None] = {}

    def texture(statement: str | None) -> Texture | None:
        if statement is None:
            return None
        if statement not in textures:
            textures[statement] = _find_texture(statement, members)
        return textures[statement]

    materials = {}
    combined: dict[tuple[str, str], Texture] = {}
    for name, values in blocks:
        image, mask = texture(values.get("map_Kd")), texture(values.get("map_d"))
        if image is not None and mask is not None:
            pair = (values["map_Kd"], values["map_d"])
            if pair not in combined:
                combined[pair] = with_alpha_from(image, mask)
            image = combined[pair]
        color = (1.0, 1.0, 1.0) if image is not None else _lit_color(values)
        shine = float(values.get("Ns", "10").split()[0])
        materials[name] = Material(
            name,
            (*color, _opacity(values)),
            image,
            # Phong exponent to GGX: α = √(2 / (Ns + 2)) (Walter et al. 2007), roughness = √α
            roughness=float(np.clip((2.0 / (max(shine, 0.0) + 2.0)) ** 0.25, 0.05, 1.0)),
        )
    return materials


def _color(text: str) -> tuple[float, float, float]:
    values = [float(value) for value in text.split()[:3]]
    values += values[-1:] * (3 - len(values))
    red, green, blue = (min(max(value, 0.0), 1.0) for value in values)
    return red, green, blue


def _lit_color(values: Mapping[str, str]) -> tuple[float, float, float]:
    """The diffuse colour, brightened by a strong highlight.

    Old renderers draw metal as dark paint with a broad white highlight (Kd 0.1, Ks 1.0). Without the
    highlight, as a base colour, it would be black. Highlights up to a half are gloss and change nothing.
    """
    diffuse, highlight = _color(values.get("Kd", "0.8 0.8 0.8")), _color(values.get("Ks", "0 0 0"))
    red, green, blue = (
        min(kd + 0.6 * max(ks - 0.5, 0.0), max(kd, 0.8)) for kd, ks in zip(diffuse, highlight, strict=True)
    )
    return red, green, blue


def _opacity(values: Mapping[str, str]) -> float:
    if "d" in values:
        opacity = float(values["d"].split()[-1])
    else:
        opacity = 1.0 - float(values.get("Tr", "0").split()[0])
    return min(max(opacity, 0.0), 1.0)


def _find_texture(statement: str, members: Members) -> Texture | None:
    """The image of a ``map_…`` statement: by its path, else by its file name beside the mesh.

    Paths of the author's own machine ("C:/Documents and Settings/…") are common, hence the second try.
    Options (``-s 1 1 1``) come before the name.
    """
    whole = statement.replace("\\", "/")
    last = whole.split()[-1]
    for name in dict.fromkeys((whole, posixpath.basename(whole), last, posixpath.basename(last))):
        try:
            return decode_texture(members.read(name))
        except (FileNotFoundError, ValueError, OSError):
            continue
    return None
