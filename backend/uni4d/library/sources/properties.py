"""Java ``.properties`` files (the format of ``java.util.Properties.load``)."""

from __future__ import annotations

import re

__all__ = ["parse_properties"]

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_KEY = re.compile(r"((?:\\.|[^\s:=\\])+)[ \t\f]*[:=]?[ \t\f]*(.*)", re.DOTALL)


def parse_properties(data: bytes) -> dict[str, str]:
    """Keys and values of a properties file: latin-1, ``\\uXXXX``, comments, continued lines."""
    result: dict[str, str] = {}
    logical = ""
    for raw in data.decode("latin-1").splitlines():
        line = raw.lstrip(" \t\f")
        if not logical and line[:1] in ("#", "!"):
            continue
        logical += line
        if (len(logical) - len(logical.rstrip("\\"))) % 2:
            logical = logical[:-1]
            continue
        match = _KEY.match(logical)
        if match:
            result[_unescape(match[1])] = _unescape(match[2])
        logical = ""
    return result


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        return _NAMED.get(code, code)

    return _ESCAPE.sub(replace, text)
