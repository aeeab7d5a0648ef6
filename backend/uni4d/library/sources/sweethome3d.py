"""Sweet Home 3D's furniture: about 920 meshes with names, tags, sizes, licences and icons.

The models are in the Debian packages ``sweethome3d-furniture`` (catalogues ``*.sh3f``) and ``sweethome3d``
(a jar); both are zip archives with a ``.properties`` catalogue. A model is an OBJ, Y-up, front towards +Z,
in units of its own: the catalogue's width, depth and height (centimetres) give its real size.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen

from uni4d.config import default_cache
from uni4d.library.formats.members import ArchiveMembers
from uni4d.library.formats.obj import parse_mtl
from uni4d.library.formats.reading import read_archived_mesh
from uni4d.library.geometry import Material, TexturedMesh, normalised
from uni4d.library.sources import Entry, stable_uid
from uni4d.library.sources.debian import fetch_packages
from uni4d.library.sources.properties import parse_properties
from uni4d_shared.conventions import GLTF_TO_WORLD, srgb_from_linear
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

__all__ = ["SweetHome3DSource", "cached_copy", "fetch", "locate"]

PACKAGES = ("sweethome3d", "sweethome3d-furniture")
_DOWNLOAD_BYTES = 139_000_000
_INSTALLED = Path("/usr/share/sweethome3d")
_CURE = "Run: sudo apt-get install sweethome3d-furniture sweethome3d; or pass --path FOLDER with its files."

_JAR_CATALOGUE = "com/eteks/sweethome3d/io/DefaultFurnitureCatalog.properties"
_FURNITURE_CATALOGUE = "PluginFurnitureCatalog.properties"
_JAR_MATERIALS = "com/eteks/sweethome3d/j3d/OBJLoader.class"

_LINEAR_COLORS = {"SweetHome3D#ScopiaModels"}
"""Catalogues whose MTL colours are in linear light, as Blender wrote them; the others were made in sRGB.
Found by comparing colours with the shipped icons (mean difference 0.13 so, 0.18 otherwise)."""

_NOISE = {"", "blend swap", "default", "scpts"}
"""Tags that say where a model came from, not what it is."""


def locate(path: Path | None = None, *, progress: Progress = silent, download: bool = True) -> Path:
    """The folder with Sweet Home 3D's files: ``path``, the installed packages, or our cache.

    When it is in none of these places it is downloaded to the cache (unless ``download`` is false).
    """
    if path is not None:
        found = _data_folder(Path(path))
        if found is None:
            raise Uni4DError(
                "source-missing",
                f"{path} holds no Sweet Home 3D catalogue (*.sh3f, sweethome3d.jar).",
                "Pass the folder that holds them, or leave --path away.",
            )
        return found
    for place in (_INSTALLED, cached_copy()):
        found = _data_folder(place)
        if found is not None:
            return found
    if not download:
        raise Uni4DError("source-missing", "Sweet Home 3D's furniture is not on this machine.", _CURE)
    return fetch(progress)


def cached_copy() -> Path:
    """Where :func:`fetch` puts the files."""
    return default_cache() / "sources" / "sweethome3d"


def fetch(progress: Progress = silent) -> Path:
    """Download the Debian packages (120 MB) and unpack them into the cache; no root is needed."""
    fetch_packages(PACKAGES, cached_copy(), _CURE, progress, _DOWNLOAD_BYTES)
    found = _data_folder(cached_copy())
    if found is None:
        raise Uni4DError("download-failed", "The packages hold no furniture catalogue.", _CURE)
    return found


def _data_folder(path: Path) -> Path | None:
    """``path`` or the folder under it that holds the catalogues."""
    for folder in (path, path / "usr/share/sweethome3d", path / "sweethome3d"):
        if _archives(folder):
            return folder
    return None


def _archives(folder: Path) -> list[Path]:
    found = [*folder.glob("*.sh3f"), *folder.glob("furniture/*.sh3f"), *folder.glob("sweethome3d.jar")]
    return sorted(found, key=lambda path: path.name)


@frozen
class SweetHome3DSource:
    """The catalogues of one folder."""

    folder: Path = field(converter=Path)

    def entries(self) -> list[Entry]:
        return [entry for archive in _archives(self.folder) for entry in self._read_catalogue(archive)]

    def load(self, entry: Entry, *, draft: bool = False) -> TexturedMesh:
        archive_name, _, member = entry.key.partition("!")
        archive = _open_archive(self.folder / archive_name)
        defaults = _default_materials(archive) if archive_name.endswith(".jar") else None
        mesh = read_archived_mesh(archive, member, defaults, draft=draft)
        if _catalogue(archive).get("id", "").strip() in _LINEAR_COLORS:
            mesh = evolve(mesh, materials=tuple(_from_linear(material) for material in mesh.materials))
        if entry.rotation is not None:
            turn = GLTF_TO_WORLD @ np.array(entry.rotation).reshape(3, 3) @ GLTF_TO_WORLD.T
            mesh = evolve(
                mesh,
                vertices=(mesh.vertices @ turn.T).astype(np.float32),
                normals=(mesh.normals @ turn.T).astype(np.float32),
            )
        return evolve(normalised(mesh, entry.size), name=entry.name)

    def icon(self, entry: Entry) -> bytes | None:
        archive_name, _, member = entry.key.partition("!")
        archive = _open_archive(self.folder / archive_name)
        try:
            catalogue = _catalogue(archive)
            number = next(key for key, value in catalogue.items() if value == f"/{member}").partition("#")[2]
            return ArchiveMembers(archive, "").read(catalogue[f"icon#{number}"].lstrip("/"))
        except (KeyError, StopIteration, FileNotFoundError):
            return None

    def _read_catalogue(self, path: Path) -> list[Entry]:
        archive = _open_archive(path)
        catalogue = _catalogue(archive)
        checksums = _folder_checksums(archive)
        numbers = sorted(int(key[6:]) for key in catalogue if re.fullmatch(r"model#\d+", key))
        return [self._entry(path, catalogue, number, checksums) for number in numbers]

    def _entry(self, path: Path, catalogue: dict[str, str], number: int, checksums: dict[str, int]) -> Entry:
        def value(key: str, default: str = "") -> str:
            return catalogue.get(f"{key}#{number}", default).strip()

        member = value("model").lstrip("/")
        identifier = value("id", member)
        name = value("name") or identifier.rpartition("#")[2].replace("_", " ")
        tags = tuple(tag.strip() for tag in value("tags").split(","))
        described = repr(
            [(key, value(key)) for key in ("name", "tags", "category", "width", "modelRotation")]
        )
        folder = member.rpartition("/")[0]
        seed = f"{described}{checksums.get(member, 0)}{checksums.get(folder + '/', 0)}"
        rotation = tuple(float(part) for part in value("modelRotation").split())
        collection = catalogue.get("name", "").strip() or "Default"
        return Entry(
            uid=stable_uid("sweethome3d", identifier),
            key=f"{path.relative_to(self.folder).as_posix()}!{member}",
            fingerprint=hashlib.sha256(seed.encode()).hexdigest()[:16],
            name=name,
            tags=tuple(tag for tag in tags if tag.lower() not in _NOISE),
            category=value("category"),
            licence=_licence(catalogue.get("license", "")),
            author=value("creator"),
            collection=f"Sweet Home 3D: {collection.removesuffix(' catalog')}",
            size=tuple(float(value(key, "0")) / 100 for key in ("width", "depth", "height")),  # type: ignore[arg-type]
            rotation=rotation if len(rotation) == 9 else None,
            translations=_translations(_open_archive(path), number, name),
        )


@cache
def _open_archive(path: Path) -> zipfile.ZipFile:
    """One open archive per path and process: opening reads the whole directory of the zip."""
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise Uni4DError(
            "source-unreadable", f"{path} cannot be read: {error}.", "Delete it and run again."
        ) from error


@cache
def _catalogue(archive: zipfile.ZipFile) -> dict[str, str]:
    members = ArchiveMembers(archive, "")
    name = _JAR_CATALOGUE if _JAR_CATALOGUE in archive.NameToInfo else _FURNITURE_CATALOGUE
    try:
        return parse_properties(members.read(name))
    except FileNotFoundError as error:
        raise Uni4DError(
            "source-unreadable", f"{archive.filename} holds no furniture catalogue.", _CURE
        ) from error


@cache
def _localised(archive: zipfile.ZipFile) -> tuple[dict[str, str], ...]:
    """The catalogue in the other languages that the archive speaks (about 20)."""
    name = _JAR_CATALOGUE if _JAR_CATALOGUE in archive.NameToInfo else _FURNITURE_CATALOGUE
    stem = name.removesuffix(".properties")
    members = sorted(
        member
        for member in archive.NameToInfo
        if member.startswith(f"{stem}_") and member.endswith(".properties")
    )
    return tuple(parse_properties(archive.read(member)) for member in members)


def _translations(archive: zipfile.ZipFile, number: int, name: str) -> tuple[str, ...]:
    """What the entry of this number is called in other languages, each name once."""
    names = (catalogue.get(f"name#{number}", "").strip() for catalogue in _localised(archive))
    return tuple(dict.fromkeys(other for other in names if other and other != name))


def _folder_checksums(archive: zipfile.ZipFile) -> dict[str, int]:
    """The CRC of every file, and under ``folder/`` the sum over the files directly in it."""
    sums: dict[str, int] = {}
    for info in archive.infolist():
        sums[info.filename] = info.CRC
        folder = info.filename.rpartition("/")[0] + "/"
        sums[folder] = sums.get(folder, 0) + info.CRC
    return sums


@cache
def _default_materials(archive: zipfile.ZipFile) -> dict[str, Material]:
    """The materials that the jar's models name without defining them.

    Sweet Home 3D carries their MTL text as one string constant of its OBJ loader: a tag, a length (two
    bytes, big-endian), the text (Java Virtual Machine Specification §4.4.7).
    """
    members = ArchiveMembers(archive, "")
    try:
        data = members.read(_JAR_MATERIALS)
    except FileNotFoundError:
        return {}
    start = data.find(b"newmtl amber\n")
    if start < 2:
        return {}
    length = int.from_bytes(data[start - 2 : start], "big")
    return parse_mtl(data[start : start + length], members)


def _from_linear(material: Material) -> Material:
    """The material with its colour read as linear light; textured ones have no colour of their own."""
    if material.texture is not None:
        return material
    red, green, blue = srgb_from_linear(np.array(material.color[:3])).tolist()
    return evolve(material, color=(red, green, blue, material.color[3]))


def _licence(text: str) -> str:
    """The SPDX name of a catalogue's licence where it is clear, else the catalogue's own words."""
    plain = text.lower()
    if "public domain" in plain or "cc-0" in plain or "cc0" in plain:
        return "CC0-1.0"
    if "gpl" in plain and "cc-by" in plain:
        return "CC-BY-3.0 OR GPL-2.0-or-later"
    if "attribution 3.0 united states" in plain:
        return "CC-BY-3.0-US"
    if "attribution 3.0" in plain or "cc-by 3.0" in plain:
        return "CC-BY-3.0"
    return text.strip() or "unknown"
