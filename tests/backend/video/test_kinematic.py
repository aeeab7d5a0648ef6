from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve

from uni4d.config import AnimateConfig
from uni4d.library.geometry import Material, TexturedMesh
from uni4d.splatting import rasterise, splats_from_mesh
from uni4d.video import animate
from uni4d.video.body import Body
from uni4d.video.kinematic import on_the_body
from uni4d.video.motions import points_at
from uni4d.video.program import MotionProgram, Track
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled
from uni4d_shared.types import Alignment, Query, ViewSet

SETTINGS = AnimateConfig(frames=8, fps=8.0, size=64, splats=1500, refine_iterations=10)


@pytest.fixture(scope="module")
def lamp(shapes) -> TexturedMesh:  # noqa: ANN001
    shape = shapes["lamp"]
    return TexturedMesh(
        vertices=shape.vertices.astype(np.float32),
        normals=np.tile(np.float32([0, 0, 1]), (len(shape.vertices), 1)),
        uv=np.zeros((len(shape.vertices), 2), np.float32),
        faces=shape.faces.astype(np.int32),
        face_material=np.zeros(len(shape.faces), np.int32),
        materials=(Material(),),
        vertex_colors=np.concatenate(
            [np.clip(shape.vertices * 0.7 + 0.2, 0, 1), np.ones((len(shape.vertices), 1))], axis=1
        ).astype(np.float32),
    )


@pytest.fixture(scope="module")
def views(lamp: TexturedMesh, shapes) -> ViewSet:  # noqa: ANN001
    body = shapes["lamp"].body
    cameras = orbit_rig(body.centre, body.radius, azimuths=4, elevations=[0.3], size=64, margin=1.35)
    splats = splats_from_mesh(lamp, 4000, 3).splats.activated()
    import torch

    values = [
        torch.from_numpy(v)
        for v in (splats.means, splats.quaternions, splats.scales, splats.opacities, splats.colors)
    ]
    rendered = rasterise(*values, cameras, (0.0, 0.0, 0.0))
    alpha = rendered.alpha.clamp(1e-3, 1.0)[..., None]
    images = torch.cat([(rendered.image / alpha).clamp(0, 1), rendered.alpha.clamp(0, 1)[..., None]], dim=-1)
    return ViewSet((255 * images).round().numpy().astype(np.uint8), rendered.depth.numpy(), cameras)


def alignment(views: ViewSet, key: int = 1) -> Alignment:
    return Alignment(0.5, 0.5, 0.5, 1.5, 0.22, np.full(len(views.images), 0.25), key)


def test_a_clip_shows_the_object_moving_over_white_from_the_key_view(
    lamp: TexturedMesh, views: ViewSet
) -> None:
    seen: list[float] = []
    clip, program = animate(
        lamp,
        views,
        alignment(views),
        Query("a lamp is nodding", "a lamp", "nodding"),
        SETTINGS,
        progress=lambda fraction, message: seen.append(fraction),
    )
    assert clip.frames.shape == (8, 64, 64, 3)
    assert clip.fps == 8.0
    assert clip.background == (1.0, 1.0, 1.0)
    assert program.verbs == ("nod",)
    assert "nod" in clip.description
    assert clip.camera is not None
    np.testing.assert_array_equal(clip.camera.world_to_camera, views.cameras[1].world_to_camera)
    assert (clip.frames[:, 0] == 255).all(), "white along the border"
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)

    # Frame 0 is the photograph at rest; later frames differ from it.
    rest = views.images[1, ..., :3] / 255.0 * (views.images[1, ..., 3:] / 255.0)
    rest = rest + (1.0 - views.images[1, ..., 3:] / 255.0)
    difference = [np.abs(frame / 255.0 - rest).mean() for frame in clip.frames]
    assert difference[0] < 0.03
    assert max(difference) > 1.5 * difference[0]


def test_equal_seeds_make_equal_clips_and_another_size_the_same_view(
    lamp: TexturedMesh, views: ViewSet
) -> None:
    query = Query("a lamp is spinning", "a lamp", "spinning")
    quick = AnimateConfig(frames=2, fps=2.0, size=32, splats=500, refine_iterations=2)
    one, _ = animate(lamp, views, alignment(views), query, quick)
    two, _ = animate(lamp, views, alignment(views), query, quick)
    np.testing.assert_array_equal(one.frames, two.frames)
    assert one.frames.shape == (2, 32, 32, 3)
    assert one.camera is not None
    assert one.camera.intrinsics[0, 0] == pytest.approx(views.cameras[1].intrinsics[0, 0] / 2)


