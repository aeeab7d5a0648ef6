"""Meshes in and out: textures in place, the right size, every vertex in its order, errors with a name."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.sample_meshes import CUBE, CUBE_MTL, checks_png, write_cube
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uni4d.library.formats.gltf_reader import read_glb
from uni4d.library.formats.gltf_writer import glb_bytes
from uni4d.library.formats.members import ArchiveMembers, FolderMembers
from uni4d.library.formats.obj import read_obj
from uni4d.library.formats.reading import load_mesh
from uni4d.library.formats.triangulation import triangulate
from uni4d.library.geometry import Material, TexturedMesh, normalised, sample_surface
from uni4d_shared.errors import Uni4DError

NOWHERE = FolderMembers(Path("/nonexistent"))


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    return write_cube(tmp_path / "cube")


def _read_again(mesh: TexturedMesh) -> TexturedMesh:
    return read_glb(glb_bytes(mesh), NOWHERE)


def test_an_obj_stands_upright_in_the_world(cube: Path) -> None:
    mesh = load_mesh(cube)
    assert mesh.bounds.tolist() == [[-1, -1, 0], [1, 1, 2]]  # Y-up in the file, Z-up in the world
    assert len(mesh.faces) == 12
    outward = np.einsum("fc,fc->f", mesh.face_vectors, mesh.vertices[mesh.faces].mean(axis=1) - (0, 0, 1))
    assert (outward > 0).all()


def test_the_texture_is_on_the_front_the_right_way_up(cube: Path) -> None:
    samples = sample_surface(load_mesh(cube), 4000)
    front = samples.points[:, 1] < -0.999
    quarters = {(-0.5, 1.5): (0, 1, 0), (0.5, 1.5): (0, 0, 1), (-0.5, 0.5): (1, 1, 1), (0.5, 0.5): (0, 0, 0)}
    for (x, z), color in quarters.items():
        near = front & (np.abs(samples.points[:, [0, 2]] - (x, z)) < 0.3).all(axis=1)
        assert near.sum() > 20
        assert np.allclose(samples.colors[near], color, atol=0.01)
    assert np.allclose(samples.colors[~front], (0.8, 0.1, 0.1), atol=0.01)


def test_samples_are_spread_in_proportion_to_area(cube: Path) -> None:
    mesh = normalised(load_mesh(cube), (1.0, 2.0, 4.0))
    samples = sample_surface(mesh, 2800, seed=3)
    counts = np.bincount(samples.face_index, minlength=len(mesh.faces))
    assert np.abs(counts - 2800 * mesh.face_areas / mesh.face_areas.sum()).max() <= 1.0
    corners = mesh.vertices[mesh.faces[samples.face_index]]
    assert np.allclose(np.einsum("nc,nck->nk", samples.barycentric, corners), samples.points, atol=1e-5)
    again = sample_surface(mesh, 2800, seed=3)
    assert (again.points == samples.points).all()


def test_normalised_has_the_size_that_was_asked_for(cube: Path) -> None:
    mesh = normalised(load_mesh(cube), (0.6, 0.8, 1.1))
    assert np.allclose(mesh.bounds, [[-0.3, -0.4, 0], [0.3, 0.4, 1.1]])
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)


def test_glb_keeps_vertices_in_order_with_textures_inside(cube: Path) -> None:
    mesh = normalised(load_mesh(cube), (0.6, 0.8, 1.1))
    again = _read_again(mesh)
    for name in ("vertices", "faces", "face_material"):
        assert (getattr(again, name) == getattr(mesh, name)).all(), name
    assert np.allclose(again.normals, mesh.normals, atol=1e-6)
    assert sorted(set(again.faces.reshape(-1).tolist())) == list(range(len(again.vertices)))
    texture = again.materials[0].texture
    assert texture is not None
    assert texture.encoded == checks_png()
    ours, theirs = sample_surface(mesh, 500), sample_surface(again, 500)
    assert np.allclose(ours.colors, theirs.colors, atol=1e-4)


def test_glb_opens_in_another_reader(cube: Path, tmp_path: Path) -> None:
    import trimesh

    path = tmp_path / "cube.glb"
    path.write_bytes(glb_bytes(normalised(load_mesh(cube)), copyright_notice="cube by nobody, CC0-1.0"))
    scene = trimesh.load(path)
    assert np.allclose(scene.bounds, [[-1, 0, -1], [1, 2, 1]])  # glTF axes
    assert sum(len(part.faces) for part in scene.geometry.values()) == 12


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_mesh_survives_the_glb(data: st.DataObject) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vertices, faces, owners = [], [], []
    place = 0
    for index in range(data.draw(st.integers(1, 4))):
        count = data.draw(st.integers(3, 30))
        order = generator.permutation(count)
        extra = generator.integers(0, count, (data.draw(st.integers(0, 20)), 3))
        covering = np.concatenate([order, order[:2]])
        strip = np.stack([covering[:-2], covering[1:-1], covering[2:]], axis=1)
        mine = np.concatenate([strip, extra]) + place
        vertices.append(generator.normal(size=(count, 3)))
        faces.append(mine)
        owners += [index] * len(mine)
        place += count
    points = np.concatenate(vertices).astype(np.float32)
    tinted = data.draw(st.booleans())
    mesh = TexturedMesh(
        vertices=points,
        normals=(points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32),
        uv=np.zeros((len(points), 2), np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        face_material=np.array(owners, np.int32),
        materials=tuple(
            Material(f"m{index}", (*generator.random(3).tolist(), 1.0)) for index in range(max(owners) + 1)
        ),
        vertex_colors=generator.random((len(points), 4)).astype(np.float32) if tinted else None,
    )
    again = _read_again(mesh)
    assert (again.vertices == mesh.vertices).all()
    assert (again.faces == mesh.faces).all()
    assert np.allclose([m.color for m in again.materials], [m.color for m in mesh.materials], atol=1e-6)
    if tinted:
        assert mesh.vertex_colors is not None
        assert again.vertex_colors is not None
        assert np.allclose(again.vertex_colors, mesh.vertex_colors, atol=1e-5)


def test_relative_indices_and_continued_lines_read_like_plain_ones() -> None:
    plain = read_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 2 3 4\n", NOWHERE)
    relative = read_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 \\\n -1\nv 0 0 1\nf -3 -2 -1\n", NOWHERE)
    assert (plain.vertices[plain.faces] == relative.vertices[relative.faces]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 14), st.integers(0, 10_000), st.sampled_from([0, 1, 2]), st.booleans())
def test_polygons_of_any_shape_keep_their_area(count: int, seed: int, axis: int, reverse: bool) -> None:
    """A star-shaped polygon has the same area as its triangles, all turning the same way."""
    generator = np.random.default_rng(seed)
    angle = np.sort(generator.random(count)) * 2 * np.pi
    if np.diff(np.append(angle, angle[0] + 2 * np.pi)).max() > np.pi - 0.1:  # the centre must be inside
        return
    radius = generator.uniform(0.2, 1.0, count)
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x, y = flat[:, 0], flat[:, 1]
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    points = np.insert(flat, axis, 0.3, axis=1)
    polygon = list(range(count))[:: -1 if reverse else 1]
    triangles, origin = triangulate([polygon], points)
    assert len(triangles) == count - 2
    assert (origin == 0).all()
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    vectors = np.cross(b - a, c - a) / 2
    assert np.isclose(np.linalg.norm(vectors.sum(axis=0)), area, rtol=1e-6)
    assert np.isclose(np.linalg.norm(vectors, axis=1).sum(), area, rtol=1e-4)


def test_edges_stay_sharp_and_round_things_smooth() -> None:
    sharp = read_obj(CUBE.encode(), NOWHERE)
    assert np.allclose(np.abs(sharp.normals).max(axis=1), 1, atol=1e-5)
    angle = np.linspace(0, 2 * np.pi, 33)[:-1]
    rings = [f"v {np.cos(a)} {y} {np.sin(a)}" for y in (0, 1) for a in angle]
    sides = [f"f {i + 1} {i + 33} {(i + 1) % 32 + 33} {(i + 1) % 32 + 1}" for i in range(32)]
    tube = read_obj("\n".join(rings + sides).encode(), NOWHERE)
    radial = tube.vertices * (1, 1, 0)
    assert np.abs(np.einsum("nc,nc->n", tube.normals, radial)).min() > 0.995
    assert len(tube.vertices) == 64


def test_a_draft_looks_the_same(cube: Path) -> None:
    members = FolderMembers(cube.parent)
    full = read_obj(cube.read_bytes(), members)
    draft = read_obj(cube.read_bytes(), members, draft=True)
    assert np.isclose(full.face_areas.sum(), draft.face_areas.sum())
    ours, theirs = sample_surface(full, 800), sample_surface(draft, 800)
    assert np.allclose(ours.points, theirs.points, atol=1e-5)
    assert np.allclose(ours.colors, theirs.colors, atol=1e-5)


def test_a_zip_with_one_mesh_is_a_mesh(cube: Path, tmp_path: Path) -> None:
    path = tmp_path / "cube.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(cube.parent.iterdir()):
            archive.write(file, f"inside/{file.name}")
    mesh = load_mesh(path)
    assert mesh.materials[0].texture is not None
    assert len(mesh.faces) == 12


def test_welded_joins_what_seams_split(cube: Path) -> None:
    mesh = load_mesh(cube)
    assert len(mesh.vertices) > 8
    assert len(set(mesh.welded.tolist())) == 8


def test_members_are_never_read_from_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(checks_png())
    path = write_cube(tmp_path / "cube")
    (path.parent / "cube.mtl").write_text(CUBE_MTL.replace("checks.png", "../secret.png"))
    (path.parent / "checks.png").unlink()
    assert load_mesh(path).materials[0].texture is None
    with pytest.raises(ValueError, match="outside"):
        FolderMembers(path.parent).read("../secret.png")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a.obj", b"\0" * 30_000_000)
    with zipfile.ZipFile(path) as archive, pytest.raises(ValueError, match="refused"):
        ArchiveMembers(archive, "").read("a.obj")


def _glb(document: dict[str, Any], binary: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body


def _triangle_document(**node: Any) -> tuple[dict[str, Any], bytes]:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **node}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": 36}],
        "buffers": [{"byteLength": 36}],
    }, points.tobytes()


def test_normals_and_coordinates_that_are_no_numbers_count_as_nothing() -> None:
    document, binary = _triangle_document()
    document["meshes"][0]["primitives"][0]["attributes"].update(NORMAL=1, TEXCOORD_0=2, COLOR_0=1)
    document["accessors"] += [
        {"bufferView": 1, "componentType": 5126, "count": 3, "type": kind} for kind in ("VEC3", "VEC2")
    ]
    document["bufferViews"].append({"buffer": 0, "byteOffset": 36, "byteLength": 36})
    document["buffers"] = [{"byteLength": 72}]
    odd = np.array([[0x7F81_0000, 0x7F80_0000, 0xFFC0_0000]] * 3, np.uint32).tobytes()
    mesh = read_glb(_glb(document, binary + odd), NOWHERE)
    samples = sample_surface(mesh, 20, 0)
    assert np.isfinite(samples.normals).all() and np.isfinite(samples.colors).all()


def test_node_transforms_apply_and_mirrors_keep_the_outside_out() -> None:
    document, binary = _triangle_document(translation=[0, 5, 0], scale=[-2, 1, 1])
    mesh = read_glb(_glb(document, binary), NOWHERE)
    assert np.allclose(mesh.bounds, [[-2, 0, 5], [0, 0, 6]])
    plain = read_glb(_glb(*_triangle_document()), NOWHERE)
    assert np.sign(mesh.face_vectors[0, 1]) == np.sign(plain.face_vectors[0, 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "KHR_draco_mesh_compression"),
        ({"meshes": []}, "not valid glTF"),
        ({"nodes": [{"children": [0]}]}, "loop"),
        ({"nodes": [{}]}, "no triangles"),
        (
            {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 9, "type": "VEC3"}]},
            "past the end",
        ),
        ({"buffers": [{"byteLength": 36, "uri": "../../etc/passwd"}]}, "outside"),
    ],
)
def test_a_broken_glb_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    document, binary = _triangle_document()
    path = tmp_path / "broken.glb"
    path.write_bytes(_glb({**document, **change}, binary))
    with pytest.raises(Uni4DError, match=words) as caught:
        load_mesh(path)
    assert caught.value.code == "mesh-unreadable"
    assert "broken.glb" in caught.value.message


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
@example(b"\x81\x7f", 378)  # a signalling NaN among the places
def test_damaged_bytes_never_crash_the_readers(noise: bytes, place: int) -> None:
    document, binary = _triangle_document()
    whole = bytearray(_glb(document, binary))
    whole[place : place + len(noise)] = noise
    readers: list[Callable[[], TexturedMesh]] = [
        lambda: read_glb(bytes(whole), NOWHERE),
        lambda: read_obj(CUBE.encode() + noise, NOWHERE),
    ]
    for read in readers:
        try:
            mesh = read()
        except (ValueError, OSError):
            continue
        assert len(mesh.faces) > 0


@pytest.mark.parametrize("name", ["none.glb", "text.obj", "empty.stl", "picture.xyz", "half.zip"])
def test_unreadable_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "none.glb":
        path.write_bytes(b"these are words\n")
    with pytest.raises(Uni4DError) as caught:
        load_mesh(path)
    assert caught.value.code == "mesh-unreadable"
    assert name in caught.value.message
    assert caught.value.cure


@pytest.mark.parametrize("suffix", ["stl", "ply", "off"])
def test_bare_formats_are_read(tmp_path: Path, suffix: str) -> None:
    import trimesh

    path = tmp_path / f"box.{suffix}"
    trimesh.creation.box((1, 2, 3)).export(path)
    mesh = load_mesh(path)
    assert np.allclose(mesh.extents, (1, 2, 3))
    assert len(mesh.faces) == 12
