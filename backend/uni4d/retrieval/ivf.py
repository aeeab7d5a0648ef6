"""An inverted file over unit vectors on disk: the nearest of a million in milliseconds, nearly always all.

The vectors are divided among cells, each around one of C = ``cells`` √N centres; of each vector only its
residual to the centre is kept in memory, as a product-quantised code c of one bit a dimension (Jégou et al.
2011: four dimensions a part, 16 values each). A search looks into the ``probes`` cells whose centres are
nearest to the query q and reads all codes there against a table of the inner products of q's parts, 32 codes
at a time (André et al. 2015; FAISS's fast scan):

    q·x ≈ q·centre + Σ_j q_j · value_j[c_j].

The ``compared`` best are compared again by their full vectors, so scores are exact, only membership is
approximate. That also tells the codes' error σ: where the k-th score found is not 2.5 σ above the last
candidate's, more are compared. Vectors that may not be found are left out while codes are read, and cells are
added until there are candidates enough: a restriction costs no recall.

An index is derived from a table of vectors and lies beside it:

``ivf.json``           which folder holds the index, and digests of its files; replaced last, in one step
``ivf-…/codes.faiss``  centres, cells and codes
``ivf-…/vectors.f32``  ``[N, D]`` float32
``ivf-…/rows.npy``     ``[2, N]`` int64: of each vector the row number, and when that row was written

The full vectors are mapped into memory, so that the system holds what fits and no process pays for them;
while an index is built they pass through in pieces.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section, silent

__all__ = ["IvfConfig", "IvfIndex", "Piece", "build_ivf", "drop_ivf", "open_ivf"]

Array = NDArray[Any]
Piece = tuple[Array, Array, Array]
"""Row numbers ``[B]``, when they were written ``[B]``, vectors ``[B, D]``."""

_MANIFEST = "ivf.json"
_FORMAT = 1
_CODES, _VECTORS, _ROWS = _FILES = ("codes.faiss", "vectors.f32", "rows.npy")
_PART = 8_192
"""Vectors between two reports of progress, at which building can be cancelled."""
_TRAINING = 32
"""Vectors for each centre that the centres are found from."""
_ROUNDS = 8
"""Of k-means."""
_VALUES = 16
"""Values of a part of a code: four bits."""
_WIDENED = 4
"""Times the cells, when those looked into hold too few vectors that may be found; times the candidates."""
_MARGIN = 2.5
"""Standard errors of the codes by which the k-th score must exceed what was not compared."""
_MOST = 65_536
"""Candidates at most."""
_FEW = 16
"""Times the candidates: up to so many vectors are all compared."""
_SAMPLES, _SAMPLE_BYTES = 64, 4_096
"""Pieces of a file that its digest is over: opening takes the same time whatever the size."""


@frozen
class IvfConfig:
    """The inverted file."""

    cells: int = field(default=4, validator=[validators.ge(1), validators.le(64)])
    """Times √N: how many cells an index is built with."""
    probes: int = field(default=96, validator=[validators.ge(1), validators.le(65_536)])
    """Cells that a search looks into, at least; more find more, and take longer."""
    compared: int = field(default=600, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates that are compared again by their full vectors, at least; 3 k where that is more."""


@frozen(eq=False)
class IvfIndex:
    """An open index of N vectors; places 0 … N−1 are in the order of building."""

    rows: Array
    """``[N]`` int64 row numbers."""
    written: Array
    """``[N]`` int64: when each row was written."""
    vectors: Array
    """``[N, D]`` float32, mapped."""
    folder: Path
    _codes: Any
    _config: IvfConfig

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Array, k: int, may: Array) -> tuple[Array, Array]:
        """Rows and cosines ``[Q, K]`` of the ``k`` nearest to unit vectors ``[Q, D]``, best first.

        ``may`` ``[N]`` bool says which places may be found. K is ``k``, or their number where that is less.
        """
        import faiss

        count = int(np.count_nonzero(may))
        k = min(k, count)
        rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        few, selector = None, None
        if count <= _FEW * max(self._config.compared, 3 * k):
            few = np.flatnonzero(may)
            vectors = self.vectors[few]
        elif count < len(self):
            selector = faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
        for number, query in enumerate(queries if k else ()):
            if few is not None:
                places, exact = few, vectors @ query
            else:
                places, exact = self._candidates(query, k, count, selector)
            order = np.lexsort((self.rows[places], -exact))[:k]
            rows[number], scores[number] = self.rows[places[order]], exact[order]
        return rows, scores

    def _candidates(self, query: Array, k: int, count: int, selector: Any) -> tuple[Array, Array]:
        """At least ``k`` places and cosines, the nearest among them; many more, ``count``, may be found."""
        probes, cells = min(self._config.probes, self._codes.nlist), self._codes.nlist
        compared = max(self._config.compared, 3 * k)
        while True:
            places, coded = self._coded(query, compared, probes, selector)
            if len(places) < compared and probes < cells:
                probes = min(probes * _WIDENED, cells)
                continue
            exact = np.einsum("nd,d->n", self.vectors[places], query)  # BLAS would wake its threads
            error = float(np.std(exact - coded))
            clear = np.partition(exact, -k)[-k] >= coded.min() + _MARGIN * error
            if clear or compared * _WIDENED > min(count, _MOST):
                return places, exact
            compared *= _WIDENED

    def _coded(self, query: Array, count: int, probes: int, selector: Any) -> tuple[Array, Array]:
        """The best ``count`` by their codes in so many cells, or all there: places, ascending, and scores."""
        import faiss

        look = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        with _threads(1):  # to wake others takes longer than the search
            scores, places = self._codes.search(query[None], count, params=look)
        order = np.argsort(places[0])[np.count_nonzero(places[0] < 0) :]
        return places[0][order], scores[0][order]


