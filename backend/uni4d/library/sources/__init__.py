"""The places that assets come from. Each is a :class:`Source`; :func:`open_source` makes one by name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from attrs import frozen

from uni4d.config import LibraryConfig
from uni4d.library.geometry import TexturedMesh
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

__all__ = ["Entry", "Source", "open_source", "stable_uid"]


@frozen
class Entry:
    """One object of a source, before its mesh was read."""

    uid: str
    """Stable: depends on the source and the object's name in it only."""
    key: str
    """How the source finds the mesh again."""
    fingerprint: str
    """Changes when the files or the description of the object change."""
    name: str
    tags: tuple[str, ...]
    category: str
    licence: str
    author: str
    collection: str
    """The part of the source that it is in, e.g. ``"Sweet Home 3D: Scopia"``."""
    size: tuple[float, float, float] | None = None
    """Width, depth and height in metres, when the source knows them."""
    rotation: tuple[float, ...] | None = None
    """Nine numbers, row by row: a rotation in the file's own axes that puts the object upright."""
    translations: tuple[str, ...] = ()
    """Its name in other languages, in any order."""
    animated: bool = False
    """Whether it comes with a motion of its own."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Name, tags and category without repetitions; the name comes first."""
        return tuple(dict.fromkeys(text for text in (self.name, *self.tags, self.category) if text))


class Source(Protocol):
    """A collection of meshes with what is known about them. Small and picklable: it holds paths only."""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        ...

    def entries(self) -> list[Entry]:
        """All objects in a stable order."""
        ...

    def load(self, entry: Entry, *, draft: bool = False) -> TexturedMesh:
        """The mesh as it goes into the library: upright, real size, base at height 0, centred in plan.

        A ``draft`` may be coarser in what small pictures do not show (normals, shared vertices).
        ``Uni4DError("mesh-unreadable")`` names the file.
        """
        ...

    def icon(self, entry: Entry) -> bytes | None:
        """A picture (PNG) that the source ships for the object."""
        ...


def open_source(config: LibraryConfig, progress: Progress = silent) -> Source:
    """The source that ``config`` names; ``sweethome3d`` is downloaded when it is nowhere to be found."""
    if config.source == "folder":
        from uni4d.library.sources.folder import FolderSource

        if config.path is None:
            raise Uni4DError(
                "source-missing", "The source “folder” needs a folder of meshes.", "Pass --path FOLDER."
            )
        return FolderSource(Path(config.path))
    if config.source == "sweethome3d":
        from uni4d.library.sources.sweethome3d import SweetHome3DSource, locate

        return SweetHome3DSource(locate(config.path, progress=progress))
    raise Uni4DError(
        "source-unknown", f"There is no source “{config.source}”.", "Known: sweethome3d, folder."
    )


def stable_uid(source: str, identifier: str) -> str:
    """A short name for an object that is safe in file names and the same on every machine."""
    import hashlib
    import re

    digest = hashlib.sha256(f"{source}\0{identifier}".encode()).hexdigest()[:10]
    words = re.sub(r"[^a-z0-9]+", "-", identifier.rpartition("#")[2].rpartition("/")[2].lower()).strip("-")
    return f"{words[:40].strip('-') or 'object'}-{digest}"
