"""A video service on a real socket that speaks Kling's image-to-video API, and can misbehave on request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from uni4d import files
from uni4d_shared.types import Clip

__all__ = ["ACCESS", "SECRET", "VideoService", "movie", "video_service"]

ACCESS, SECRET = "the-access-key", "the-secret-key"
_PATH = "/v1/videos/image2video"

Reply = Callable[["_Handler"], None]


@cache
def movie(frames: int = 24, fps: float = 24.0, width: int = 64, height: int = 64) -> bytes:
    """An MP4 that grows brighter from frame to frame."""
    shades = np.linspace(20, 220, frames).astype(np.uint8)
    pixels = np.broadcast_to(shades[:, None, None, None], (frames, height, width, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.mp4"
        files.write_clip_mp4(path, Clip(pixels, fps))
        return path.read_bytes()


class VideoService:
    """What the service knows, and what it was asked."""

    def __init__(self) -> None:
        self.video = movie()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.named: dict[str, str] = {}
        """Our own names of the tasks."""
        self.polls_until_done = 2
        self.failure = ""
        """Why every task fails; empty: none does."""
        self.video_address = ""
        """Instead of its own."""
        self.misbehaviour: dict[str, list[Reply]] = {"POST": [], "GET": [], "video": []}
        """What is done instead of the next answers."""
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.base_url = ""

    def accepts(self, authorization: str) -> bool:
        """Whether a header is ``Bearer`` and a valid token of ours."""
        scheme, _, token = authorization.partition(" ")
        try:
            head, claims, signature = token.split(".")
            wanted = hmac.new(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
            header, values = json.loads(_bytes(head)), json.loads(_bytes(claims))
            fresh = values["nbf"] <= time.time() < values["exp"]
            known = header == {"alg": "HS256", "typ": "JWT"} and values["iss"] == ACCESS
            return scheme == "Bearer" and fresh and known and hmac.compare_digest(_bytes(signature), wanted)
        except (ValueError, KeyError):
            return False

    def submit(self, values: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Make a task as the published reference says, or refuse."""
        if values.get("external_task_id") in self.named:
            return 400, {"code": 1201, "message": "external_task_id is not unique"}
        if values.get("duration") not in ("5", "10") or values.get("mode") not in ("std", "pro"):
            return 400, {"code": 1201, "message": "duration or mode is invalid"}
        with Image.open(io.BytesIO(base64.b64decode(values["image"], validate=True))) as image:
            if min(image.size) < 300:
                return 400, {"code": 1201, "message": "the image is too small"}
        name = str(1000 + len(self.tasks))
        self.tasks[name] = {"task_id": name, "task_status": "submitted", "polls": 0, "request": values}
        self.named[values["external_task_id"]] = name
        return 200, {"code": 0, "message": "SUCCEED", "data": self.shown(name)}

    def ask(self, name: str) -> tuple[int, dict[str, Any]]:
        """A task's state, one step further at each question."""
        name = self.named.get(name, name)
        if name not in self.tasks:
            return 404, {"code": 1203, "message": "no such task"}
        task = self.tasks[name]
        task["polls"] += 1
        if task["polls"] >= self.polls_until_done:
            task["task_status"] = "failed" if self.failure else "succeed"
        else:
            task["task_status"] = "processing"
        return 200, {"code": 0, "message": "SUCCEED", "data": self.shown(name)}

    def shown(self, name: str) -> dict[str, Any]:
        task = self.tasks[name]
        shown = {"task_id": name, "task_status": task["task_status"], "created_at": 1, "updated_at": 2}
        if task["task_status"] == "succeed":
            address = self.video_address or f"{self.base_url}/files/{name}.mp4"
            shown["task_result"] = {"videos": [{"id": "v", "url": address, "duration": "1.0"}]}
        if task["task_status"] == "failed":
            shown["task_status_msg"] = self.failure
        return shown


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: VideoService
    body = b""

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._misbehaves("POST"):
            self._api(lambda: self.service.submit(json.loads(self.body)))

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            if not self._misbehaves("video"):
                self.send(200, self.service.video, "video/mp4")
        elif not self._misbehaves("GET"):
            self._api(lambda: self.service.ask(self.path.removeprefix(_PATH + "/")))

    def _misbehaves(self, kind: str) -> bool:
        with self.service.lock:
            self.service.requests.append((kind, self.headers.get("Authorization", "")))
            waiting = self.service.misbehaviour[kind]
            reply = waiting.pop(0) if waiting else None
        if reply is not None:
            reply(self)
        return reply is not None

    def _api(self, answer: Callable[[], tuple[int, dict[str, Any]]]) -> None:
        if not self.path.startswith(_PATH):
            self.json(404, {"code": 1202, "message": "no such method"})
        elif not self.service.accepts(self.headers.get("Authorization", "")):
            self.json(401, {"code": 1002, "message": "authorization is invalid"})
        else:
            self.json(*answer())

    def json(self, status: int, document: Any, **headers: str) -> None:
        self.send(status, json.dumps(document).encode(), "application/json", **headers)

    def send(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def video_service() -> Iterator[VideoService]:
    """A service on a free port of this machine."""
    service = VideoService()
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        service.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