def open_ivf(folder: Path, config: IvfConfig, dimensions: int) -> IvfIndex | None:
    """The index in ``folder``, or ``None`` where none was built; refused when it is damaged or foreign."""
    path = folder / _MANIFEST
    try:
        if not path.exists():
            return None
        return _opened(folder, json.loads(path.read_text(encoding="utf-8")), config, dimensions)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Uni4DError(
            "index-damaged",
            f"The index in {folder} cannot be read: {error}.",
            f"Delete {path} and refresh the index: it is built anew from the vectors.",
        ) from error


def build_ivf(
    folder: Path,
    pieces: Iterator[Piece],
    total: int,
    dimensions: int,
    config: IvfConfig,
    progress: Progress = silent,
    base: IvfIndex | None = None,
) -> None:
    """Build the index of ``pieces``, ``total`` vectors, in place of the one in ``folder``.

    With ``base`` they are added to its vectors; centres and values stay what they were. When building is
    cancelled or fails, the index in ``folder`` stays.
    """
    room = folder / f"ivf-{uuid.uuid4().hex[:12]}"
    try:
        room.mkdir()
        sample = _collect(room, pieces, total, dimensions, config, section(progress, 0.0, 0.1), base)
        codes = _trained(sample, total, config, section(progress, 0.1, 0.5)) if base is None else _read(base)
        _encode(room / _VECTORS, codes, dimensions, section(progress, 0.5, 1.0))
        _write(codes, room / _CODES)
        _publish(folder, room, dimensions)
    except (OSError, RuntimeError, MemoryError) as error:  # FAISS and Lance raise RuntimeError
        shutil.rmtree(room, ignore_errors=True)
        raise Uni4DError(
            "index-failed",
            f"The index of {folder} was not built: {error}.",
            "Free memory or disk space, or choose another folder.",
        ) from error
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    progress(1.0, "index built")


def drop_ivf(folder: Path) -> None:
    """Remove the index in ``folder``, if there is one."""
    (folder / _MANIFEST).unlink(missing_ok=True)
    _sweep(folder, "")


# --- building ---------------------------------------------------------------------------------------


def _collect(
    room: Path,
    pieces: Iterator[Piece],
    total: int,
    dimensions: int,
    config: IvfConfig,
    progress: Progress,
    base: IvfIndex | None,
) -> Array:
    """Write rows and full vectors; answers with some of the vectors, drawn evenly, to find centres from."""
    stamps, sample = [], [np.empty((0, dimensions), np.float32)]
    if base is not None:
        stamps.append(np.stack([base.rows, base.written]))
        shutil.copyfile(base.folder / _VECTORS, room / _VECTORS)
    drawn = np.zeros(total, bool)
    size = min(total, _TRAINING * _cells(total, config))
    drawn[np.random.default_rng(0).choice(total, size, replace=False)] = True
    count = 0
    with (room / _VECTORS).open("ab") as file:
        for rows, written, vectors in pieces:
            np.ascontiguousarray(vectors, np.float32).tofile(file)
            stamps.append(np.stack([rows, written]))
            sample.append(vectors[: total - count][drawn[count : count + len(rows)]])
            count += len(rows)
            progress(min(count / total, 1.0), f"index: {count:,} vectors read")
    np.save(room / _ROWS, np.concatenate(stamps, axis=1))
    return np.concatenate(sample)


