"""Errors that say what to do. They cross the wire as they are (see ``PROTOCOL.md``)."""

from __future__ import annotations

__all__ = ["Uni4DError"]


class Uni4DError(Exception):
    """An error for a person: what happened, and the cure.

    ``code`` is a stable word for programs, e.g. ``"library-empty"``; see the table in ``PROTOCOL.md``.
    """

    def __init__(self, code: str, message: str, cure: str = "") -> None:
        super().__init__(message if not cure else f"{message} {cure}")
        self.code = code
        self.message = message
        self.cure = cure
