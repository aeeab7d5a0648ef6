"""A finished library: its assets, their meshes as GLB, their thumbnails."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from uni4d.config import LibraryConfig
from uni4d.library.catalog import AssetTable, Catalog
from uni4d.library.features import AssetFeatures
from uni4d.library.sources import Entry, Source, open_source
from uni4d.library.store import Store
from uni4d.library.survey import thumbnail_path
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Asset

__all__ = ["Library", "hash_of", "library_folder", "open_library"]

MANIFEST = "library.json"
FEATURES = "features.npz"
_CONVERSION = "2"
"""Raise it when the GLB of an asset changes: files of another version are made again."""


def library_folder(config: LibraryConfig) -> Path:
    """The library's own folder: each source under ``config.root`` has one."""
    if config.source == "folder" and config.path is not None:
        digest = hashlib.sha256(str(Path(config.path).resolve()).encode()).hexdigest()[:10]
        return config.root / f"folder-{digest}"
    return config.root / config.source


def open_library(config: LibraryConfig) -> Library:
    """The library that :func:`uni4d.library.build.build_library` made with this configuration.

    Raises ``library-missing``, ``library-empty``, and ``library-outdated`` when its vectors are not those of
    the present weights.
    """
    from uni4d.retrieval import encoder

    folder = library_folder(config)
    build = "uni4d library build" + (
        f" --source folder --path {config.path}" if config.source == "folder" else ""
    )
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise Uni4DError(
            "library-missing", f"There is no finished library in {folder}.", f"Run: {build}"
        ) from error
    table = Catalog(folder / "catalog").assets()
    if table is None:
        raise Uni4DError("library-missing", f"The catalog in {folder} is gone.", f"Run: {build}")
    if not table.entries:
        raise Uni4DError(
            "library-empty",
            f"The library in {folder} holds no usable asset"
            + (f" ({len(manifest['skipped'])} could not be read)." if manifest["skipped"] else "."),
            "Build it from a folder with meshes: uni4d library build --source folder --path FOLDER",
        )
    if manifest.get("atms") != hash_of(encoder.WEIGHTS):
        raise Uni4DError(
            "library-outdated",
            f"The shapes in {folder} were compared by other weights of the retrieval model.",
            f"Run: {build} (the meshes are not read again)",
        )
    source = attrs.evolve(config, path=Path(manifest["path"]))
    return Library(folder, source, table, tuple(tuple(item) for item in manifest["skipped"]))


def hash_of(weights: Path) -> str:
    """What a file of weights is known by; empty where there is none."""
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else ""


class Library:
    """Assets by uid. Reading is safe from several processes at once."""

    def __init__(
        self, folder: Path, config: LibraryConfig, table: AssetTable, skipped: tuple[tuple[str, ...], ...]
    ) -> None:
        self.folder = folder
        self.table = table
        """All assets with the vectors that they are found by."""
        self.skipped = skipped
        """``(name, reason)`` of every mesh that could not be used."""
        self.config = config
        self._store = Store(folder / "files")
        self._rows = {entry.uid: row for row, entry in enumerate(table.entries)}

    def __len__(self) -> int:
        return len(self.table.entries)

    def assets(self) -> list[Asset]:
        """All assets; ``path`` is empty for those that were never fetched."""
        return [self._asset(entry) for entry in self.table.entries]

    def row(self, uid: str) -> int:
        """The asset's row in :attr:`table`; ``Uni4DError("asset-unknown")``."""
        if uid not in self._rows:
            raise Uni4DError("asset-unknown", f"The library has no asset “{uid}”.", "Search again.")
        return self._rows[uid]

    def get(self, uid: str) -> Asset:
        """The asset with its mesh as GLB; converted from the source's format the first time."""
        entry = self.table.entries[self.row(uid)]
        path = self.glb_path(entry)
        if not path.exists():
            from uni4d.library.formats.gltf_writer import glb_bytes

            mesh = self._source.load(entry)
            credit = f"{entry.name} by {entry.author or 'unknown'} ({entry.collection}), {entry.licence}"
            self._store.write(path, glb_bytes(mesh, copyright_notice=credit, extras=_extras(entry)))
        return self._asset(entry)

    def features(self) -> AssetFeatures:
        """What the encoders gave for all assets, for training and evaluation."""
        path = self.folder / FEATURES
        try:
            return AssetFeatures.load(path)
        except (OSError, ValueError, KeyError) as error:
            raise Uni4DError(
                "library-damaged", f"{path} cannot be read: {error}.", "Run: uni4d library build --force"
            ) from error

    def thumbnail(self, uid: str) -> Path:
        """A PNG of the asset, about 128 pixels."""
        return thumbnail_path(self._store, self.table.entries[self.row(uid)])

    def glb_path(self, entry: Entry) -> Path:
        """Where the asset's GLB is, or will be."""
        return self._store.path(".glb", "glb", _CONVERSION, entry.uid, entry.fingerprint)

    @cached_property
    def _source(self) -> Source:
        return open_source(self.config)

    def _asset(self, entry: Entry) -> Asset:
        path = self.glb_path(entry)
        return Asset(
            uid=entry.uid,
            name=entry.name,
            texts=entry.texts,
            licence=entry.licence,
            author=entry.author,
            source=entry.collection,
            path=str(path) if path.exists() else "",
        )


def _extras(entry: Entry) -> dict[str, Any]:
    return {
        "uid": entry.uid,
        "title": entry.name,
        "author": entry.author,
        "license": entry.licence,
        "source": entry.collection,
    }
