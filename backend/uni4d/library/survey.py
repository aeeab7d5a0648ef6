"""Reading every mesh of a source once, in worker processes: sizes, pictures, features.

A mesh that cannot be read is a result too (it names the reason). Worker processes import torch once, use
one thread each, and end with their parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from uni4d.library.sources import Entry, Source
from uni4d.library.store import Store
from uni4d_shared.errors import Uni4DError

__all__ = ["Reading", "Surveyor", "survey", "thumbnail_path"]

_FORMAT = "2"
"""Raise it when pictures or features change: readings of another format are made again."""
_QUEUED = 4
"""Meshes handed out per process ahead of time."""


@frozen
class Reading:
    """What one mesh was found to be."""

    uid: str
    fingerprint: str
    """Of the asset and of how it was read; see :meth:`Surveyor.fingerprint`."""
    error: str = ""
    """Why the mesh cannot be used; empty when it can."""
    faces: int = 0
    extents: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Metres."""
    features: NDArray[Any] = field(factory=lambda: np.zeros(0, np.float16), eq=False, repr=False)
    """``[views · D]`` float16: image features of its pictures, one after the other."""
    cloud: bytes = field(default=b"", repr=False)
    """Its surface as a packed point cloud; see :mod:`uni4d.library.clouds`."""


@frozen
class Surveyor:
    """How to read a mesh; small and picklable."""

    source: Source
    files: Path
    """Root of the library's :class:`Store`."""
    views: int
    points: int

    def fingerprint(self, entry: Entry) -> str:
        return f"{entry.fingerprint}-{_FORMAT}-{self.views}-{self.points}"

    def read(self, entry: Entry) -> Reading:
        """One mesh: its thumbnail written, its features computed, its surface sampled."""
        from uni4d.library.clouds import cloud_from_mesh, packed
        from uni4d.library.photographs import photograph

        try:
            mesh = self.source.load(entry, draft=True)
            pictures = photograph(mesh, self.views)
            cloud = cloud_from_mesh(mesh, self.points)
            thumbnail = thumbnail_path(Store(self.files), entry)
            if not thumbnail.exists():
                Store(self.files).write(thumbnail, self.source.icon(entry) or _as_png(mesh))
        except Uni4DError as error:
            if error.code != "mesh-unreadable":
                raise
            return Reading(entry.uid, self.fingerprint(entry), error=error.message)
        features = _image_encoder().encode(pictures).pooled
        width, depth, height = (float(extent) for extent in mesh.extents)
        return Reading(
            entry.uid,
            self.fingerprint(entry),
            faces=len(mesh.faces),
            extents=(width, depth, height),
            features=features.astype(np.float16).reshape(-1),
            cloud=packed(cloud),
        )


def thumbnail_path(store: Store, entry: Entry) -> Path:
    """Where the asset's thumbnail is kept."""
    return store.path(".png", "thumbnail", _FORMAT, entry.uid, entry.fingerprint)


def survey(surveyor: Surveyor, entries: Sequence[Entry], processes: int) -> Generator[Reading, None, None]:
    """A reading for every entry, in the order in which they are done.

    Closing the iterator early (cancellation) drops what is queued; the processes end after the mesh at
    hand. A mesh on which a process dies is tried once more in a process of its own, then reported as bad.
    """
    pending = list(entries)
    suspects: list[Entry] = []
    while pending:
        done: set[str] = set()
        handed_out: dict[Future[Reading], Entry] = {}
        try:
            for reading in _parallel(surveyor, pending, processes, handed_out):
                done.add(reading.uid)
                yield reading
        except BrokenProcessPool:
            suspects += [entry for entry in handed_out.values() if entry.uid not in done]
        suspected = {entry.uid for entry in suspects}
        pending = [entry for entry in pending if entry.uid not in done | suspected]
    for entry in suspects:
        try:
            yield from _parallel(surveyor, [entry], 1, {})
        except BrokenProcessPool:
            reason = f"{entry.key}: the process that read it died (out of memory?)"
            yield Reading(entry.uid, surveyor.fingerprint(entry), error=reason)


def _parallel(
    surveyor: Surveyor, entries: Sequence[Entry], processes: int, handed_out: dict[Future[Reading], Entry]
) -> Generator[Reading, None, None]:
    """Readings by a pool; ``handed_out`` holds what is queued or being read at any time."""
    waiting = iter(entries)
    pool = ProcessPoolExecutor(
        max_workers=max(1, min(processes, len(entries))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        while True:
            for entry in waiting:
                handed_out[pool.submit(surveyor.read, entry)] = entry
                if len(handed_out) >= _QUEUED * processes:
                    break
            if not handed_out:
                return
            finished, _ = wait(handed_out, return_when=FIRST_COMPLETED)
            for future in finished:
                reading = future.result()
                del handed_out[future]
                yield reading
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread of arithmetic per process; Ctrl-C is the parent's business; no orphans."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@cache
def _image_encoder() -> Any:
    from uni4d.encoders.local import EfficientNetLite2

    return EfficientNetLite2()


def _as_png(mesh: Any) -> bytes:
    from uni4d.library.formats.textures import encode_png
    from uni4d.library.photographs import photograph

    return encode_png(photograph(mesh, 1, size=128)[0])
