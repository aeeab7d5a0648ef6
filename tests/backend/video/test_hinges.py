"""Doors and lids that are no component of their own, or stand open, or have knobs beside them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from numpy.typing import NDArray

from uni4d.library.geometry import Material, TexturedMesh
from uni4d.library.sources.sweethome3d import SweetHome3DSource, locate
from uni4d.video.body import Body
from uni4d.video.cutting import cut_free, find_facets
from uni4d.video.hinges import with_hinges
from uni4d.video.kinematic import on_the_body
from uni4d.video.motions import points_at
from uni4d.video.program import MotionProgram, Track
from uni4d_shared.errors import Uni4DError

FRONT = np.array([0.0, -1.0, 0.0])


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> TexturedMesh:
    """Eight vertices that its six sides share."""
    unit = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float64)
    sides = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = np.array([[a, b, c] for a, b, c, d in sides] + [[a, c, d] for a, b, c, d in sides], np.int32)
    points = (np.asarray(low) + unit * (np.asarray(high) - np.asarray(low))).astype(np.float32)
    flat = np.zeros((len(points), 2), np.float32)
    up = np.tile(np.array([[0, 0, 1]], np.float32), (len(points), 1))
    return TexturedMesh(points, up, flat, faces, np.zeros(len(faces), np.int32), (Material("plain"),))


def joined(*meshes: TexturedMesh) -> TexturedMesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return evolve(
        meshes[0],
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        faces=np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        face_material=np.concatenate([mesh.face_material for mesh in meshes]),
    )


def played(mesh: TexturedMesh, track: Track) -> tuple[TexturedMesh, NDArray[np.float64], MotionProgram]:
    """The mesh that moves, its vertices at the end, and the program with its notes."""
    body = Body.from_mesh(mesh.vertices, mesh.faces, samples=2000)
    mesh, body, program = with_hinges(mesh, body, MotionProgram((track,), 1.0))
    program = on_the_body(program, body)
    rest = mesh.vertices.astype(np.float64)
    return mesh, points_at(rest, body, program, program.duration), program


def opening(part: str, degrees: float) -> Track:
    return Track("open", 1.0, math.radians(degrees), (1.0, 0.0, 0.0), part=part)


def test_facets_end_at_creases_and_go_round_what_is_smooth() -> None:
    crate = box((0, 0, 0), (1, 1, 1))
    facets = find_facets(crate.vertices, crate.faces)
    assert sorted(facets.area.tolist()) == pytest.approx([1.0] * 6)
    assert facets.facing(1, -1.0).sum() == 1
    turns = 2.0 * np.pi * np.arange(24) / 24  # a tube of 24 sides, 15° from one to the next
    ring = np.stack([np.cos(turns), np.sin(turns), np.zeros(24)], axis=1)
    index, after = np.arange(24), (np.arange(24) + 1) % 24
    tube = np.concatenate(
        [np.stack([index, after, after + 24], 1), np.stack([index, after + 24, index + 24], 1)]
    )
    assert len(find_facets(np.concatenate([ring, ring + np.array([0, 0, 1])]), tube).area) == 1


@pytest.mark.parametrize(("part", "axis", "side"), [("lid", 2, 1.0), ("door", 1, -1.0)])
def test_a_plain_box_opens_by_what_is_cut_free(part: str, axis: int, side: float) -> None:
    crate = box((-0.5, -0.3, 0.0), (0.5, 0.3, 1.0))
    mesh, end, program = played(crate, opening(part, 90.0))
    assert program.tracks[0].part == part
    assert any("cut free" in note for note in program.notes)
    np.testing.assert_allclose(mesh.vertices[:8], crate.vertices)
    np.testing.assert_allclose(end[:8], crate.vertices, atol=1e-6)  # what stays, stays
    assert len(mesh.vertices) == 12
    assert len(mesh.faces) == len(crate.faces)
    outer = side * crate.vertices[:, axis].max() if side > 0 else crate.vertices[:, axis].min()
    np.testing.assert_allclose(mesh.vertices[8:, axis], outer, atol=2e-3)  # a hair outside of the body
    swung = end[8:] - mesh.vertices[8:]
    lengths = np.sort(np.linalg.norm(swung, axis=1))
    width = 1.0 if part == "door" else 0.6
    np.testing.assert_allclose(lengths, [0, 0, width * math.sqrt(2), width * math.sqrt(2)], atol=0.01)
    direction = FRONT if part == "door" else np.array([0.0, 0.0, 1.0])
    assert (swung @ direction).max() == pytest.approx(width, abs=0.01)


def test_what_is_round_has_nothing_to_cut() -> None:
    turns, levels = np.meshgrid(2.0 * np.pi * np.arange(32) / 32, np.linspace(0.0, np.pi, 17)[1:-1])
    ball = np.stack([np.sin(levels) * np.cos(turns), np.sin(levels) * np.sin(turns), np.cos(levels)], -1)
    rows, columns = ball.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1], np.roll(index, -1, 1)[:-1], np.roll(index, -1, 1)[1:], index[1:]
    faces = np.concatenate([np.stack([d, c, b], -1).reshape(-1, 3), np.stack([d, b, a], -1).reshape(-1, 3)])
    template = box((0, 0, 0), (1, 1, 1))
    vertices = ball.reshape(-1, 3).astype(np.float32)
    mesh = evolve(
        template,
        vertices=vertices,
        normals=vertices,
        uv=np.zeros((len(vertices), 2), np.float32),
        faces=faces.astype(np.int32),
        face_material=np.zeros(len(faces), np.int32),
    )
    assert cut_free(mesh, "lid") is None
    assert cut_free(mesh, "door") is None
    _, _, program = played(mesh, opening("lid", 60.0))
    assert program.tracks[0].part == "whole"
    assert program.notes == ("The mesh has no separate lid: the whole is opening.",)


def laptop(lean: float) -> TexturedMesh:
    """A base and a lid that leans back by ``lean`` degrees from upright."""
    angle = math.radians(lean)
    lid = box((-0.5, -0.01, 0.0), (0.5, 0.01, 0.7))
    cos, sin = math.cos(angle), math.sin(angle)
    leaning = lid.vertices @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]).astype(np.float32)
    lid = evolve(lid, vertices=(leaning + np.array([0.0, 0.36, 0.05])).astype(np.float32))
    return joined(box((-0.5, -0.35, 0.0), (0.5, 0.34, 0.04)), lid)


@pytest.mark.parametrize("lean", [0.0, 20.0])
def test_a_lid_that_stands_open_shuts_on_its_base(lean: float) -> None:
    mesh = laptop(lean)
    (base, lid) = (slice(0, 8), slice(8, 16))
    _, end, program = played(mesh, Track("close", 1.0, 1.0, (1.0, 0.0, 0.0), part="lid"))
    assert program.notes == ()
    np.testing.assert_allclose(end[base], mesh.vertices[base], atol=1e-6)
    assert end[lid][:, 2].max() < 0.13, "it lies flat"
    assert end[lid][:, 1].min() == pytest.approx(-0.34, abs=0.05), "over the base"
    body = Body.from_mesh(mesh.vertices, mesh.faces, samples=2000)
    again = MotionProgram((Track("open", 1.0, 1.0, (1.0, 0.0, 0.0), part="lid"),), 1.0)
    rest = mesh.vertices.astype(np.float64)
    for time in (0.0, 1.0):
        np.testing.assert_allclose(points_at(rest, body, again, time), rest, atol=1e-6)
    assert points_at(rest, body, again, 0.38)[lid][:, 2].max() < 0.13, "in between it is shut"


def test_knobs_beside_a_door_stay_and_its_own_handle_says_where_it_hangs() -> None:
    case = box((-0.5, -0.3, 0.0), (0.5, 0.3, 0.5))
    door, knobs = box((-0.48, -0.33, 0.02), (0.28, -0.3, 0.48)), box((0.3, -0.33, 0.02), (0.48, -0.3, 0.48))
    handle = box((0.2, -0.38, 0.1), (0.24, -0.331, 0.4))
    mesh = joined(case, door, knobs, handle)
    _, end, _ = played(mesh, opening("door", 90.0))
    moved = np.linalg.norm(end - mesh.vertices, axis=1).reshape(4, 8).max(axis=1)
    assert moved[[0, 2]].max() < 1e-6
    assert moved[[1, 3]].min() > 0.5
    hinge = np.isclose(mesh.vertices[8:16, 0], -0.48) & np.isclose(mesh.vertices[8:16, 1], -0.3)
    np.testing.assert_allclose(end[8:16][hinge], mesh.vertices[8:16][hinge], atol=1e-6)


def test_a_door_without_a_frame_is_all_door() -> None:
    leaf, knob = box((-0.4, -0.02, 0.0), (0.4, 0.02, 2.0)), box((0.3, -0.06, 0.9), (0.34, -0.02, 1.1))
    _, end, program = played(joined(leaf, knob), opening("door", 90.0))
    assert program.tracks[0].part == "door"
    assert end[:, 0].max() < -0.3, "it stands where its hinge is, at the other side than its knob"
    assert (end @ FRONT).max() == pytest.approx(0.8, abs=0.05)


def test_a_chest_of_drawers_opens_its_drawer() -> None:
    case = box((-0.5, -0.25, 0.0), (0.5, 0.28, 0.8))
    drawers = [box((-0.48, -0.27, z), (0.48, 0.2, z + 0.22)) for z in (0.05, 0.3, 0.55)]
    mesh = joined(case, *drawers)
    _, end, program = played(mesh, opening("lid", 60.0))
    assert program.tracks[0].part == "drawer"
    assert program.notes == ("The mesh has no separate lid: its drawer opens.",)
    out = (end - mesh.vertices) @ FRONT
    assert out[24:].min() > 0.2
    np.testing.assert_allclose(out[:24], 0.0, atol=1e-6)


FURNITURE = [
    # identifier, part, degrees; how much of the surface moves
    ("ammobox", "lid", 60.0, (0.1, 0.5)),
    ("cardboard-box", "lid", 60.0, (0.1, 0.5)),
    ("lockedlocker", "door", 90.0, (0.1, 0.4)),
    ("cupboard", "door", 90.0, (0.03, 0.5)),
    ("kitchenuppercabinet", "door", 90.0, (0.1, 0.5)),
    ("microwave", "door", 90.0, (0.03, 0.5)),
    ("laptop", "lid", 60.0, (0.25, 0.7)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "part", "degrees", "share"), FURNITURE)
def test_furniture_opens(
    stem: str, part: str, degrees: float, share: tuple[float, float], tmp_path: Path
) -> None:
    """Meshes of Sweet Home 3D that once opened as a whole, like dough; the microwave with its knobs."""
    try:
        source = SweetHome3DSource(locate(download=False))
    except Uni4DError:
        pytest.skip("Sweet Home 3D's furniture is not on this machine")
    entry = next(entry for entry in source.entries() if entry.uid.rsplit("-", 1)[0] == stem)
    mesh = source.load(entry)
    track = Track("close" if stem == "laptop" else "open", 1.0, math.radians(degrees), (1, 0, 0), part=part)
    moving, end, program = played(mesh, track)
    assert program.tracks[0].part == part
    edges = [
        np.linalg.norm(np.diff(points[moving.faces], axis=1), axis=2) for points in (moving.vertices, end)
    ]
    np.testing.assert_allclose(*edges, atol=1e-5)  # no triangle is torn
    swung = np.linalg.norm(end - moving.vertices, axis=1)[moving.faces].max(axis=1) > 1e-4
    area = moving.face_areas
    assert share[0] < area[swung].sum() / area.sum() < share[1]


def test_a_lid_that_rattles_does_it_alone() -> None:
    mesh = laptop(0.0)
    body = Body.from_mesh(mesh.vertices, mesh.faces, samples=2000)
    assert body.lid is not None
    rattling = MotionProgram((Track("shake", part="lid"),), 1.0)
    moved = np.linalg.norm(points_at(mesh.vertices, body, rattling, 0.1) - mesh.vertices, axis=1)
    assert moved[:8].max() < 1e-9, "the base stays"
    assert moved[8:].min() > 0.01
