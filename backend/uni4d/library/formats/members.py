"""Bounded reading of a mesh's companion files (materials, textures), from a folder or a zip archive.

A mesh file names its companions by relative paths, and those come from strangers. They are read into
memory, never unpacked to disk, and never from outside the folder or archive that holds the mesh.
"""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from typing import Protocol

__all__ = ["MAX_MEMBER_BYTES", "ArchiveMembers", "FolderMembers", "Members"]

MAX_MEMBER_BYTES = 512 * 1024 * 1024
"""The largest file that is read; beyond it the mesh is refused."""

_MAX_RATIO = 1000
"""The largest compression ratio of a member; text compresses 5-20 times, a zip bomb 1000 times."""


class Members(Protocol):
    """The files around a mesh."""

    def read(self, name: str) -> bytes:
        """The bytes of a file named relative to the mesh; ``FileNotFoundError`` or ``ValueError``."""
        ...


class FolderMembers:
    """Files in the mesh's folder and below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, name: str) -> bytes:
        path = (self._folder / name.replace("\\", "/")).resolve()
        if not path.is_relative_to(self._folder):
            raise ValueError(f"{name!r} lies outside the mesh's folder")
        if path.stat().st_size > MAX_MEMBER_BYTES:
            raise ValueError(f"{name!r} is larger than {MAX_MEMBER_BYTES} bytes")
        return path.read_bytes()


class ArchiveMembers:
    """Files beside a mesh inside an open zip archive (``.zip``, ``.jar``, ``.sh3f``)."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder

    def read(self, name: str) -> bytes:
        member = posixpath.normpath(posixpath.join(self._folder, name.replace("\\", "/")))
        if member.startswith(("..", "/")):
            raise ValueError(f"{name!r} lies outside the archive")
        try:
            info = self._archive.getinfo(member)
        except KeyError:
            raise FileNotFoundError(f"{member!r} is not in {self._archive.filename}") from None
        if info.file_size > MAX_MEMBER_BYTES or info.file_size > _MAX_RATIO * max(info.compress_size, 1024):
            raise ValueError(f"{member!r} unpacks to {info.file_size} bytes; that is refused")
        return self._archive.read(info)
