"""Runs inside Blender: install the archive, switch the add-on on and off, and say what is left.

Arguments: ARCHIVE. Prints one line ``INSTALLED {json}``. With further arguments (a command of the add-on's
``headless.py``) that command runs from the installed add-on before it is switched off.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import bpy

PACKAGES = ("zmq", "msgpack", "attr", "cattrs", "uni4d_shared")


def traces() -> dict[str, list[str]]:
    """Everything that an add-on may leave behind in Blender's registries."""
    registries = {"classes": [name for name in dir(bpy.types) if "uni4d" in name.lower()]}
    for owner in (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object):
        properties = [name for name in dir(owner) if "uni4d" in name.lower()]
        registries[f"properties.{owner.__name__}"] = properties
    for name in dir(bpy.app.handlers):
        listed = getattr(bpy.app.handlers, name)
        if isinstance(listed, list):
            registries[f"handlers.{name}"] = [
                function.__module__ for function in listed if "uni4d" in str(function.__module__)
            ]
    return {name: found for name, found in registries.items() if found}


def install(archive: str) -> str:
    """Install and enable; the add-on's module name."""
    if bpy.app.version >= (4, 2, 0):
        bpy.ops.extensions.package_install_files(
            filepath=archive, repo="user_default", enable_on_install=True
        )
        return "bl_ext.user_default.uni4d"
    bpy.ops.preferences.addon_install(filepath=archive, overwrite=True)
    bpy.ops.preferences.addon_enable(module="uni4d")
    return "uni4d"


def main(archive: str, command: list[str]) -> int:
    module = install(archive)
    addon = importlib.import_module(module)
    report = {
        "module": module,
        "enabled": module in [enabled.module for enabled in bpy.context.preferences.addons],  # type: ignore[union-attr]
        "folder": str(Path(str(addon.__file__)).parent),
        "classes": traces().get("classes", []),
        "packages": {name: importlib.import_module(name).__file__ for name in PACKAGES},
    }
    code = importlib.import_module(f"{module}.headless").main(command) if command else 0
    bpy.ops.preferences.addon_disable(module=module)
    report["left"] = traces()
    bpy.ops.preferences.addon_enable(module=module)  # once more: a leftover would make this fail
    report["classes_again"] = traces().get("classes", [])
    bpy.ops.preferences.addon_disable(module=module)
    print("INSTALLED " + json.dumps(report), flush=True)  # noqa: T201
    return int(code)


given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
exit_code = main(given[0], given[1:])
if exit_code:
    sys.exit(exit_code)
