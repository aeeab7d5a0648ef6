"""``uni4d keys``: the CURVE keys that a server needs on any address but loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro
from attrs import define

from uni4d.commands.common import Command
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.transport import create_client_keys, create_server_keys

__all__ = ["Keys"]


@define(kw_only=True)
class Keys(Command):
    """Make a server's keys, and admit clients to it."""

    folder: tyro.conf.Positional[Path]
    """The server's key folder (`uni4d serve --keys FOLDER`); gets a key if it has none."""
    client: str = ""
    """Also make keys for a client of this name, and admit it."""
    out: Path | None = None
    """Where the client's keys go; hand this folder over, by a safe way, to the client."""

    def run(self) -> dict[str, Any]:
        if self.client and self.out is None:
            raise Uni4DError("bad-setting", "Nowhere to put the client's keys.", "Give --out FOLDER.")
        if not (self.folder / "server.key_secret").exists():
            create_server_keys(self.folder)
        if self.client and self.out is not None:
            create_client_keys(self.folder, self.out, self.client)
        admitted = sorted(path.stem for path in (self.folder / "clients").glob("*.key"))
        return {"folder": str(self.folder), "clients": admitted}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['folder']} admits: {', '.join(result['clients']) or 'nobody yet'}")
