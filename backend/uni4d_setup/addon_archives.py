"""The installable archives of the add-on, byte for byte the same from the same sources.

``uni4d-VERSION-PLATFORM.zip``
    an extension for Blender 4.2 and newer: manifest, sources, and wheels for every Python of these Blenders;
``uni4d-VERSION-legacy.zip``
    an add-on for Blender 3.4 … 4.1, which know no wheels: the same packages lie unpacked in
    ``uni4d/vendor/any/`` (pure Python) and ``uni4d/vendor/cp310-linux-x64/`` and the like.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from platform import machine as machine_name

import tomllib

from uni4d_setup.addon_packages import PLATFORMS, requirements
from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import ADDON, DIST, LOCAL_CACHE, SHARED, VENV, VENV_BPY, venv_program

__all__ = ["build_archives", "this_platform"]

EXTENSION_PYTHONS = ((3, 11), (3, 13), (3, 14))
"""Blender 4.2 … 5.0 carry 3.11, 5.1 and newer 3.13; Debian builds 5.2 with 3.14."""
LEGACY_PYTHONS = ((3, 10), (3, 11))
_EPOCH = (2024, 1, 1, 0, 0, 0)
_EPOCH_SECONDS = "1704067200"  # the same moment, for the tools that read SOURCE_DATE_EPOCH


def _version() -> str:
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    return str(manifest["version"])


def _sources() -> dict[str, bytes]:
    """The add-on's files by their path in its folder."""
    files = {}
    for path in sorted(ADDON.rglob("*")):
        relative = path.relative_to(ADDON)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if path.is_file() and not hidden and relative.parts[0] not in ("vendor", "wheels"):
            files[relative.as_posix()] = path.read_bytes()
    return files


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """A zip whose bytes depend on names and contents only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, on whatever system this runs
            entry.external_attr = 0o100644 << 16
            stored = name.endswith(".whl")  # compressed already
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    partial.replace(path)


def _download(step: Step, platform: str, python: tuple[int, int]) -> list[Path]:
    """The wheels of the add-on's packages for one platform and Python, from the cache once they are there."""
    folder = LOCAL_CACHE / "wheels" / f"cp{python[0]}{python[1]}-{platform}"
    wanted = requirements(python)
    stamp = folder / "requirements.json"
    if not stamp.is_file() or json.loads(stamp.read_text(encoding="utf-8")) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        tags = [argument for tag in PLATFORMS[platform] for argument in ("--platform", tag)]
        options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps"]
        binary = ["--only-binary", ":all:", "--implementation", "cp"]
        version = ["--python-version", f"{python[0]}.{python[1]}"]
        program: list[str | Path] = [venv_program(VENV, "python"), "-m", "pip", "download", "--dest", folder]
        step.run([*program, *options, *binary, *version, *tags, *wanted])
        stamp.write_text(json.dumps(wanted), encoding="utf-8")
    return sorted(folder.glob("*.whl"))


def _shared_wheel(step: Step) -> Path:
    """A wheel of ``uni4d_shared``, built from a copy so that the sources stay clean; kept by content."""
    files = sorted(path for path in (SHARED / "uni4d_shared").rglob("*") if path.suffix in (".py", ".typed"))
    digest = hashlib.sha256()
    sources = [SHARED / "pyproject.toml", SHARED / "LICENSE", *files]
    for path in sources:
        digest.update(f"{path.relative_to(SHARED)}\n".encode() + path.read_bytes())
    folder = LOCAL_CACHE / "wheels" / "shared" / digest.hexdigest()[:16]
    if not list(folder.glob("*.whl")):
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / "shared"
            for path in sources:
                target = copy / path.relative_to(SHARED)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
                target.chmod(0o644)
            program: list[str | Path] = [venv_program(VENV, "python"), "-m", "pip", "wheel", "--no-input"]
            step.run(
                [*program, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy],
                env={"SOURCE_DATE_EPOCH": _EPOCH_SECONDS},
            )
    return next(folder.glob("*.whl"))


