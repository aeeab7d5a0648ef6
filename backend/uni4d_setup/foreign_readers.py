"""Programs of others that the tests of ``uni4d export`` read its files with: npm packages and a Chromium.

The packages are installed at fixed versions, without their install scripts, into the user's cache; Node.js
and Chromium come from the system. Only ``build.py test --all`` asks for them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from uni4d_setup import debian
from uni4d_setup.console import Step, note
from uni4d_setup.layout import user_cache

__all__ = ["PACKAGES", "chromium", "ensure", "missing_reason", "node_modules"]

PACKAGES = {
    "@mkkellogg/gaussian-splats-3d": "0.4.7",
    "@playcanvas/splat-transform": "3.7.0",
    "gltf-validator": "2.0.0-dev.3.10",
    "playcanvas": "2.23.3",
}
"""A viewer on three.js, a converter of splat files, Khronos's validator of glTF, and a viewer of its own."""
_SYSTEM = ["chromium", "nodejs", "npm"]
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _home() -> Path:
    return user_cache() / "foreign-readers"


def node_modules() -> Path | None:
    """The folder with exactly :data:`PACKAGES`, or None."""
    stamp = _home() / "installed.json"
    if not stamp.is_file() or json.loads(stamp.read_text(encoding="utf-8")) != PACKAGES:
        return None
    return _home() / "node_modules"


def chromium() -> Path | None:
    """A Chromium on PATH."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    return Path(found) if found else None


def missing_reason() -> str:
    """Why the tests that need all of this cannot run; empty when they can."""
    if shutil.which("node") is None:
        return "no Node.js on PATH"
    if node_modules() is None:
        return "the npm packages are not installed; `build.py test --all` does that"
    return "" if chromium() else "no Chromium on PATH"


def ensure() -> None:
    """Install what is missing and can be; the tests skip what cannot."""
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    if absent or chromium() is None:
        wanted = [name for name in _SYSTEM if name == "chromium" or absent]
        if not debian.can_install():
            note(
                f"tests of exports with foreign readers are skipped: install {', '.join(wanted)} to run them"
            )
            return
        debian.install(wanted, "The exports are read by a browser and by npm packages.")
    if node_modules() is not None:
        return
    shutil.rmtree(_home(), ignore_errors=True)
    _home().mkdir(parents=True)
    with Step("Foreign readers of the exports, from npm") as step:
        options: list[str | Path] = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        names = [f"{name}@{version}" for name, version in PACKAGES.items()]
        if step.attempt(["npm", "install", *options, "--prefix", _home(), *names]) != 0:
            note(f"tests of exports with foreign readers are skipped: npm failed, see {step.log}")
            return
    (_home() / "installed.json").write_text(json.dumps(PACKAGES), encoding="utf-8")
