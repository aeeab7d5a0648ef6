"""The remote provider against a service on a real socket that speaks Kling's published API."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pytest
from harness.video_service import ACCESS, SECRET, VideoService, movie, video_service
from PIL import Image

from uni4d.config import AnimateConfig, RemoteConfig
from uni4d.video.remote import RemoteVideo
from uni4d.video.remote.keys import Keys, read_keys
from uni4d.video.scene import Animated, Scene
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, Progress, silent
from uni4d_shared.types import Query


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoService]:
    monkeypatch.setenv("KLING_ACCESS_KEY", ACCESS)
    monkeypatch.setenv("KLING_SECRET_KEY", SECRET)
    monkeypatch.delenv("KLING_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with video_service() as running:
        yield running


def animate(service: VideoService, scene: Scene, progress: Progress = silent, **changes: Any) -> Animated:
    quick = RemoteConfig(
        base_url=service.base_url,
        image_size=320,
        size=32,
        fps=6.0,
        poll_seconds=0.01,
        backoff_seconds=0.001,
        timeout_seconds=5.0,
        retries=3,
    )
    return RemoteVideo(attrs.evolve(quick, **changes)).animate(scene, AnimateConfig(), progress)


def failure(service: VideoService, scene: Scene, **changes: Any) -> Uni4DError:
    with pytest.raises(Uni4DError) as caught:
        animate(service, scene, **changes)
    for key in (ACCESS, SECRET):
        assert key not in str(caught.value)
    assert caught.value.cure
    return caught.value


def posts(service: VideoService) -> int:
    return sum(kind == "POST" for kind, _ in service.requests)


# --- a clip -----------------------------------------------------------------------------------------------


def test_a_photograph_and_words_come_back_as_a_clip(service: VideoService, scene: Scene) -> None:
    seen: list[tuple[float, str]] = []
    animated = animate(service, scene, lambda *told: seen.append(told))
    clip = animated.clip
    assert clip.frames.shape == (6, 32, 32, 3), "one second, six frames of it"
    assert clip.fps == 6.0
    shades = clip.frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shades, np.linspace(20, 220, 24)[::4], atol=4)
    assert clip.camera is not None
    np.testing.assert_array_equal(clip.camera.world_to_camera, scene.views.cameras[1].world_to_camera)
    assert clip.camera.intrinsics[0, 0] == pytest.approx(scene.views.cameras[1].intrinsics[0, 0] * 32 / 48)
    assert animated.program["tracks"] == []
    assert animated.program["model"]["task"] == "1000"
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("processing" in message for _, message in seen)


def test_the_request_is_what_the_reference_asks_for(service: VideoService, scene: Scene) -> None:
    animate(service, scene, mode="pro", seconds=10, negative_prompt="blur", staging="Nothing else.")
    [task] = service.tasks.values()
    sent = dict(task["request"])
    with Image.open(io.BytesIO(base64.b64decode(sent.pop("image")))) as image:
        assert image.size == (320, 320)
        assert image.format == "PNG"
        assert image.getpixel((2, 2)) == (255, 255, 255)
    assert sent.pop("external_task_id").startswith("uni4d-")
    assert sent == {
        "model_name": "kling-v2-1",
        "mode": "pro",
        "duration": "10",
        "prompt": "a ball is bouncing. Nothing else.",
        "negative_prompt": "blur",
    }


def test_a_slow_video_keeps_its_rate(service: VideoService, scene: Scene) -> None:
    service.video = movie(frames=8, fps=4.0)
    clip = animate(service, scene, fps=12.0).clip
    assert (len(clip.frames), clip.fps) == (8, 4.0)


def test_the_video_is_fetched_without_a_key(service: VideoService, scene: Scene) -> None:
    animate(service, scene)
    assert [authorization for kind, authorization in service.requests if kind == "video"] == [""]
    assert all(authorization for kind, authorization in service.requests if kind != "video")


# --- keys -------------------------------------------------------------------------------------------------


def test_a_token_is_a_json_web_token() -> None:
    """Header and claims as the service wants them, in base64url without padding."""
    token = Keys("ak", "sk").bearer(now=1_000)
    head, claims, signature = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    padded = claims + "=" * (-len(claims) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {"iss": "ak", "exp": 2_800, "nbf": 995}
    assert "=" not in token
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32


def test_keys_come_from_the_environment_and_are_not_shown() -> None:
    assert read_keys({"KLING_API_KEY": " token "}).bearer() == "token"
    keys = read_keys({"KLING_ACCESS_KEY": ACCESS, "KLING_SECRET_KEY": SECRET})
    assert ACCESS not in repr(keys)
    assert SECRET not in repr(keys)
    assert keys.hidden(f"bad {SECRET}") == "bad ***"
    for lacking in ({}, {"KLING_ACCESS_KEY": ACCESS}, {"KLING_API_KEY": ""}):
        with pytest.raises(Uni4DError, match="needs keys") as caught:
            read_keys(lacking)
        assert "KLING_SECRET_KEY" in caught.value.cure
    with pytest.raises(Uni4DError, match="characters"):
        read_keys({"KLING_API_KEY": "a\nHost: elsewhere"})


def test_a_wrong_key_is_refused_at_once(
    service: VideoService, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLING_SECRET_KEY", "another")
    error = failure(service, scene)
    assert error.code == "service-keys-refused"
    assert "1002" in error.message
    assert posts(service) == 1


def test_a_service_that_repeats_the_key_is_not_quoted(service: VideoService, scene: Scene) -> None:
    service.misbehaviour["POST"] = [
        lambda to: to.json(403, {"code": 1103, "message": f"{ACCESS} with {SECRET} may not"})
    ]
    assert "***" in failure(service, scene).message


@pytest.mark.parametrize("address", ["http://example.org", "ftp://127.0.0.1", "file:///etc", "example.org"])
def test_keys_are_never_sent_in_the_clear(service: VideoService, scene: Scene, address: str) -> None:
    error = failure(service, scene, base_url=address)
    assert error.code == "bad-setting"
    assert "base_url" in error.message


def test_a_request_with_a_key_is_not_redirected(service: VideoService, scene: Scene) -> None:
    with video_service() as other:
        target = f"{other.base_url}/v1/videos/image2video/1000"
        service.misbehaviour["GET"] = [lambda to: to.send(302, b"", Location=target)]
        assert failure(service, scene).code == "service-refused"
        assert other.requests == []


# --- a service that is busy, fails, or lies -----------------------------------------------------------------


def test_a_busy_service_is_asked_again(service: VideoService, scene: Scene) -> None:
    busy = {"code": 1303, "message": "parallel task over resource pack limit"}
    service.misbehaviour["POST"] = [
        lambda to: to.json(429, busy, Retry_After="0"),
        lambda to: to.json(429, busy),
    ]
    service.misbehaviour["GET"] = [lambda to: to.json(503, {"code": 5001, "message": "unavailable"})]
    assert len(animate(service, scene).clip.frames) == 6
    assert posts(service) == 3
    assert len(service.tasks) == 1


def test_a_service_that_stays_busy_is_given_up(service: VideoService, scene: Scene) -> None:
    service.misbehaviour["POST"] = [lambda to: to.json(500, {"code": 5000, "message": "broken"})] * 9
    error = failure(service, scene)
    assert error.code == "service-unreachable"
    assert "broken" in error.message
    assert posts(service) == 4


def test_an_account_without_credit_is_not_asked_again(service: VideoService, scene: Scene) -> None:
    service.misbehaviour["POST"] = [lambda to: to.json(429, {"code": 1102, "message": "depleted"})]
    error = failure(service, scene)
    assert error.code == "service-refused"
    assert "credit" in error.cure
    assert posts(service) == 1


def test_a_submission_whose_answer_is_lost_is_not_paid_twice(service: VideoService, scene: Scene) -> None:
    def make_it_and_hang_up(to: Any) -> None:
        service.submit(json.loads(to.body))
        to.close_connection = True

    service.misbehaviour["POST"] = [make_it_and_hang_up]
    assert len(animate(service, scene).clip.frames) == 6
    assert posts(service) == 1
    assert len(service.tasks) == 1


def test_a_task_that_fails_says_why(service: VideoService, scene: Scene) -> None:
    service.failure = "the picture shows too little"
    error = failure(service, scene)
    assert error.code == "service-failed"
    assert "shows too little" in error.message


def test_a_task_that_never_ends_is_given_up(service: VideoService, scene: Scene) -> None:
    service.polls_until_done = 10**9
    error = failure(service, scene, patience_seconds=1.0, poll_seconds=0.3)
    assert error.code == "service-slow"
    assert "1000" in error.cure


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"code": 0},
        {"code": 0, "data": {"task_id": "../../x", "task_status": "submitted"}},
        {"code": 0, "data": {"task_id": "1", "task_status": "dreaming"}},
        {"code": 0, "data": {"task_id": "1", "task_status": "succeed", "task_result": {"videos": []}}},
        {"code": 0, "data": {"task_id": "1", "task_status": "succeed", "task_result": "none"}},
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(
    service: VideoService, scene: Scene, document: Any
) -> None:
    service.misbehaviour["POST"] = [lambda to: to.json(200, document)]
    assert failure(service, scene).code == "service-invalid"


def test_an_answer_without_end_is_cut(service: VideoService, scene: Scene) -> None:
    service.misbehaviour["POST"] = [lambda to: to.send(200, b"[" * 1_100_000)]
    assert failure(service, scene).code == "video-too-large"


# --- the video ----------------------------------------------------------------------------------------------


def test_a_truncated_download_is_repeated(service: VideoService, scene: Scene) -> None:
    def cut(to: Any) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(len(service.video)))
        to.end_headers()
        to.wfile.write(service.video[: len(service.video) // 2])
        to.close_connection = True

    service.misbehaviour["video"] = [cut]
    assert len(animate(service, scene).clip.frames) == 6
    service.misbehaviour["video"] = [cut] * 9
    assert failure(service, scene).code == "service-unreachable"


def test_a_huge_video_is_refused(service: VideoService, scene: Scene) -> None:
    def endless(to: Any) -> None:
        to.send_response(200)
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        for _ in range(100):
            to.wfile.write(b"4000\r\n" + bytes(0x4000) + b"\r\n")
        to.close_connection = True

    def announced(to: Any) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(10**12))
        to.end_headers()
        to.close_connection = True

    for reply in (endless, announced):
        service.misbehaviour["video"] = [reply]
        error = failure(service, scene, download_megabytes=0.1)
        assert error.code == "video-too-large"
        assert "download_megabytes" in error.cure


@pytest.mark.parametrize(
    ("video", "named"),
    [
        (lambda: b"#EXTM3U\nfile:///etc/passwd\n", "no MP4"),
        (lambda: b"\0\0\0\x18ftypmp42" + bytes(500), "cannot be used"),
        (lambda: movie()[:-600], "cannot be used"),
        (lambda: movie(frames=1), "no motion"),
        (lambda: movie(width=128, height=64), "128 × 64"),
    ],
    ids=["playlist", "zeros", "cut", "still", "wide"],
)
def test_what_does_not_decode_is_no_video(
    service: VideoService, scene: Scene, video: Callable[[], bytes], named: str
) -> None:
    service.video = video()
    error = failure(service, scene)
    assert error.code == "video-invalid"
    assert named in error.message


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x.mp4", "data:video/mp4,x"])
def test_a_video_is_fetched_from_the_web_only(service: VideoService, scene: Scene, address: str) -> None:
    service.video_address = address
    assert failure(service, scene).code == "service-invalid"


# --- the person ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["sending", "processing", "downloading"])
def test_cancelling_stops_at_once(service: VideoService, scene: Scene, moment: str) -> None:
    def stop(fraction: float, message: str) -> None:
        if moment in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        animate(service, scene, stop, poll_seconds=0.05)
    kinds = [kind for kind, _ in service.requests]
    assert kinds.count("video") == 0
    assert ("POST" in kinds) == (moment != "sending")


def test_a_long_prompt_is_refused_before_anything_is_sent(service: VideoService, scene: Scene) -> None:
    long = attrs.evolve(scene, query=Query("a ball " * 400, "a ball", ""))
    assert failure(service, long).code == "prompt-too-long"
    assert service.requests == []