def _manifest(text: str, platform: str, wheels: Iterable[str]) -> str:
    """The manifest of one platform's extension: the source's, with its platform and wheels filled in."""
    for key in ("platforms", "wheels"):
        text = re.sub(rf"^{key}\s*=\s*\[[^\]]*\]\s*\n", "", text, flags=re.MULTILINE)
    listed = "".join(f'  "./wheels/{wheel}",\n' for wheel in wheels)
    filled = f'platforms = ["{platform}"]\nwheels = [\n{listed}]\n\n'
    table = re.search(r"^\[", text, flags=re.MULTILINE)
    position = table.start() if table else len(text)
    text = text[:position] + filled + text[position:]
    tomllib.loads(text)
    return text


def _build_extension(step: Step, folder: Path, platform: str, shared: Path) -> Path:
    wheels = {shared.name: shared}
    for python in EXTENSION_PYTHONS:
        wheels.update({wheel.name: wheel for wheel in _download(step, platform, python)})
    files = _sources()
    manifest = files["blender_manifest.toml"].decode()
    files["blender_manifest.toml"] = _manifest(manifest, platform, sorted(wheels)).encode()
    files.update({f"wheels/{name}": path.read_bytes() for name, path in wheels.items()})
    archive = folder / f"uni4d-{_version()}-{platform}.zip"
    _write_zip(archive, files)
    return archive


def _unpacked(wheel: Path) -> dict[str, bytes]:
    """A wheel's files where an import finds them."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if any(".data/" in name for name in names):
            raise SetupError(f"{wheel.name} has a .data folder, which the legacy archive cannot carry.")
        return {name: archive.read(name) for name in names}


def _build_legacy(step: Step, folder: Path, platforms: Iterable[str], shared: Path) -> Path:
    files = {f"uni4d/{name}": data for name, data in _sources().items() if name != "blender_manifest.toml"}
    for platform in platforms:
        for python in LEGACY_PYTHONS:
            for wheel in [*_download(step, platform, python), shared]:
                pure = wheel.name.endswith("-none-any.whl")
                target = "any" if pure else f"cp{python[0]}{python[1]}-{platform}"
                files.update({f"uni4d/vendor/{target}/{n}": data for n, data in _unpacked(wheel).items()})
    archive = folder / f"uni4d-{_version()}-legacy.zip"
    _write_zip(archive, files)
    return archive


def _validator() -> Path | None:
    """Blender's own checker of extensions, which the bpy module carries."""
    found = sorted(VENV_BPY.glob("**/bl_pkg/cli/blender_ext.py"))
    return found[-1] if found else None


def this_platform() -> str:
    """Blender's name of the platform we are on; an error where the add-on's packages have no wheels."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine_name().lower(), "")
    name = f"{system}-{machine}"
    if name not in PLATFORMS:
        raise SetupError(f"No archive of the add-on is made for {name}; for {', '.join(PLATFORMS)} there is.")
    return name


def build_archives(folder: Path = DIST, platforms: Iterable[str] = tuple(PLATFORMS)) -> list[Path]:
    """Write one extension per platform, then the legacy add-on for all of them; return their paths.

    Where the bpy module is installed, its own checker reads the extensions.
    """
    if not (ADDON / "blender_manifest.toml").is_file():
        raise SetupError(f"{ADDON} has no blender_manifest.toml.")
    with Step("The add-on's archives") as step:
        shared = _shared_wheel(step)
        extensions = [_build_extension(step, folder, platform, shared) for platform in platforms]
        built = [*extensions, _build_legacy(step, folder, platforms, shared)]
        checker = _validator()
        if checker is not None:
            for path in extensions:
                step.run([venv_program(VENV, "python"), checker, "validate", path])
        size = sum(path.stat().st_size for path in built) / 1e6
        step.detail(f"{len(built)} files, {size:.0f} MB{', validated' if checker else ''}")
    return built
