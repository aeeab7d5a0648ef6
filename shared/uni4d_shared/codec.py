"""Messages and values ↔ frames of bytes, for the wire and for ``.u4d`` files.

Frame 0 is a msgpack map, the *header*::

    {protocol: "1.0", id, parent, type, content, frames: [{kind, dtype, shape} | {kind: "bytes"}]}

``content`` holds the fields of the class named ``type``. Arrays and byte strings are hoisted out of it:
the raw bytes follow as frames 1, 2, …, described in ``frames``, and an extension value stands in their
place. Small ones (:data:`INLINE_ITEMS`, :data:`INLINE_BYTES`) stay inside. ``PROTOCOL.md`` gives every
detail. A ``.u4d`` file is the same frames behind a table of their lengths.

Reading is bounded and strict: what a peer sends can neither name a class, nor a dtype, outside the
allow-lists, nor make this side allocate more than the bytes that came; wrong types are a
:class:`ProtocolError` that says where; fields that are not known here are skipped.
"""

from __future__ import annotations

import math
import os
import re
import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import numpy as np
from attrs import frozen

from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import MESSAGE_TYPES, Message
from uni4d_shared.structure import structure, unstructure

__all__ = [
    "DTYPES",
    "INLINE_BYTES",
    "INLINE_ITEMS",
    "MAX_DEPTH",
    "MAX_FRAMES",
    "MAX_FRAME_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_MESSAGE_BYTES",
    "PROTOCOL_VERSION",
    "Envelope",
    "Header",
    "ProtocolError",
    "decode",
    "decode_value",
    "encode",
    "read_file",
    "read_frames",
    "read_header",
    "readdressed",
    "write_file",
    "write_frames",
]

PROTOCOL_VERSION = (1, 6)
"""Major, minor. Peers of one major version understand each other."""

INLINE_ITEMS = 16
"""Arrays of at most this many numbers stay in the header."""
INLINE_BYTES = 64
"""Byte strings of at most this length stay in the header."""
MAX_HEADER_BYTES = 4 << 20
MAX_FRAME_BYTES = 1 << 30
MAX_MESSAGE_BYTES = 2 << 30
MAX_FRAMES = 1024
MAX_DEPTH = 24
"""Maps and lists inside one another in a header."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
        *("float16", "float32", "float64"),
    )
}
"""The element types that may be sent, by name; always little-endian and in C order."""

_FRAME, _ARRAY = 1, 2  # msgpack extension types: a frame's number, an array inside the header
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_MAX_DIMENSIONS = 8

Value = TypeVar("Value")
Frame = Any
"""Anything with a buffer: ``bytes``, ``memoryview``, or a zmq frame's ``buffer``."""


class ProtocolError(Uni4DError):
    """Bytes that are not a message of this protocol; ``code`` is ``bad-message`` or ``protocol-version``."""

    def __init__(self, message: str, *, code: str = "bad-message", cure: str = "") -> None:
        super().__init__(code, message, cure)


@frozen
class Header:
    """What a header says about its message, without the content."""

    id: str
    """Chosen by the sender, unique: 1 to 64 letters, digits, ``-`` or ``_``. A request's id names its job."""
    parent: str
    """The id of the request that this answers; empty in requests."""
    type: str


@frozen
class Envelope:
    """A decoded message and its addresses (see :class:`Header`)."""

    id: str
    parent: str
    message: Message


# --- writing --------------------------------------------------------------------------------------


def encode(message: object, *, id: str, parent: str = "") -> list[bytes]:
    """The frames of a message, or of any other attrs value. ``id`` and ``parent``: see :class:`Header`."""
    _check_id("id", id)
    if parent:
        _check_id("parent", parent)
    hoisted = _Hoisted()
    header = {
        "protocol": ".".join(map(str, PROTOCOL_VERSION)),
        "id": id,
        "parent": parent,
        "type": type(message).__name__,
        "content": hoisted.replace(unstructure(message)),
        "frames": hoisted.descriptions,
    }
    return [_pack_header(header), *hoisted.frames]


def readdressed(frames: Sequence[Frame], *, id: str, parent: str) -> list[Frame]:
    """The same message with another ``id`` and ``parent``; its content is neither decoded nor copied."""
    _check_id("id", id)
    header = _unpack_header(frames)
    return [_pack_header({**header, "id": id, "parent": parent}), *frames[1:]]


