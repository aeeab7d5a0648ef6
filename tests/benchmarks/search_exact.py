"""How fast exact search is, against FAISS Flat on the same vectors in the same run.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/search_exact.py [--count 300000] [--queries 60]

The gallery is drawn around MiniLM's embeddings of WordNet's glosses, the queries are embeddings of names that
are not in it (tests/harness/phrase_vectors.py). Both search for the ten nearest of one query at a time, in
turn, so that both meet the same load; then of all queries in one call. Prints milliseconds (median and best),
the ratios, and how often both found the same. Use an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

import faiss
import numpy as np
from harness.phrase_vectors import phrase_vectors
from numpy.typing import NDArray

from uni4d.retrieval.index import ExactIndex

Array = NDArray[Any]
K = 10


def timed(search: Callable[[Array], tuple[Array, Array]], queries: Array) -> tuple[float, Array]:
    """Seconds, and the rows found."""
    start = time.perf_counter()
    rows, _ = search(queries)
    return time.perf_counter() - start, rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of exact search")
    parser.add_argument("--count", type=int, default=300_000, help="vectors in the gallery")
    parser.add_argument("--queries", type=int, default=60)
    arguments = parser.parse_args()
    phrases = phrase_vectors()
    gallery, queries = phrases.gallery(arguments.count), phrases.queries[: arguments.queries]
    ours = ExactIndex(gallery)
    flat = faiss.IndexFlatIP(phrases.dimensions)
    flat.add(gallery)

    def search(batch: Array) -> tuple[Array, Array]:
        return ours.search(batch, K)

    def search_flat(batch: Array) -> tuple[Array, Array]:
        scores, rows = flat.search(batch, K)
        return rows, scores

    timed(search, queries[:1]), timed(search_flat, queries[:1])  # the first call starts threads
    pairs = [(timed(search, query), timed(search_flat, query)) for query in queries[:, None]]
    own, peer = (np.array([pair[side][0] for pair in pairs]) * 1e3 for side in (0, 1))
    same = np.mean([np.mean(left[1] == right[1]) for left, right in pairs])
    write = sys.stdout.write
    write(
        f"{arguments.count:,} × {phrases.dimensions}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    write(f"{'one query':>12} {'exact ms':>15} {'FAISS Flat ms':>15} {'ratio':>6}\n")
    for name, statistic in (("median", np.median), ("best", np.min)):
        left, right = float(statistic(own)), float(statistic(peer))
        write(f"{name:>12} {left:15.1f} {right:15.1f} {left / right:6.2f}\n")
    left, right = (min(timed(side, queries)[0] for _ in range(3)) * 1e3 for side in (search, search_flat))
    write(f"{len(queries):>4} at once {left:14.1f} {right:15.1f} {left / right:6.2f}\n")
    write(f"same rows in the same order: {same:.4f}\n")


if __name__ == "__main__":
    main()
