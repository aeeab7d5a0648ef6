"""Any folder of meshes as a library: OBJ, GLB, glTF, PLY, STL, and zip archives that hold one mesh.

Names come from the files' names, categories from the folders'. A text file beside a mesh with the same
name (``bear.txt``) describes it: its first line is the name, further lines are tags. ``LICENSE`` or
``LICENSE.txt`` in the folder is named as the licence of what lies in it and below.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from attrs import evolve, field, frozen

from uni4d.library.formats.reading import load_mesh
from uni4d.library.geometry import MESH_SUFFIXES, TexturedMesh, normalised
from uni4d.library.sources import Entry, stable_uid
from uni4d_shared.errors import Uni4DError

__all__ = ["FolderSource"]

_SMALLEST, _LARGEST = 0.01, 100.0
"""Metres; a mesh outside these bounds was not modelled in metres and is scaled to ``_USUAL``."""
_USUAL = 1.0


@frozen
class FolderSource:
    """All meshes in ``folder`` and below it."""

    folder: Path = field(converter=Path)

    def entries(self) -> list[Entry]:
        if not self.folder.is_dir():
            raise Uni4DError(
                "source-missing", f"There is no folder {self.folder}.", "Pass an existing folder as --path."
            )
        paths = sorted(
            path for path in self.folder.rglob("*") if path.suffix.lower() in MESH_SUFFIXES and path.is_file()
        )
        return [self._entry(path) for path in paths]

    def load(self, entry: Entry, *, draft: bool = False) -> TexturedMesh:
        mesh = load_mesh(self.folder / entry.key)
        largest = float(mesh.extents.max())
        if largest > 0 and not _SMALLEST <= largest <= _LARGEST:
            factor = _USUAL / largest
            width, depth, height = (float(extent) * factor for extent in mesh.extents)
            return evolve(normalised(mesh, (width, depth, height)), name=entry.name)
        return evolve(normalised(mesh), name=entry.name)

    def icon(self, entry: Entry) -> bytes | None:
        """Folders ship no icons; a picture beside a mesh may be its texture."""
        return None

    def _entry(self, path: Path) -> Entry:
        relative = path.relative_to(self.folder)
        notes = path.with_suffix(".txt")
        text = notes.read_text("utf-8", "replace") if notes.is_file() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # A mesh called "model.obj" or "scene.gltf" is named by its folder.
        plain = path.stem.lower() in ("model", "scene", "mesh", "object", "base") and len(relative.parts) > 1
        name = lines[0] if lines else _words(relative.parts[-2] if plain else path.stem)
        folders = relative.parts[: -2 if plain else -1]
        state = path.stat()
        return Entry(
            uid=stable_uid("folder", relative.with_suffix("").as_posix()),
            key=relative.as_posix(),
            fingerprint=hashlib.sha256(
                f"{relative}|{state.st_size}|{state.st_mtime_ns}|{lines}".encode()
            ).hexdigest()[:16],
            name=name,
            tags=tuple(lines[1:]),
            category=_words(folders[-1]) if folders else "",
            licence=self._licence(path),
            author="",
            collection=f"folder {self.folder.name}",
        )

    def _licence(self, path: Path) -> str:
        for folder in path.parents:
            for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
                if (folder / name).is_file():
                    with (folder / name).open(encoding="utf-8", errors="replace") as file:
                        return file.readline(200).strip() or f"see {name}"
            if folder == self.folder:
                break
        return "unknown"


def _words(name: str) -> str:
    """``"TeddyBear_02"`` → ``"teddy bear"``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-.]+", " ", name).split()
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return " ".join(words).lower()
