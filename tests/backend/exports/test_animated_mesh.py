"""The animated meshes play what the shared formula says, and look as their source does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from harness import toy_asset
from harness.plain_gltf import PlainGltf

from uni4d.exports.animated_mesh import morphing_glb, skinned_glb
from uni4d.exports.source_mesh import SourceMesh, read_source_mesh
from uni4d.library.formats.gltf_writer import glb_bytes
from uni4d.library.formats.reading import load_mesh
from uni4d.library.geometry import Material, TexturedMesh
from uni4d_shared.conventions import gltf_from_world
from uni4d_shared.errors import Uni4DError
from uni4d_shared.skinning import vertices_at
from uni4d_shared.types import ColorMotion, Gaussians4D

RESULT = toy_asset.result()


@pytest.fixture
def source(tmp_path: Path) -> SourceMesh:
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    return read_source_mesh(tmp_path / "toy.glb", RESULT)


@pytest.mark.parametrize("frame", [0, 3, toy_asset.FRAMES - 1])
def test_a_player_finds_every_vertex_where_the_formula_puts_it(source: SourceMesh, frame: int) -> None:
    exact = gltf_from_world(vertices_at(RESULT, frame))
    time = frame / RESULT.fps
    assert np.allclose(PlainGltf(skinned_glb(source, RESULT)).skinned(time), exact, atol=1e-5)
    assert np.allclose(PlainGltf(morphing_glb(source, RESULT)).morphed(time), exact, atol=1e-5)
    assert frame == 0 or np.abs(exact - gltf_from_world(RESULT.mesh.vertices)).max() > 0.05, "it moves"


def test_a_skin_is_what_every_reader_takes(source: SourceMesh) -> None:
    skin = PlainGltf(skinned_glb(source, RESULT))
    weights, joints = skin.attribute("WEIGHTS_0"), skin.attribute("JOINTS_0")
    assert weights.shape == joints.shape == (len(RESULT.mesh.vertices), 4)
    assert np.allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    assert np.all(np.diff(weights, axis=1) <= 0), "the heaviest first, for readers that take fewer"
    assert np.all(joints[weights == 0] == 0)
    first = skin.json["animations"][0]["channels"][1]
    rotations = skin.accessor(skin.json["animations"][0]["samplers"][first["sampler"]]["output"])
    assert np.all((rotations[1:] * rotations[:-1]).sum(axis=1) > 0), "the short way from key to key"


def test_a_node_named_twice_for_a_vertex_counts_once_with_both_weights(source: SourceMesh) -> None:
    motion = RESULT.motion
    doubled = attrs.evolve(
        RESULT,
        motion=attrs.evolve(
            motion,
            vertex_nodes=np.concatenate([motion.vertex_nodes, motion.vertex_nodes[:, :1]], axis=1),
            vertex_weights=np.concatenate(
                [
                    motion.vertex_weights * [[0.5, 1, 1]],
                    0.5 * motion.vertex_weights[:, :1],
                ],
                axis=1,
            ),
        ),
    )
    skin = PlainGltf(skinned_glb(source, doubled))
    joints, weights = skin.attribute("JOINTS_0"), skin.attribute("WEIGHTS_0")
    for row, shares in zip(joints, weights, strict=True):
        used = row[shares > 0].tolist()
        assert len(set(used)) == len(used)
    assert np.allclose(skin.skinned(3 / 12), gltf_from_world(vertices_at(RESULT, 3)), atol=1e-5)


def test_materials_textures_and_credit_are_those_of_the_source(source: SourceMesh) -> None:
    original = PlainGltf(toy_asset.glb())
    picture = original.view(original.json["images"][0]["bufferView"])
    for data in (skinned_glb(source, RESULT), morphing_glb(source, RESULT)):
        written = PlainGltf(data)
        assert written.json["materials"] == original.json["materials"]
        assert written.json["textures"] == original.json["textures"]
        assert written.view(written.json["images"][0]["bufferView"]) == picture
        assert np.array_equal(written.attribute("TEXCOORD_0"), original.attribute("TEXCOORD_0"))


def _two_parts() -> TexturedMesh:
    """Two triangles of two materials, one with vertex colours of its own."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0], [0, 1, 1]], np.float32)
    return TexturedMesh(
        vertices=corners,
        normals=np.tile(np.array([0, -1, 0], np.float32), (6, 1)),
        uv=np.zeros((6, 2), np.float32),
        faces=np.array([[0, 1, 2], [3, 4, 5]], np.int32),
        face_material=np.array([0, 1], np.int32),
        materials=(Material("red", (1, 0, 0, 1)), Material("blue", (0, 0, 1, 1))),
        vertex_colors=np.linspace(0, 1, 24, dtype=np.float32).reshape(6, 4),
    )


def test_parts_keep_their_materials_colours_and_credit(tmp_path: Path) -> None:
    path = tmp_path / "two.glb"
    path.write_bytes(glb_bytes(_two_parts(), copyright_notice="two by nobody, CC0", extras={"uid": "two"}))
    result = _moving(load_mesh(path))
    written = PlainGltf(skinned_glb(read_source_mesh(path, result), result))
    original = PlainGltf(path.read_bytes())
    assert written.json["asset"]["copyright"] == "two by nobody, CC0"
    assert written.json["asset"]["extras"] == {"uid": "two"}
    names = [
        written.json["materials"][p["material"]]["name"] for p in written.json["meshes"][0]["primitives"]
    ]
    assert names == ["red", "blue"]
    assert np.array_equal(written.attribute("COLOR_0"), original.attribute("COLOR_0"))
    assert np.allclose(written.skinned(1 / 12), gltf_from_world(vertices_at(result, 1)), atol=1e-5)


