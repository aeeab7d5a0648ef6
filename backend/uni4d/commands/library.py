"""``uni4d library``: build the library of assets and look at it; ``uni4d fetch``: take one out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import attrs
import tyro
from attrs import define

from uni4d.commands.common import Command
from uni4d.config import Config
from uni4d.terminal import stdout
from uni4d_shared.progress import silent

__all__ = ["Fetch", "LibraryBuild", "LibraryCommands", "LibraryInfo"]


@define(kw_only=True)
class LibraryBuild(Command):
    """Read all meshes of a source, make thumbnails and features, and index them; goes on where it stopped."""

    source: str | None = None
    """sweethome3d (the default), or folder: any folder of meshes (OBJ, GLB, PLY, STL, OFF)."""
    path: Path | None = None
    """The source's folder; sweethome3d finds its own."""
    force: bool = False
    """Read every mesh again."""

    def settings(self) -> Config:
        config = super().settings()
        library = config.library
        source, path = self.source or library.source, self.path or library.path
        return attrs.evolve(config, library=attrs.evolve(library, source=source, path=path))

    def run(self) -> dict[str, Any]:
        from uni4d.library.build import build_library

        with self.progress("library") as progress:
            library = build_library(self.settings().library, progress, force=self.force)
        return {"assets": len(library.assets()), "root": str(self.settings().library.root)}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['assets']} assets in {result['root']}")


@define(kw_only=True)
class LibraryInfo(Command):
    """How many assets the library holds, from which sources, under which licences."""

    def run(self) -> dict[str, Any]:
        from uni4d.library.opened import open_library

        library = open_library(self.settings().library)
        assets = library.assets()
        return {
            "assets": len(assets),
            "root": str(self.settings().library.root),
            "sources": _counts([asset.source for asset in assets]),
            "licences": _counts([asset.licence for asset in assets]),
        }

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['assets']} assets in {result['root']}")
        for title in ("sources", "licences"):
            stdout.print(f"{title}:")
            for name, count in result[title].items():
                stdout.print(f"  {count:6d}  {name}")


@define(kw_only=True)
class LibraryCommands:
    """Build the library of assets, and look at it."""

    command: (
        Annotated[LibraryBuild, tyro.conf.subcommand("build")]
        | Annotated[LibraryInfo, tyro.conf.subcommand("info")]
    )


@define(kw_only=True)
class Fetch(Command):
    """Write one asset's mesh as GLB, e.g. uni4d fetch UID --out bear.glb."""

    uid: tyro.conf.Positional[str]
    out: Path
    """The GLB file to write."""

    def run(self) -> dict[str, Any]:
        from uni4d.pipeline import Stages

        stages = Stages(self.settings())
        asset = stages.fetch(self.uid, silent).asset
        self.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(asset.path, self.out)
        return {**attrs.asdict(asset), "path": str(self.out)}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['name']} ({result['licence']}, {result['author']}) → {result['path']}")


def _counts(values: list[str]) -> dict[str, int]:
    return {value: values.count(value) for value in sorted(set(values), key=values.count, reverse=True)}
