"""Which factories this Infinigen has: prints ``module.Class`` of each, one a line.

The test of the name table compares them with it, so that a new version's new factories are seen.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys

from uni4d_infinigen.spawning import without_online_extensions

__all__ = ["discover"]

_PREFIX = "infinigen.assets.objects."


def discover() -> list[str]:
    """Every ``AssetFactory`` defined below ``infinigen.assets.objects``, by ``module.Class``, sorted."""
    without_online_extensions()
    import infinigen.assets.objects
    from infinigen.core.placement.factory import AssetFactory

    found = set()
    for module in pkgutil.walk_packages(infinigen.assets.objects.__path__, _PREFIX):
        try:
            members = vars(importlib.import_module(module.name)).values()
        except Exception as error:  # noqa: BLE001 - its modules fail in many ways; a failing one has no factory
            sys.stderr.write(f"{module.name}: {error!r}\n")
            continue
        for member in members:
            if inspect.isclass(member) and issubclass(member, AssetFactory) and member is not AssetFactory:
                name = f"{member.__module__}.{member.__name__}"
                if name.startswith(_PREFIX):
                    found.add(name.removeprefix(_PREFIX))
    return sorted(found)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Blender prints too
    print(*discover(), sep="\n", file=answers, flush=True)