def _cells(total: int, config: IvfConfig) -> int:
    return max(1, min(int(config.cells * np.sqrt(total)), total // 4))


def _trained(sample: Array, total: int, config: IvfConfig, progress: Progress) -> Any:
    """An index without vectors: centres by k-means, values for the residuals' parts."""
    import faiss

    dimensions, cells = sample.shape[1], _cells(total, config)
    # Few vectors are no fault here, and FAISS would warn of them on stderr.
    means = faiss.Kmeans(
        dimensions,
        cells,
        niter=1,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    for number in range(_ROUNDS):
        progress(number / (_ROUNDS + 1), f"index: centres of {cells:,} cells, round {number + 1}")
        means.train(sample, init_centroids=means.centroids if number else None)
    progress(_ROUNDS / (_ROUNDS + 1), "index: values of codes")
    centres = faiss.IndexFlatIP(dimensions)
    centres.add(means.centroids)
    parts = dimensions // next(size for size in (4, 3, 2, 1) if dimensions % size == 0)
    codes = faiss.IndexIVFPQFastScan(centres, dimensions, cells, parts, 4, faiss.METRIC_INNER_PRODUCT)
    codes.by_residual = True
    codes.pq.cp.min_points_per_centroid = 1
    codes.train(np.resize(sample, (max(len(sample), _VALUES), dimensions)))  # repeated where they are fewer
    return codes


def _encode(path: Path, codes: Any, dimensions: int, progress: Progress) -> None:
    """Add the vectors of a file that ``codes`` lacks, a part at a time."""
    total = path.stat().st_size // (4 * dimensions)
    start = codes.ntotal
    with path.open("rb") as file:
        file.seek(4 * dimensions * start)
        while codes.ntotal < total:
            part = np.fromfile(file, np.float32, _PART * dimensions).reshape(-1, dimensions)
            codes.add(part)
            done = codes.ntotal - start
            progress(0.98 * done / (total - start), f"index: {done:,} of {total - start:,} vectors")


def _publish(folder: Path, room: Path, dimensions: int) -> None:
    """From here on ``room`` is the index of ``folder``; who reads the old one keeps what is mapped."""
    digests = {name: _digest(room / name) for name in _FILES}
    manifest = {"format": _FORMAT, "folder": room.name, "dimensions": dimensions, "digests": digests}
    draft = room / _MANIFEST
    draft.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    draft.replace(folder / _MANIFEST)
    _sweep(folder, room.name)


def _sweep(folder: Path, kept: str) -> None:
    for room in folder.glob("ivf-*"):
        if room.name != kept:
            shutil.rmtree(room, ignore_errors=True)  # where the system keeps mapped files, the next sweeps


# --- files ------------------------------------------------------------------------------------------


def _opened(folder: Path, manifest: dict[str, Any], config: IvfConfig, dimensions: int) -> IvfIndex:
    import faiss

    if manifest["format"] != _FORMAT:
        raise ValueError(f"its format is {manifest['format']} instead of {_FORMAT}")
    if manifest["dimensions"] != dimensions:
        raise ValueError(f"it is over {manifest['dimensions']} dimensions instead of {dimensions}")
    room = folder / Path(manifest["folder"]).name
    for name in _FILES:
        # FAISS believes what a file says of itself: only what was written here may reach it.
        if _digest(room / name) != manifest["digests"][name]:
            raise ValueError(f"{name} is not the file that was written")
    rows, written = np.load(room / _ROWS, allow_pickle=False)
    vectors = np.memmap(room / _VECTORS, np.float32, "r").reshape(-1, dimensions)
    codes = faiss.read_index(str(room / _CODES))
    if not codes.ntotal == len(rows) == len(vectors):
        raise ValueError(f"it holds {codes.ntotal} codes, {len(rows)} rows and {len(vectors)} vectors")
    return IvfIndex(rows, written, vectors.view(np.ndarray), room, codes, config)


def _read(index: IvfIndex) -> Any:
    """A copy of an index's codes, to add to."""
    import faiss

    return faiss.read_index(str(index.folder / _CODES))


def _write(codes: Any, path: Path) -> None:
    import faiss

    faiss.write_index(codes, str(path))


def _digest(path: Path) -> str:
    """Over a file's length and pieces of it: all of a small one."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for sample in range(_SAMPLES):
            file.seek(max(size - _SAMPLE_BYTES, 0) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """FAISS with so many threads, as far as it is called from here."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
