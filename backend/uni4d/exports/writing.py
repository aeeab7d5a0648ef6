"""Files that appear whole or not at all, and errors that say why they did not."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uni4d_shared.errors import Uni4DError

__all__ = ["written"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, with the same suffix; it becomes ``path`` when the block is done.

    After an error or a cancel nothing is left of it. A full disk is ``Uni4DError("disk-full")``, another
    refusal of the system ``Uni4DError("cannot-write")``.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno in _FULL:
            raise Uni4DError(
                "disk-full",
                f"{path}: the disk is full.",
                "Free some space, or name another folder with --out.",
            ) from error
        raise Uni4DError(
            "cannot-write", f"{path}: {error.strerror or error}.", "Name another folder with --out."
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()
