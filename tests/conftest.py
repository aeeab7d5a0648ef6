"""Fixtures for all components. Tests never touch the person's own settings, caches or ports."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.blenders import BLENDERS, RealBlender, find_blender
from harness.code_checks import BegunCheck
from harness.displays import virtual_display
from hypothesis import HealthCheck, settings
from uni4d_setup import addon_archives, blenders
from uni4d_setup.checks import CHECKS
from uni4d_setup.layout import ROOT

# How fast a machine is, is not what tests are about.
settings.register_profile(
    "steady", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def begun_checks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, BegunCheck]]:
    """The checks of the code itself."""
    folder = tmp_path_factory.mktemp("checks")
    begun = {name: BegunCheck(name, folder) for name in CHECKS}
    yield begun
    for check in begun.values():
        check.stop()


@pytest.fixture(scope="session", autouse=True)
def _checks_run_beside_the_tests(request: pytest.FixtureRequest) -> None:
    """mypy keeps one core busy for half a minute, most tests another: who asks for both waits for one. Of
    several workers the first begins."""
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" and any(
        "begun_checks" in getattr(item, "fixturenames", ()) for item in request.session.items
    ):
        request.getfixturevalue("begun_checks")


@pytest.fixture(params=BLENDERS)
def real_blender(request: pytest.FixtureRequest) -> RealBlender:
    """Each real Blender in turn: Debian's, the bpy module and (with `build.py test --all`) the newest."""
    return find_blender(request.param)


@pytest.fixture
def blender_deps() -> Callable[[RealBlender], Path]:
    """The folder with the add-on's packages for a Blender's Python, for ``headless.py --deps``."""
    return lambda blender: blenders.dependencies(blender.python)


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The add-on's archives for this platform, built from the sources as they are: extension and legacy."""
    folder = tmp_path_factory.mktemp("archives")
    extension, legacy = addon_archives.build_archives(folder, [addon_archives.this_platform()])
    return {"extension": extension, "legacy": legacy}


@pytest.fixture(params=["xvfb", "xorg"])
def display(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The name of a virtual display, in turn of Xvfb and of Xorg with the dummy driver."""
    with virtual_display(request.param, tmp_path) as name:
        yield name


@pytest.fixture
def xvfb(tmp_path: Path) -> Iterator[str]:
    """The name of an Xvfb display."""
    with virtual_display("xvfb", tmp_path) as name:
        yield name


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """``free_ports(n)``: loopback ports that nobody listens on just now."""

    def find(count: int) -> list[int]:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        ports = [opened.getsockname()[1] for opened in sockets]
        for opened in sockets:
            opened.close()
        return ports

    return find
