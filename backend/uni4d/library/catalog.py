"""The catalog: a LanceDB database with two tables.

``readings``   one row per mesh ever read (expensive to make; appended in batches while building, so that a
               build goes on where it stopped)
``assets``     one row per usable asset: what it is called and the vectors that it is found by; written
               whole at the end of a build

``vectors/`` beside them holds what a large library is searched through (:mod:`uni4d.retrieval.candidates`).

Vectors of a table lie in one fixed-size list column each, so they become one numpy array without copies
row by row.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.sources import Entry
from uni4d.library.survey import Reading

__all__ = ["INDEXES", "AssetTable", "Catalog"]

Array = NDArray[Any]

_KEPT = timedelta(minutes=10)
"""How long old versions of a table stay, for whoever is reading them."""

INDEXES = "vectors"
"""Folder of what is made from the vectors of the assets; it goes when they are written."""

VECTORS = ("name_vector", "text_vector", "shape_vector")


@frozen(eq=False)
class AssetTable:
    """All usable assets in memory; row ``i`` of every array belongs to ``entries[i]``."""

    entries: tuple[Entry, ...]
    faces: Array
    """``[N]`` int64."""
    name_vector: Array
    """``[N, D]`` float32 unit: the name alone, by the text encoder."""
    text_vector: Array
    """``[N, D]`` float32 unit: name, tags and category."""
    shape_vector: Array
    """``[N, J]`` float32 unit: shape, look and size in the joint space of :mod:`uni4d.retrieval.atms`."""
    groups: tuple[str, ...]
    """Name of each asset's group of near-duplicates: the uid of its first member. Alone: its own uid."""
    extents: Array
    """``[N, 3]`` float64 metres: width, depth, height."""


class Catalog:
    """The database in ``folder``; tables appear when they are first written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _database(self) -> Any:
        # Its log warns on stderr about every table that is made for the first time; read at import.
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb

        return lancedb.connect(str(self._folder))

    def _table(self, name: str) -> Any | None:
        known = self._database.list_tables().tables
        return self._database.open_table(name) if name in known else None

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Append readings (one new fragment of the table)."""
        import pyarrow as pa

        rows = pa.table(
            {
                "uid": [reading.uid for reading in readings],
                "fingerprint": [reading.fingerprint for reading in readings],
                "error": [reading.error for reading in readings],
                "faces": pa.array([reading.faces for reading in readings], pa.int64()),
                "extents": pa.array([reading.extents for reading in readings], pa.list_(pa.float64(), 3)),
                "features": pa.array([reading.features for reading in readings], pa.list_(pa.float16())),
                "cloud": pa.array([reading.cloud for reading in readings], pa.binary()),
            }
        )
        table = self._table("readings")
        if table is None:
            self._database.create_table("readings", rows)
        else:
            table.add(rows)

    def readings(self) -> dict[str, Reading]:
        """All readings by uid; of several of one asset, the last."""
        table = self._table("readings")
        if table is None:
            return {}
        rows = table.to_arrow()
        features = [row.values.to_numpy() for row in rows["features"]]
        return {
            row["uid"]: Reading(**{**row, "extents": tuple(row["extents"]), "features": vector})
            for row, vector in zip(rows.drop_columns(["features"]).to_pylist(), features, strict=True)
        }

    def write_assets(self, table: AssetTable) -> None:
        """Replace the table of assets."""
        import pyarrow as pa

        shutil.rmtree(self._folder / INDEXES, ignore_errors=True)
        entries = table.entries
        columns: dict[str, Any] = {
            name: [getattr(entry, name) for entry in entries]
            for name in ("uid", "key", "fingerprint", "name", "category", "licence", "author", "collection")
        }
        columns["tags"] = pa.array([list(entry.tags) for entry in entries], pa.list_(pa.string()))
        columns["texts"] = pa.array([list(entry.texts) for entry in entries], pa.list_(pa.string()))
        for name in ("size", "rotation"):
            values = [getattr(entry, name) for entry in entries]
            columns[name] = pa.array(values, pa.list_(pa.float64()))
        columns["group"] = list(table.groups)
        columns["faces"] = pa.array(table.faces, pa.int64())
        columns["extents"] = pa.array(list(table.extents), pa.list_(pa.float64(), 3))
        for name in VECTORS:
            vectors = np.ascontiguousarray(getattr(table, name), dtype=np.float32)
            flat = pa.array(vectors.reshape(-1), pa.float32())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        self._database.create_table("assets", pa.table(columns), mode="overwrite")

    def assets(self) -> AssetTable | None:
        """All assets, or ``None`` when no build was finished."""
        table = self._table("assets")
        if table is None:
            return None
        rows = table.to_arrow().combine_chunks()
        plain = rows.drop_columns([*VECTORS, "texts", "faces", "group", "extents"]).to_pylist()
        entries = tuple(
            Entry(
                **{
                    **row,
                    "tags": tuple(row["tags"]),
                    "size": tuple(row["size"]) if row["size"] else None,
                    "rotation": tuple(row["rotation"]) if row["rotation"] else None,
                }
            )
            for row in plain
        )
        vectors = {name: _matrix(rows[name]) for name in VECTORS}
        return AssetTable(
            entries=entries,
            faces=rows["faces"].to_numpy(),
            **vectors,
            groups=tuple(rows["group"].to_pylist()),
            extents=_matrix(rows["extents"]),
        )

    def compact(self) -> None:
        """Merge the many small fragments that appending left, and drop old versions."""
        for name in ("readings", "assets"):
            table = self._table(name)
            if table is not None:
                table.optimize(cleanup_older_than=_KEPT)


def _matrix(column: Any) -> Array:
    """A fixed-size list column as ``[N, D]`` float32."""
    width = column.type.list_size
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    flat = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    return flat.reshape(-1, width)
