"""Connect and disconnect."""

from __future__ import annotations

from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError
from uni4d_shared.transport import is_loopback

from .. import preferences
from ..session import current
from .reporting import attempt

__all__ = ["CLASSES"]


class Uni4DConnect(bpy.types.Operator):
    bl_idname = "uni4d.connect"
    bl_label = "Connect"
    bl_description = "Connect to the backend that the preferences name"

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, lambda: self._connect(context))

    def _connect(self, context: bpy.types.Context) -> None:
        chosen = preferences.get(context)
        addresses = (chosen.endpoint, chosen.control_endpoint)
        online = getattr(bpy.app, "online_access", True)  # from 4.2 on the user decides
        if not online and not all(is_loopback(address) for address in addresses):
            raise Uni4DError(
                "offline",
                "Blender must not use the network, and the backend is on another machine.",
                "Allow Online Access in Preferences > System, or use a backend on this machine.",
            )
        session = current()
        session.error, session.note = None, ""
        session.connect(*addresses, chosen.keys_folder)
        if bpy.app.background and session.jobs is not None:
            session.jobs.wait_for_backend()


class Uni4DDisconnect(bpy.types.Operator):
    bl_idname = "uni4d.disconnect"
    bl_label = "Disconnect"
    bl_description = "End the connection, and whatever is going on"

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, current().disconnect)


CLASSES = (Uni4DConnect, Uni4DDisconnect)
