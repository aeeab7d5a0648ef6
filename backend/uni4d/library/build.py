"""Building a library: every mesh of a source read once, described, embedded, indexed.

A build goes on where an earlier one stopped, and a second build of an unchanged source ends at once. When
nothing but the weights of ATMS is new, only the shape vectors are made again, from the features of the
earlier build.
Meshes that cannot be read are left out and named.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from uni4d.config import LibraryConfig
from uni4d.library.catalog import AssetTable, Catalog
from uni4d.library.duplicates import near_duplicates
from uni4d.library.features import AssetFeatures, features_of, stacked_views
from uni4d.library.opened import FEATURES, MANIFEST, Library, hash_of, library_folder, open_library
from uni4d.library.sources import Entry, open_source
from uni4d.library.store import Store
from uni4d.library.survey import Reading, Surveyor, survey, thumbnail_path
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["Library", "build_library", "open_library", "vectors_of_words"]

Array = NDArray[Any]

_FORMAT = 3
"""Raise it when the catalog changes: libraries of another format are indexed again."""
_BATCH = 24
"""Readings per write; a build that is stopped repeats at most so many meshes."""


def build_library(config: LibraryConfig, progress: Progress, *, force: bool = False) -> Library:
    """Build, complete or just open the library of ``config``.

    ``force`` reads every mesh again. Raises ``library-empty`` when not one mesh can be used.
    """
    from uni4d.retrieval import encoder

    source = open_source(config, section(progress, 0.0, 0.2))
    progress(0.2, "reading the catalogue")
    entries = source.entries()
    folder = library_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    with _sole_builder(folder):
        surveyor = Surveyor(source, folder / "files", config.views, config.points)
        state, weights = _state(surveyor, entries), hash_of(encoder.WEIGHTS)
        earlier = {} if force else _manifest(folder)
        if earlier.get("state") == state:
            if earlier.get("atms") != weights:
                _embed_again(folder, section(progress, 0.9, 1.0))
                _write_manifest(folder, {**earlier, "atms": weights})
            return open_library(config)
        (folder / MANIFEST).unlink(missing_ok=True)
        catalog = Catalog(folder / "catalog")
        readings = _read_all(
            surveyor, entries, catalog, config.processes, section(progress, 0.2, 0.9), force=force
        )
        progress(0.9, "embedding the names")
        usable = [entry for entry in entries if not readings[entry.uid].error]
        table = _describe(folder, usable, readings, section(progress, 0.9, 0.97))
        _write_table(catalog, folder, table, section(progress, 0.97, 1.0))
        skipped = [(entry.name, readings[entry.uid].error) for entry in entries if readings[entry.uid].error]
        manifest = {
            "state": state,
            "atms": weights,
            "source": config.source,
            "path": str(Path(source.folder).resolve()),
            "assets": len(usable),
            "skipped": skipped,
        }
        _write_manifest(folder, manifest)
    progress(1.0, f"{len(usable)} assets" + (f", {len(skipped)} left out" if skipped else ""))
    return open_library(config)


@contextmanager
def _sole_builder(folder: Path) -> Iterator[None]:
    """Hold the library's lock; ``Uni4DError("library-busy")`` when another process builds it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Uni4DError(
                "library-busy", f"Another process is building {folder}.", "Wait until it has finished."
            ) from error
        yield


def _state(surveyor: Surveyor, entries: Sequence[Entry]) -> str:
    """A hash over everything that the built library depends on, the weights of ATMS apart."""
    from uni4d.encoders.local import points
    from uni4d.retrieval.text_index import knowledge_fingerprint

    digest = hashlib.sha256(f"{_FORMAT} {hash_of(points.WEIGHTS)} {knowledge_fingerprint()}".encode())
    for entry in entries:
        digest.update(f"{entry}{surveyor.fingerprint(entry)}\n".encode())
    return digest.hexdigest()


