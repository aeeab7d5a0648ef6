"""What the buttons do. Each operator starts something in the session and returns at once.

Without a window (``blender -b``, ``bpy``) timers never fire, so there the same operators wait for the end.
"""

from __future__ import annotations

from . import connection, motion, runs, video

__all__ = ["CLASSES"]

CLASSES = (*connection.CLASSES, *runs.CLASSES, *motion.CLASSES, *video.CLASSES)
