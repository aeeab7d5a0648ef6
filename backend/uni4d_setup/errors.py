"""The one error of the set-up."""

from __future__ import annotations

__all__ = ["SetupError"]


class SetupError(Exception):
    """A step could not be done. ``cure`` says what the person should do, often as a command to paste."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message if not cure else f"{message}\n{cure}")
        self.message = message
        self.cure = cure