def _moving(mesh: TexturedMesh) -> Gaussians4D:
    """One splat on the mesh, and one node that turns it all."""
    count = len(mesh.vertices)
    turn = np.array([[[1, 0, 0, 0]], [[np.cos(0.4), 0, np.sin(0.4), 0]]])
    return attrs.evolve(
        RESULT,
        mesh=attrs.evolve(RESULT.mesh, vertices=mesh.vertices, faces=mesh.faces),
        splats=attrs.evolve(
            RESULT.splats,
            **{name: getattr(RESULT.splats, name)[:1] for name in attrs.fields_dict(type(RESULT.splats))},
        ),
        motion=attrs.evolve(
            RESULT.motion,
            nodes=np.full((1, 3), 0.5),
            rotations=turn,
            translations=np.zeros((2, 1, 3)),
            vertex_nodes=np.zeros((count, 1)),
            vertex_weights=np.ones((count, 1)),
        ),
        splat_faces=np.zeros(1),
        splat_barycentric=np.full((1, 3), 1 / 3),
    )


def test_another_mesh_is_refused_and_one_with_split_vertices_is_matched(tmp_path: Path) -> None:
    mesh = load_mesh(_written(tmp_path / "toy.glb", toy_asset.glb()))
    split = attrs.evolve(
        mesh,
        vertices=mesh.vertices[mesh.faces].reshape(-1, 3),
        normals=mesh.normals[mesh.faces].reshape(-1, 3),
        uv=mesh.uv[mesh.faces].reshape(-1, 2),
        faces=np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3),
    )
    source = read_source_mesh(_written(tmp_path / "split.glb", glb_bytes(split)), RESULT)
    exact = gltf_from_world(vertices_at(RESULT, 3)[mesh.faces].reshape(-1, 3))
    assert np.allclose(PlainGltf(morphing_glb(source, RESULT)).morphed(3 / 12), exact, atol=1e-4)
    larger = attrs.evolve(mesh, vertices=1.2 * mesh.vertices)
    with pytest.raises(Uni4DError, match=r"larger\.glb is not the mesh that was fitted") as caught:
        read_source_mesh(_written(tmp_path / "larger.glb", glb_bytes(larger)), RESULT)
    assert caught.value.code == "mesh-mismatch"
    with pytest.raises(Uni4DError, match=r"broken\.glb cannot be read: this is not a GLB"):
        read_source_mesh(_written(tmp_path / "broken.glb", b"nothing"), RESULT)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("write", [skinned_glb, morphing_glb])
def test_what_lights_up_shines_and_the_rest_of_its_material_does_not(source: SourceMesh, write: Any) -> None:
    """The upper half of a box of one textured material: a copy of it is animated, on the same vertices."""
    glowing = toy_asset.glowing((0.7, 0.5, 0.1))
    dull, lit = PlainGltf(write(source, RESULT)), PlainGltf(write(source, glowing))
    below, above = lit.json["meshes"][0]["primitives"]
    assert below["attributes"] == above["attributes"], "nothing is stored twice"
    heights = lit.accessor(above["attributes"]["POSITION"])[:, 1]
    corners = [heights[lit.accessor(one["indices"])[:, 0]].reshape(-1, 3) for one in (below, above)]
    assert corners[0].mean() < 0.2 and corners[1].mean() > 0.4
    whole = dull.accessor(dull.json["meshes"][0]["primitives"][0]["indices"])
    assert len(corners[0]) + len(corners[1]) == len(whole) / 3

    first, second = lit.json["materials"]
    assert first == dull.json["materials"][0]
    assert second["pbrMetallicRoughness"] == first["pbrMetallicRoughness"], "the same texture"
    assert (below["material"], above["material"]) == (0, 1)
    assert lit.json["extensionsUsed"] == ["KHR_animation_pointer"]
    animated = lit.pointers()
    assert list(animated) == ["/materials/1/emissiveFactor"]
    light = animated["/materials/1/emissiveFactor"]
    assert np.corrcoef(light[:, 0], toy_asset.course())[0, 1] > 0.95
    assert light.min() >= 0.0 and light[0].max() < 0.02 and 0.3 < light[:, 0].max() <= 1.0
    assert "extensionsUsed" not in dull.json and not dull.pointers()


def test_what_fades_is_multiplied_unless_it_has_a_texture(tmp_path: Path) -> None:
    """By the factor of the base colour, which keeps its own colour and opacity."""
    path = _written(tmp_path / "two.glb", glb_bytes(attrs.evolve(_two_parts(), vertex_colors=None)))
    still = _moving(load_mesh(path))
    fading = attrs.evolve(
        still, color_motion=ColorMotion(-0.9 * still.splats.colors[None], np.array([[0.0], [1.0]]))
    )
    written = PlainGltf(skinned_glb(read_source_mesh(path, fading), fading))
    (pointer,) = written.pointers()
    assert re.fullmatch(r"/materials/[01]/pbrMetallicRoughness/baseColorFactor", pointer)
    number = int(pointer.split("/")[2])
    own = np.array(written.json["materials"][number]["pbrMetallicRoughness"]["baseColorFactor"])
    factors = written.pointers()[pointer]
    np.testing.assert_allclose(factors[0], own, atol=1e-5)
    assert factors[1, :3].max() < 0.1 and factors[1, 3] == own[3]

    textured = toy_asset.result()
    dark = ColorMotion(-0.9 * textured.splats.colors[None], toy_asset.course()[:, None])
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    dark = attrs.evolve(textured, color_motion=dark)
    assert not PlainGltf(skinned_glb(read_source_mesh(tmp_path / "toy.glb", dark), dark)).pointers()