def test_light_verbs_light_the_shade(lamp: TexturedMesh, views: ViewSet) -> None:
    clip, _ = animate(
        lamp, views, alignment(views), Query("a lamp lights up", "a lamp", "lights up"), SETTINGS
    )
    shade = clip.frames[:, 20:28, 28:36].astype(float)  # above the middle of the image
    assert shade[-1].mean() > shade[0].mean() + 10
    foot = clip.frames[:, 44:50, 30:34].astype(float)
    assert abs(foot[-1].mean() - foot[0].mean()) < 5


def test_an_edited_program_is_played_instead_of_the_words(lamp: TexturedMesh, views: ViewSet) -> None:
    query = Query("a lamp is nodding", "a lamp", "nodding")
    quick = AnimateConfig(frames=4, fps=4.0, size=32, splats=500, refine_iterations=2)
    spoken, program = animate(lamp, views, alignment(views), query, quick)
    edited = program.to_dict()
    edited["tracks"][0] |= {"verb": "stretch", "part": "door"}
    edited["duration"] = 1.5
    clip, played = animate(lamp, views, alignment(views), query, evolve(quick, program=edited))
    assert played.verbs == ("stretch",)
    assert len(clip.frames) == 6, "1.5 s at 4 frames a second"
    assert "no separate door" in " ".join(played.notes)
    assert np.abs(clip.frames[3].astype(float) - spoken.frames[3]).max() > 20.0
    again, _ = animate(lamp, views, alignment(views), query, evolve(quick, program=program.to_dict()))
    np.testing.assert_array_equal(again.frames, spoken.frames)


@pytest.mark.parametrize(
    ("change", "reason"), [({"duration": 600}, "duration is 600: .* at most 480"), ({"tracks": 3}, "tracks")]
)
def test_a_program_that_cannot_be_played_is_refused(
    lamp: TexturedMesh, views: ViewSet, change: dict[str, object], reason: str
) -> None:
    program = MotionProgram((Track("spin"),), 2.0).to_dict() | change
    with pytest.raises(Uni4DError, match=reason) as caught:
        animate(lamp, views, alignment(views), Query("", "a lamp", ""), AnimateConfig(program=program))
    assert caught.value.code == "program-invalid"


def test_cancelling_stops_the_clip(lamp: TexturedMesh, views: ViewSet) -> None:
    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        animate(lamp, views, alignment(views), Query("", "a lamp", "spins"), SETTINGS, progress=cancel)


def test_an_unknown_model_is_refused(lamp: TexturedMesh, views: ViewSet) -> None:
    with pytest.raises(Uni4DError) as caught:
        animate(lamp, views, alignment(views), Query("", "a lamp", "spins"), AnimateConfig(model="sora"))
    assert caught.value.code == "video-model-unknown"


def test_a_mesh_without_surface_is_refused() -> None:
    with pytest.raises(Uni4DError, match="no surface"):
        Body.from_mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))


def test_a_part_that_the_mesh_lacks_is_replaced_and_it_is_said(lamp: TexturedMesh) -> None:
    body = Body.from_mesh(lamp.vertices, lamp.faces, samples=2000)
    named = MotionProgram(
        (Track("swing", part="pendulum"), Track("shake", part="ears"), Track("wag", part="tail")), 2.0
    )
    played = on_the_body(named, body)
    assert [track.part for track in played.tracks] == ["whole", "head", "whole"]
    assert played.notes == (
        "The mesh has no separate pendulum: the whole is swinging.",
        "The mesh has no separate ears: the head is shaking.",
    )
    assert MotionProgram.from_dict(played.to_dict()) == played


def test_a_head_that_tilts_leaves_the_foot_where_it_is(lamp: TexturedMesh) -> None:
    body = Body.from_mesh(lamp.vertices, lamp.faces, samples=2000)
    tilting = MotionProgram((Track("tilt", part="head"),), 2.0)
    moved = np.linalg.norm(points_at(lamp.vertices, body, tilting, 1.0) - lamp.vertices, axis=1)
    height = body.height_of(lamp.vertices)
    assert moved[height < 0.2].max() < 1e-9
    assert moved[height > 0.9].max() > 0.05 * body.size[2]
