"""A headless Chromium that shows a splat file from one camera, by engines that are not ours.

PLY and GLB are shown by PlayCanvas, ``.splat`` by GaussianSplats3D on three.js.
"""

from __future__ import annotations

import functools
import http.server
import io
import json
import math
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uni4d_shared.conventions import GLTF_TO_WORLD, blender_matrix_from_world_to_camera
from uni4d_shared.types import Camera

__all__ = ["photograph"]

_PAGES = {
    ".ply": "show_splats.html",
    ".glb": "show_splats.html",
    ".splat": "show_splats_three.html",
}
_PATIENCE_MS = 2500
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--disable-dev-shm-usage"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    *("--no-first-run", "--disable-background-networking", "--disable-extensions", "--mute-audio"),
)


def photograph(
    chromium: Path, node_modules: Path, path: Path, camera: Camera, profile: Path, timeout: float = 180.0
) -> NDArray[np.uint8]:
    """``[H, W, 3]`` what the browser's engine shows of the splat file at ``path``."""
    to_world = blender_matrix_from_world_to_camera(camera.world_to_camera)
    if path.suffix == ".glb":
        to_world[:3] = GLTF_TO_WORLD.T @ to_world[:3]
    view = {
        "file": path.name,
        "size": camera.width,
        "fieldOfView": math.degrees(2.0 * math.atan(0.5 * camera.height / camera.intrinsics[1, 1])),
        "cameraToWorld": to_world.T.reshape(-1).tolist(),
        "patience": _PATIENCE_MS,
    }
    with _server(view, path, node_modules) as (port, answers):
        page = f"http://127.0.0.1:{port}/"
        command = [str(chromium), *_FLAGS, f"--user-data-dir={profile}", page]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                kind, data = answers.get(timeout=timeout)
            finally:
                process.terminate()
                process.wait(20)
    shutil.rmtree(profile, ignore_errors=True)
    assert kind == "/picture", f"the page failed: {data.decode(errors='replace')}"
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def _server(
    view: dict[str, object], path: Path, node_modules: Path
) -> Iterator[tuple[int, Queue[tuple[str, bytes]]]]:
    """Serve the page, what to show, the file and the packages; what the page posts arrives in the queue."""
    answers: Queue[tuple[str, bytes]] = Queue()
    fixed = {
        "/": ("text/html", (Path(__file__).parent / _PAGES[path.suffix]).read_bytes()),
        "/view.json": ("application/json", json.dumps(view).encode()),
        f"/files/{path.name}": ("application/octet-stream", path.read_bytes()),
    }

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in fixed:
                super().do_GET()
                return
            kind, data = fixed[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            answers.put((self.path, data))

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(node_modules.parent))
    Handler.extensions_map = {**Handler.extensions_map, ".mjs": "text/javascript"}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], answers
        finally:
            server.shutdown()
            thread.join()
