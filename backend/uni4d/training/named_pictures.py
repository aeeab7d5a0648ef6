"""Sets of icons as training data: one thing per picture, and a name for it.

A folder of emoji renders, such as the npm package ``@lobehub/fluent-emoji-3d`` (MIT; 3,391 WebP files named
by their code points), gives names through the package ``emoji``. Any other folder of pictures gives the
files' own names. Skin tones and flags, which name no thing that a mesh could be, are left out. The features
are kept in the cache, since encoding takes a minute per thousand pictures.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from uni4d.config import default_cache
from uni4d.training.atms import NamedPictures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

if TYPE_CHECKING:
    from uni4d.encoders.protocols import ImageEncoder

__all__ = ["named_pictures", "picture_name"]

_SUFFIXES = (".webp", ".png")
_SIZE = 256
_BATCH = 32
_CODE_POINTS = re.compile(r"[0-9a-f]{2,6}(-[0-9a-f]{2,6})*")


def named_pictures(folder: Path, encoder: ImageEncoder, progress: Progress) -> NamedPictures:
    """The pictures of ``folder`` with their names, encoded once."""
    if not folder.is_dir():
        raise Uni4DError(
            "pictures-missing",
            f"There is no folder {folder}.",
            "Unpack a set of icons there, e.g. with: npm pack @lobehub/fluent-emoji-3d; or leave it away.",
        )
    found = {
        path: name
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and (name := picture_name(path.stem))
    }
    listing = "\n".join(f"{path.name} {path.stat().st_size}" for path in found)
    key = hashlib.sha256(f"{encoder.name} {_SIZE}\n{listing}".encode()).hexdigest()[:16]
    cached = default_cache() / "pictures" / f"{key}.npy"
    if not cached.exists():
        features = _encoded(list(found), encoder, progress)
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, features)
        partial.replace(cached)
    features = np.load(cached, allow_pickle=False).astype(np.float32)
    return NamedPictures(tuple(found.values()), features)


def picture_name(stem: str) -> str:
    """The name of what a picture shows, from its file's name; empty for what names no thing."""
    if not _CODE_POINTS.fullmatch(stem):
        return re.sub(r"[_\-.]+", " ", stem).strip().lower()
    import emoji

    try:
        characters = "".join(chr(int(part, 16)) for part in stem.split("-"))
    except (ValueError, OverflowError):
        return ""
    for text in (characters, characters.replace("\ufe0f", "")):
        details = emoji.EMOJI_DATA.get(text)
        if details is not None:
            name = str(details["en"]).strip(":").replace("_", " ").lower()
            plain = "skin tone" not in name and "flag" not in name and not _is_region(text)
            return name if plain else ""
    return ""


def _is_region(text: str) -> bool:
    """Whether ``text`` is a national flag: regional indicator symbols (Unicode TR 51)."""
    return all(0x1F1E6 <= ord(character) <= 0x1F1FF for character in text)


def _encoded(paths: list[Path], encoder: ImageEncoder, progress: Progress) -> NDArray[np.float16]:
    """``[N, E]`` float16."""
    from PIL import Image

    parts = []
    for start in range(0, len(paths), _BATCH):
        pictures = []
        for path in paths[start : start + _BATCH]:
            try:
                with Image.open(path) as image:
                    pictures.append(np.asarray(image.convert("RGBA").resize((_SIZE, _SIZE))))
            except (OSError, ValueError) as error:
                raise Uni4DError(
                    "picture-unreadable", f"{path} is no picture: {error}.", "Delete it, or replace it."
                ) from error
        parts.append(encoder.encode(np.stack(pictures)).pooled.astype(np.float16))
        progress(start / len(paths), f"pictures {start}/{len(paths)}")
    return np.concatenate(parts) if parts else np.zeros((0, encoder.dimensions), np.float16)
