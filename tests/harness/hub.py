"""The Hugging Face hub's cache, filled by hand."""

from __future__ import annotations

from pathlib import Path

__all__ = ["put_into_cache"]


def put_into_cache(cache: Path, repository: str, files: dict[str, bytes]) -> Path:
    """Files of a repository as ``huggingface_hub`` keeps them; their folder."""
    base = cache / f"models--{repository.replace('/', '--')}"
    snapshot = base / "snapshots" / "0123456789"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text("0123456789")
    for name, content in files.items():
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_bytes(content)
    return snapshot
