"""Importing the packages of the extra ``full``: ``open_clip``, ``timm``, and ``torchvision`` under both.

PyPI's Linux wheels of ``torchvision`` are built for PyTorch's CUDA build. Beside its CPU build their compiled
operators cannot be loaded, and the import fails, because two registrations, of ``nms`` and ``qnms``, need an
operator to hang on. Nothing here uses those operators (they belong to object detection), so it is enough to
declare the two before the import; calling one would still be an error.

Where such a wheel stands in ``site-packages``, every other package that looks for ``torchvision`` fails at
its import: ``transformers``, for one. So ``build.py`` puts it, and nothing else, into a folder of its own,
which only this module looks into. A ``torchvision`` that can be imported as it is, from a CPU or CUDA build,
is used as it is.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from uni4d_shared.errors import Uni4DError

__all__ = ["import_extra"]

_ASIDE = "torchvision-beside-cpu"
"""The folder's name in the virtual environment; ``uni4d_setup.environments`` makes it."""

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_extra(name: str) -> ModuleType:
    """The module ``open_clip`` or ``timm``; a missing one is an error with the line that installs it."""
    try:
        _import_torchvision()
        return importlib.import_module(name)
    except ImportError as error:
        raise Uni4DError(
            "import-failed",
            f"The encoders of the gpu profile need {name}, which cannot be imported: {error}.",
            "Run: python3 build.py setup, or: pip install 'uni4d[full]'.",
        ) from error


def _import_torchvision() -> ModuleType:
    loaded = sys.modules.get("torchvision")
    if loaded is not None:
        return loaded
    aside = Path(sys.prefix) / _ASIDE
    if importlib.util.find_spec("torchvision") is None and aside.is_dir():
        sys.path.append(str(aside))
    spec = importlib.util.find_spec("torchvision")
    if spec is not None and spec.submodule_search_locations and not _operators_load(spec):
        _declare_schemas()
    return importlib.import_module("torchvision")


def _operators_load(spec: Any) -> bool:
    """Whether the compiled operators of this ``torchvision`` fit the PyTorch here."""
    import torch

    for folder in spec.submodule_search_locations:
        for library in sorted(Path(folder).glob("_C*")):
            if library.suffix in (".so", ".pyd", ".dylib"):
                try:
                    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
                except OSError:
                    return False
                return True
    return False


@functools.cache
def _declare_schemas() -> Any:
    """Kept for as long as the process lives: without it the declarations would go."""
    import torch

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library
