"""One training of one arm, kept as what it embeds: all texts that are asked and all objects of the library.

Everything that is measured is computed from these vectors. They lie in a folder under the hash of all that
they depend on, so an evaluation that was stopped goes on with the arms and seeds that are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.evaluation.arms import Arm
from uni4d.evaluation.sanity import Check, check_embedding
from uni4d.library.features import AssetFeatures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = ["Embedded", "digest_of", "drawn_for_training", "embedded"]

Array = NDArray[Any]

_FORMAT = "uni4d-evaluation-3"
"""Raise it when an arm's code changes what comes out for the same settings."""


@frozen(eq=False)
class Embedded:
    """What an arm made of the library after one training."""

    arm: str
    seed: int
    texts: Array
    """``[T, E]`` float32 unit, in the order of the texts that were asked for."""
    objects: Array
    """``[N, E]`` float32 unit: all objects, also those of training."""
    chosen: dict[str, Any]
    """What the arm chose on the validation objects."""
    check: Check
    seconds: float
    """Training and embedding together."""


def embedded(
    arm: Arm,
    features: AssetFeatures,
    texts: Sequence[str],
    seed: int,
    share: float,
    digest: str,
    folder: Path,
    progress: Progress,
) -> Embedded:
    """The vectors of ``arm`` with ``seed``: read from ``folder``, or learnt and written there.

    Args:
        arm: Not yet learnt.
        features: The whole library.
        texts: What is asked.
        seed: Of initialisation, sampling, and of the draw of training objects.
        share: See :func:`drawn_for_training`.
        digest: Of ``features`` (:func:`digest_of`) and of the text encoder.
        folder: Where vectors are kept.
        progress: Of this training.
    """
    about = {
        "format": _FORMAT,
        "arm": arm.name,
        "settings": json.loads(json.dumps(arm.settings())),
        "seed": seed,
        "share": share,
        "features": digest,
        "texts": hashlib.sha256("\0".join(texts).encode()).hexdigest(),
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{arm.name}-seed{seed}-{key}.npz"
    if path.exists():
        return _read(path, arm.name, seed)
    began = time.perf_counter()
    train = drawn_for_training(features.split("train"), share, seed)
    chosen = arm.fit(train, features.split("validation"), seed, progress)
    objects, words = arm.embed_assets(features), arm.embed_texts(list(texts))
    for what, vectors in (("objects", objects), ("texts", words)):
        if not np.isfinite(vectors).all():
            raise Uni4DError(
                "evaluation-nan",
                f"The arm “{arm.name}” (seed {seed}) gives {what} vectors that are not finite.",
                "Leave it out with --arms, or lower its learning rate.",
            )
    check = check_embedding(arm, features, objects, seed)
    result = Embedded(arm.name, seed, words, objects, chosen, check, time.perf_counter() - began)
    _write(path, result, about)
    return result


def drawn_for_training(train: AssetFeatures, share: float, seed: int) -> AssetFeatures:
    """The training objects of one seed: ``share`` of their groups, drawn at random."""
    groups = list(dict.fromkeys(train.groups))
    count = max(1, round(share * len(groups)))
    drawn = set(np.random.default_rng(seed).permutation(groups)[:count].tolist())
    return train.rows([row for row, group in enumerate(train.groups) if group in drawn])


def digest_of(features: AssetFeatures) -> str:
    """A hash of everything in ``features``."""
    digest = hashlib.sha256()
    for name, value in attrs.asdict(features, recurse=False).items():
        array = isinstance(value, np.ndarray)
        digest.update(f"{name}:{value.dtype}{value.shape}:".encode() if array else repr(value).encode())
        if array:
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _write(path: Path, result: Embedded, about: dict[str, Any]) -> None:
    told = {
        **about,
        "chosen": result.chosen,
        "check": attrs.asdict(result.check),
        "seconds": result.seconds,
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, texts=result.texts, objects=result.objects, about=np.array(json.dumps(told)))
        partial.replace(path)
    except OSError as error:
        raise Uni4DError(
            "output-unwritable", f"{path} cannot be written: {error}.", "Give another --out."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path, arm: str, seed: int) -> Embedded:
    try:
        # NumPy leaves a file open that it opened itself and could not read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            told = json.loads(str(archive["about"]))
            return Embedded(
                arm,
                seed,
                archive["texts"],
                archive["objects"],
                told["chosen"],
                Check(**told["check"]),
                told["seconds"],
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise Uni4DError(
            "output-damaged",
            f"{path} cannot be read: {error}.",
            "Delete it; its arm and seed are then learnt again.",
        ) from error