def _manifest(folder: Path) -> dict[str, Any]:
    """What a finished build wrote; empty where there is none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        return manifest
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=1))
    partial.replace(folder / MANIFEST)


def _embed_again(folder: Path, progress: Progress) -> None:
    """New shape vectors in a finished library, everything else as it is."""
    from uni4d.encoders.local import MiniLM
    from uni4d.retrieval import encoder

    progress(0.0, "comparing shapes and looks anew")
    catalog = Catalog(folder / "catalog")
    table = catalog.assets()
    if table is None or not table.entries:
        return
    atms = encoder.AtmsEncoder.load(MiniLM(), encoder.WEIGHTS)
    vectors = atms.embed_features(AssetFeatures.load(folder / FEATURES))
    _write_table(catalog, folder, attrs.evolve(table, shape_vector=vectors), section(progress, 0.5, 1.0))


def _write_table(catalog: Catalog, folder: Path, table: AssetTable, progress: Progress) -> None:
    """The table of assets, with indexes where it is too large to be compared whole."""
    from uni4d.retrieval.candidates import build_candidates
    from uni4d.retrieval.index import IndexConfig

    catalog.write_assets(table)
    catalog.compact()
    index = IndexConfig()
    if len(table.entries) > index.exact_limit:
        build_candidates(folder / "catalog", table, index, progress)


def _read_all(
    surveyor: Surveyor,
    entries: Sequence[Entry],
    catalog: Catalog,
    processes: int,
    progress: Progress,
    *,
    force: bool,
) -> dict[str, Reading]:
    """A reading for every entry: those known from an earlier build, and the others from the meshes."""
    known = {} if force else catalog.readings()
    store = Store(surveyor.files)
    readings: dict[str, Reading] = {}
    for entry in entries:
        reading = known.get(entry.uid)
        if reading is None or reading.fingerprint != surveyor.fingerprint(entry):
            continue
        if reading.error or thumbnail_path(store, entry).exists():
            readings[entry.uid] = reading
    missing = [entry for entry in entries if entry.uid not in readings]
    if not missing:
        return readings
    names = {entry.uid: entry.name for entry in missing}
    batch: list[Reading] = []
    progress(len(readings) / len(entries), f"reading {len(missing)} meshes")
    with closing(survey(surveyor, missing, processes)) as survey_of_missing:
        try:
            for reading in survey_of_missing:
                readings[reading.uid] = reading
                batch.append(reading)
                if len(batch) >= _BATCH:
                    catalog.add_readings(batch)
                    batch = []
                message = f"cannot use {names[reading.uid]}" if reading.error else names[reading.uid]
                progress(len(readings) / len(entries), f"{len(readings)}/{len(entries)} {message}")
        finally:
            if batch:
                catalog.add_readings(batch)
    return readings


def _describe(
    folder: Path, entries: Sequence[Entry], readings: dict[str, Reading], progress: Progress
) -> AssetTable:
    """Text vectors, shape vectors in the joint space of ATMS, groups of near-duplicates."""
    if not entries:
        none = np.zeros((0, 1), np.float32)
        return AssetTable((), np.zeros(0, np.int64), none, none, none, (), np.zeros((0, 3)))
    from uni4d.encoders.local import LocalPoints, MiniLM
    from uni4d.retrieval.encoder import AtmsEncoder
    from uni4d.retrieval.text_index import build_text_index

    encoder = MiniLM()
    names, texts = vectors_of_words(entries, encoder)
    build_text_index(folder, entries, section(progress, 0.1, 0.5), encoder)
    progress(0.5, "comparing shapes and looks")
    atms = AtmsEncoder.load(encoder)
    views = stacked_views([readings[entry.uid] for entry in entries])
    groups = near_duplicates([entry.uid for entry in entries], views)
    features = features_of(entries, readings, groups, LocalPoints(), section(progress, 0.5, 0.98))
    features.save(folder / FEATURES)
    return AssetTable(
        tuple(entries),
        np.array([readings[entry.uid].faces for entry in entries]),
        names,
        texts,
        atms.embed_features(features),
        groups,
        features.sizes,
    )


def vectors_of_words(entries: Sequence[Entry], encoder: TextEncoder) -> tuple[Array, Array]:
    """``[N, D]`` unit vectors of the assets' names, and of all that is said about each."""
    descriptions = [describe(entry) for entry in entries]
    sentences = list(dict.fromkeys([*(entry.name for entry in entries), *descriptions]))
    vectors = dict(zip(sentences, encoder.encode(sentences).pooled, strict=True))
    names = np.stack([vectors[entry.name] for entry in entries])
    return names, np.stack([vectors[text] for text in descriptions])


def describe(entry: Entry) -> str:
    """An asset's texts as one sentence for the text encoder."""
    return ", ".join(entry.texts)