class _Hoisted:
    """Collects the arrays and byte strings of one message as frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.descriptions: list[dict[str, Any]] = []

    def replace(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, bytes):
            return value if len(value) <= INLINE_BYTES else self._add(value, {"kind": "bytes"})
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, dict):
            return {key: self.replace(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.replace(item) for item in value]
        return value

    def _array(self, array: np.ndarray[Any, Any]) -> msgpack.ExtType:
        name = array.dtype.name
        if name not in DTYPES:
            raise ProtocolError(f"arrays of {name} cannot be sent; expected one of {', '.join(DTYPES)}")
        raw = array.astype(DTYPES[name], order="C", copy=False).tobytes()
        shape = list(array.shape)
        if array.size <= INLINE_ITEMS:
            return msgpack.ExtType(_ARRAY, msgpack.packb([name, shape, raw]))
        return self._add(raw, {"kind": "array", "dtype": name, "shape": shape})

    def _add(self, raw: bytes, description: dict[str, Any]) -> msgpack.ExtType:
        self.frames.append(raw)
        self.descriptions.append(description)
        return msgpack.ExtType(_FRAME, struct.pack("<I", len(self.frames)))


def _check_id(what: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise ProtocolError(f"{what} {value[:80]!r} must be 1 to 64 letters, digits, '-' or '_'")


def _pack_header(header: Mapping[str, Any]) -> bytes:
    try:
        packed = msgpack.packb(header)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"{header['type']} cannot be sent: {error}") from error
    if len(packed) > MAX_HEADER_BYTES:
        raise ProtocolError(f"the header of {header['type']} would have {len(packed)} bytes")
    return bytes(packed)


# --- reading --------------------------------------------------------------------------------------


def read_header(frames: Sequence[Frame]) -> Header:
    """The addresses and the type of a message; checks the version, and nothing of the content."""
    header = _unpack_header(frames)
    return Header(header["id"], header["parent"], header["type"])


def decode(frames: Sequence[Frame]) -> Envelope:
    """Read a message; anything that is not a well-formed one is a :class:`ProtocolError`."""
    header = _unpack_header(frames)
    cls = MESSAGE_TYPES.get(header["type"])
    if cls is None:
        raise ProtocolError(f"unknown message type {header['type'][:80]!r}")
    return Envelope(header["id"], header["parent"], _content(header, frames, cls))


def decode_value(frames: Sequence[Frame], cls: type) -> Any:
    """Read a value that must be of the attrs class ``cls``, which need not be a message."""
    header = _unpack_header(frames)
    if header["type"] != cls.__name__:
        raise ProtocolError(f"expected a {cls.__name__}, got a {header['type'][:80]}")
    return _content(header, frames, cls)


def _unpack_header(frames: Sequence[Frame]) -> dict[str, Any]:
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise ProtocolError(f"a message has 1 to {MAX_FRAMES} frames, got {len(frames)}")
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise ProtocolError(f"a header has at most {MAX_HEADER_BYTES} bytes, got {len(frames[0])}")
    try:
        header = msgpack.unpackb(frames[0], strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"the header is not msgpack: {error}") from error
    if not isinstance(header, dict):
        raise ProtocolError("the header is not a map")
    _check_version(header.get("protocol"))
    for key, kind in (("id", str), ("parent", str), ("type", str), ("content", dict), ("frames", list)):
        if not isinstance(header.get(key), kind):
            raise ProtocolError(f"the header's {key!r} is missing or not a {kind.__name__}")
    _check_id("id", header["id"])
    if header["parent"]:
        _check_id("parent", header["parent"])
    if len(header["frames"]) != len(frames) - 1:
        raise ProtocolError(f"the header describes {len(header['frames'])} frames, {len(frames) - 1} came")
    return header


def _check_version(protocol: object) -> None:
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", protocol) if isinstance(protocol, str) else None
    if match is None:
        raise ProtocolError("the header names no protocol version")
    if int(match[1]) != PROTOCOL_VERSION[0]:
        ours = ".".join(map(str, PROTOCOL_VERSION))
        raise ProtocolError(
            f"the peer speaks version {protocol} of the protocol, this side speaks {ours}.",
            code="protocol-version",
            cure="Install the same release of the Uni4D add-on and backend.",
        )


def _content(header: Mapping[str, Any], frames: Sequence[Frame], cls: type) -> Any:
    values = _frame_values(header["frames"], frames[1:])
    try:
        return structure(_restored(header["content"], values, 0), cls)
    except (TypeError, ValueError) as error:
        raise ProtocolError(str(error)) from error


def _frame_values(descriptions: Sequence[Any], raws: Sequence[Frame]) -> list[Any]:
    total = sum(len(raw) for raw in raws)
    if total > MAX_MESSAGE_BYTES or any(len(raw) > MAX_FRAME_BYTES for raw in raws):
        raise ProtocolError(f"{total} bytes of frames are more than this side takes")
    return [_frame_value(description, raw) for description, raw in zip(descriptions, raws, strict=True)]


def _frame_value(description: Any, raw: Frame) -> Any:
    kind = description.get("kind") if isinstance(description, dict) else None
    if kind == "bytes":
        return bytes(raw)
    if kind == "array":
        return _array_of(description.get("dtype"), description.get("shape"), raw)
    raise ProtocolError(f"a frame is described as {description!r:.80}, expected kind 'array' or 'bytes'")


def _array_of(name: Any, shape: Any, raw: Frame) -> np.ndarray[Any, Any]:
    """A writable array that owns its memory."""
    dtype = DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise ProtocolError(f"arrays of {name!r:.40} are not accepted; expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise ProtocolError(f"{shape!r:.80} is not the shape of an array")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ProtocolError(f"an array of {name} {shape} has {len(raw)} bytes")
    return np.frombuffer(raw, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=True)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MESSAGE_BYTES


def _restored(value: Any, frames: Sequence[Any], depth: int) -> Any:
    """``value`` with the arrays and byte strings back in their places."""
    if depth > MAX_DEPTH:
        raise ProtocolError(f"the content is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ProtocolError("the keys of maps must be text")
        return {key: _restored(item, frames, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item, frames, depth + 1) for item in value]
    if isinstance(value, msgpack.ExtType):
        return _extension(value, frames)
    if isinstance(value, msgpack.Timestamp):
        raise ProtocolError("timestamps are not part of the protocol")
    return value


def _extension(value: msgpack.ExtType, frames: Sequence[Any]) -> Any:
    if value.code == _FRAME and len(value.data) == 4:
        (number,) = struct.unpack("<I", value.data)
        if not 1 <= number <= len(frames):
            raise ProtocolError(f"the content refers to frame {number} of {len(frames)}")
        return frames[number - 1]
    if value.code == _ARRAY:
        parts = _unpack_small(value.data)
        if isinstance(parts, list) and len(parts) == 3 and isinstance(parts[2], bytes):
            return _array_of(*parts)
    raise ProtocolError(f"the content has an unknown extension (type {value.code})")


def _unpack_small(raw: bytes) -> Any:
    try:
        return msgpack.unpackb(raw)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"an array in the header is not msgpack: {error}") from error


# --- files ----------------------------------------------------------------------------------------

_MAGIC = b"U4D1"


def write_file(path: Path, value: object) -> None:
    """Write an attrs value to a ``.u4d`` file; the file appears complete or not at all."""
    write_frames(path, encode(value, id="file"))


def read_file(path: Path, cls: type[Value]) -> Value:
    """The ``cls`` in a ``.u4d`` file; a :class:`ProtocolError` (``file-unreadable``) names a broken one."""
    try:
        value: Value = decode_value(read_frames(path), cls)
    except ProtocolError as error:
        raise _unreadable(path, f"{error.message}.") from error
    return value


def write_frames(path: Path, frames: Sequence[Frame]) -> None:
    """Write encoded frames as they are (see :func:`write_file`)."""
    table = struct.pack(f"<4sI{len(frames)}Q", _MAGIC, len(frames), *(len(frame) for frame in frames))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(table)
            for frame in frames:
                file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_frames(path: Path) -> list[bytes]:
    """The frames of a ``.u4d`` file; the lengths in its table must add up to the file's."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) != 8 or not start.startswith(_MAGIC):
            raise _unreadable(path, "it is not a .u4d file.")
        (count,) = struct.unpack("<I", start[4:])
        table = file.read(8 * count) if 1 <= count <= MAX_FRAMES else b""
        lengths = struct.unpack(f"<{count}Q", table) if table and len(table) == 8 * count else ()
        if not lengths or 8 + 8 * count + sum(lengths) != size:
            raise _unreadable(path, "it was cut off or changed.")
        return [file.read(length) for length in lengths]


def _unreadable(path: Path, reason: str) -> ProtocolError:
    return ProtocolError(
        f"{path} cannot be read: {reason}", code="file-unreadable", cure="Delete it and run its stage again."
    )
