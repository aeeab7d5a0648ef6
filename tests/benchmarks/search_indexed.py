"""How fast search in a large gallery is, how much it finds, and what it takes to build.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/search_indexed.py [--count 1300000] [--keep FOLDER]

The gallery is drawn around MiniLM's embeddings of WordNet's glosses, the queries are embeddings of names that
are not in it (tests/harness/phrase_vectors.py). It is written batch by batch, so no process holds it whole.
Prints the times, the peaks of memory, and for several numbers of cells to look into the time of one query for
the ten nearest (median and 95th percentile) with recall@10 against exact search, which is timed too (numpy
over the whole gallery, batch by batch). Building 1.3 million takes minutes. --keep leaves the index in
FOLDER, and uses the one that is there; otherwise it is built in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from attrs import evolve
from harness.phrase_vectors import PhraseVectors, phrase_vectors
from numpy.typing import NDArray

from uni4d.retrieval.index import IndexConfig, IvfConfig, StoredIndex, VectorBatch

Array = NDArray[Any]
K = 10
write = sys.stdout.write


def batches(phrases: PhraseVectors, count: int) -> Iterator[VectorBatch]:
    start = 0
    for vectors in phrases.batches(count):
        yield VectorBatch(np.arange(start, start + len(vectors)), vectors)
        start += len(vectors)


def truth(phrases: PhraseVectors, count: int) -> tuple[Array, float]:
    """The K nearest of each query ``[Q, K]``, batch by batch, and seconds a query of plain products."""
    queries = phrases.queries
    rows, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    start, seconds = 0, 0.0
    for vectors in phrases.batches(count):
        scores = np.concatenate([scores, queries @ vectors.T], axis=1)
        numbers = np.arange(start, start + len(vectors))
        rows = np.concatenate([rows, np.broadcast_to(numbers, (len(queries), len(vectors)))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
        start += len(vectors)
        before = time.perf_counter()
        np.argmax(vectors @ queries[0])
        seconds += time.perf_counter() - before
    return rows, seconds


def gigabytes() -> float:
    """The peak of this process's memory, mapped files included as far as they are in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def build(folder: Path, phrases: PhraseVectors, count: int, config: IndexConfig) -> None:
    last = [0.0]
    start, work = time.perf_counter(), time.process_time()

    def progress(fraction: float, message: str) -> None:
        if time.perf_counter() - last[0] > 60.0:
            last[0] = time.perf_counter()
            sys.stderr.write(f"  {fraction:4.0%} {message}\n")

    StoredIndex.build(folder, batches(phrases, count), config, progress, count)
    write(
        f"built in {time.perf_counter() - start:.0f} s ({time.process_time() - work:.0f} s of processors); "
    )
    write(f"peak of memory {gigabytes():.2f} GB, ")
    write(f"the vectors alone {count * phrases.dimensions * 4 / 1e9:.2f} GB\n")


def measure(index: StoredIndex, queries: Array, expected: Array) -> tuple[Array, float]:
    """Milliseconds of each query, and recall."""
    index.search(queries[0], K)  # opens the index
    times, found = [], 0
    for query, wanted in zip(queries, expected, strict=True):
        start = time.perf_counter()
        rows, _ = index.search(query, K)
        times.append((time.perf_counter() - start) * 1e3)
        found += len(set(rows[0].tolist()) & set(wanted.tolist()))
    return np.array(times), found / expected.size


def report(folder: Path, phrases: PhraseVectors, count: int, config: IndexConfig, probes: list[int]) -> None:
    expected, exact = truth(phrases, count)
    write(f"load {os.getloadavg()[0]:.1f}; exact (numpy, one query) {exact * 1e3:.0f} ms\n")
    write(f"{'cells':>12} {'p50 ms':>8} {'p95 ms':>8} {'best ms':>8} {'recall@10':>10} {'to exact':>9}\n")
    for cells in probes:
        index = StoredIndex(folder, evolve(config, ivf=evolve(config.ivf, probes=cells)))
        times, recall = measure(index, phrases.queries, expected)
        middle = float(np.median(times))
        write(f"{cells:5}{' default' if cells == config.ivf.probes else '':>7}{middle:9.2f}")
        write(
            f"{np.percentile(times, 95):9.2f}{times.min():9.2f}{recall:11.4f}{middle / (exact * 1e3):10.4f}\n"
        )
        sys.stdout.flush()
    peak = gigabytes()
    write(f"load {os.getloadavg()[0]:.1f}; peak of memory with searches {peak:.2f} GB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of search through the index")
    parser.add_argument("--count", type=int, default=1_300_000, help="vectors in the gallery")
    parser.add_argument("--keep", type=Path, help="folder of an index to use again")
    parser.add_argument("--cells", type=int, nargs="+", default=[32, 64, 96, 192])
    arguments = parser.parse_args()
    phrases = phrase_vectors()
    config = IndexConfig(exact_limit=0, ivf=IvfConfig())
    write(f"{arguments.count:,} × {phrases.dimensions}, {os.cpu_count()} cores, {config.ivf}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        if not (folder / "vectors.lance").is_dir():
            build(folder, phrases, arguments.count, config)
        report(folder, phrases, arguments.count, config, arguments.cells)


if __name__ == "__main__":
    main()
