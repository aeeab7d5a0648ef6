"""The whole run: the names of its folders, what it checks first, and what its children are told (the run
itself is tested in ``tests/end_to_end``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
import zmq
from harness import toy_asset

from uni4d import cli
from uni4d.config import BlenderConfig, Config
from uni4d.pipeline.backend_process import Backend, own_backend
from uni4d.pipeline.blender import BlenderCommand
from uni4d.pipeline.generate import generate, slug
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.codec import decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Accepted, AnimateRequest, Failed, JobProgress
from uni4d_shared.transport import client_socket
from uni4d_shared.types import Alignment, Query, ViewSet


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a teddy bear is dancing", "a-teddy-bear-is-dancing"),
        ("  A Café; crème brûlée!  ", "a-cafe-creme-brulee"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 200, "x" * 60),
    ],
)
def test_slug(prompt: str, name: str) -> None:
    assert slug(prompt) == name


def test_prompts_without_latin_letters_have_names_of_their_own() -> None:
    names = {slug("熊が踊る"), slug("犬が歩く")}
    assert len(names) == 2
    assert all(name.startswith("prompt-") for name in names)


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """``refused(options…)``: the error of a run that ends before anything is done."""

    def run(*options: str) -> dict[str, str]:
        line = ["generate", "a toy box", "--out", str(tmp_path / "run"), "--blender", "/bin/true", "--json"]
        assert cli.main([*line, *options]) == 1
        assert not (tmp_path / "run").exists()
        error: dict[str, str] = json.loads(capsys.readouterr().out)["error"]
        assert error["cure"]
        return error

    return run


def test_a_video_model_is_checked_before_anything_is_done(
    refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    unknown = refused("--model", "moviola")
    assert unknown["code"] == "video-model-unknown" and "moviola" in unknown["message"]
    assert refused("--model", "wan")["code"] == "gpu-missing"
    (tmp_path / "settings.toml").write_text('[animate]\nmodel = "ltx"\n')
    assert refused("--config", str(tmp_path / "settings.toml"))["code"] == "gpu-missing"
    (tmp_path / "program.json").write_text(json.dumps({"tracks": [{"verb": "spin"}], "duration": 1.0}))
    played = refused("--model", "wan", "--program", str(tmp_path / "program.json"))
    assert played["code"] == "bad-setting" and "animate.program" in played["message"]


def test_blender_is_told_the_video_model(tmp_path: Path) -> None:
    """By a stand-in for the add-on that writes down what it was told."""
    (tmp_path / "headless.py").write_text(
        "import json, sys\nfrom pathlib import Path\n"
        f"Path({str(tmp_path / 'told.json')!r}).write_text(json.dumps(sys.argv[1:]))\n"
    )
    python = BlenderCommand(Path("/usr/bin/python3"), is_python=True, addon=tmp_path)
    backend = Backend("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    with pytest.raises(Uni4DError, match="missing"):  # it makes no scene
        generate(
            *("a toy box", tmp_path / "run", python, Config(), lambda *told: None),
            backend=backend,
            model="wan",
        )
    told = json.loads((tmp_path / "told.json").read_text())
    assert told[told.index("--model") + 1] == "wan"


@pytest.mark.slow
def test_the_server_of_a_run_films_with_its_blender(tmp_path: Path) -> None:
    """Seen by what it says when there is no such Blender."""
    settings = tmp_path / "settings.toml"
    settings.write_text('[animate]\nrenderer = "blender"\nframes = 2\n')
    missing = BlenderConfig(program=tmp_path / "my-blender", engine="workbench")
    config = attrs.evolve(Config(), blender=missing)
    cameras = orbit_rig([0.0, 0.0, 0.3], 0.45, azimuths=1, elevations=[0.3], size=32)
    views = ViewSet(np.zeros((1, 32, 32, 4), np.uint8), np.full((1, 32, 32), np.inf), cameras)
    request = AnimateRequest(
        Query("a toy is spinning", "a toy", "spinning"),
        *("", views, Alignment(0.5, 0.5, 0.5, 1.5, 0.2, [1.0])),
        glb=toy_asset.glb(),
    )
    with (
        own_backend(config, settings, tmp_path / "serve.log") as server,
        zmq.Context() as context,
        client_socket(context, None) as work,
    ):
        work.connect(server.endpoint)
        work.send_multipart(encode(request, id="job"))
        answer: Any = Accepted(0)
        while isinstance(answer, Accepted | JobProgress):
            assert work.poll(240_000), "the server says nothing"
            answer = decode(work.recv_multipart()).message
    assert isinstance(answer, Failed)
    assert answer.code == "blender-missing" and "my-blender" in answer.message
