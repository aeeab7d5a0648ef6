"""Every message survives the wire; nothing else does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from uni4d_shared import codec, messages, types
from uni4d_shared.codec import ProtocolError, decode, encode
from uni4d_shared.messages import MESSAGE_TYPES, Cancel, FetchResult, Ping, Pong, SearchRequest

ASSET = types.Asset("uid", "bear", ("bear", "toy"), "CC0", "somebody", "library", "/bear.glb")
VALUE_TYPES = [getattr(types, name) for name in types.__all__ if attrs.has(getattr(types, name))]
VALUE_TYPES = [cls for cls in VALUE_TYPES if cls is not types.ArrayOf]
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


# --- strategies: any instance of any class of the protocol --------------------------------------

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=100),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def array(dtype: Any, *shape: int) -> st.SearchStrategy[Any]:
    return hnp.arrays(dtype, shape)


@st.composite
def views(draw: Callable[..., Any]) -> types.ViewSet:
    count, height, width = (draw(st.integers(1, 4)) for _ in range(3))
    cameras = st.lists(of(types.Camera), min_size=count, max_size=count)
    shape = (count, height, width)
    return types.ViewSet(draw(array(np.uint8, *shape, 4)), draw(array(np.float32, *shape)), draw(cameras))


@st.composite
def splats(draw: Callable[..., Any], count: int | None = None) -> types.Splats:
    n = draw(st.integers(0, 9)) if count is None else count
    tails = ((3,), (4,), (3,), (), (3,), (draw(st.sampled_from([0, 3, 8, 15])), 3))
    return types.Splats(*(draw(array(np.float32, n, *tail)) for tail in tails))


@st.composite
def color_motion(draw: Callable[..., Any], frames: int = 3, count: int = 2) -> types.ColorMotion:
    ranks = draw(st.integers(0, 3))
    basis, weights = draw(array(np.float32, ranks, count, 3)), draw(array(np.float32, frames, ranks))
    return types.ColorMotion(basis, weights, draw(st.integers(0, ranks)))


@st.composite
def mesh(draw: Callable[..., Any]) -> types.Mesh:
    vertices = draw(st.integers(3, 7))
    faces = hnp.arrays(np.int32, (draw(st.integers(1, 5)), 3), elements=st.integers(0, vertices - 1))
    return types.Mesh(draw(array(np.float32, vertices, 3)), draw(faces))


@st.composite
def motion(draw: Callable[..., Any], vertices: int | None = None) -> types.NodeMotion:
    frames, nodes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    shape = (draw(st.integers(0, 6)) if vertices is None else vertices, draw(st.integers(1, 4)))
    return types.NodeMotion(
        draw(array(np.float32, nodes, 3)),
        draw(array(np.float32, frames, nodes, 4)),
        draw(array(np.float32, frames, nodes, 3)),
        draw(hnp.arrays(np.int32, shape, elements=st.integers(0, nodes - 1))),
        draw(array(np.float32, *shape)),
    )


@st.composite
def gaussians(draw: Callable[..., Any]) -> types.Gaussians4D:
    surface, cloud = draw(mesh()), draw(splats())
    count = len(cloud.means)
    faces = hnp.arrays(np.int32, (count,), elements=st.integers(0, len(surface.faces) - 1))
    moving = draw(motion(len(surface.vertices)))
    places = draw(array(np.float32, count, 3))
    colors = draw(st.none() | color_motion(len(moving.rotations), count))
    change = draw(array(np.float32, draw(st.sampled_from([0, count])), 3))
    return types.Gaussians4D(surface, cloud, moving, draw(faces), places, 24.0, colors, change)


SPECIAL: dict[type, Callable[[], st.SearchStrategy[Any]]] = {
    types.ViewSet: views,
    types.Splats: splats,
    types.Mesh: mesh,
    types.NodeMotion: motion,
    types.ColorMotion: color_motion,
    types.Gaussians4D: gaussians,
}


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that the protocol uses."""
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(),
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False),
        bytes: st.binary(max_size=200),
        bool: st.booleans(),
        Any: plain,
        type(None): st.none(),
    }
    if hint in scalars:
        return scalars[hint]
    if hint in SPECIAL:
        return SPECIAL[hint]()
    if get_origin(hint) is dict:
        return st.dictionaries(st.text(max_size=8), of(get_args(hint)[1]), max_size=3)
    if get_origin(hint) is tuple:
        items = get_args(hint)
        if items[-1] is Ellipsis:
            return st.lists(of(items[0]), max_size=3).map(tuple)
        return st.tuples(*map(of, items))
    if attrs.has(hint):
        return st.builds(hint, **{field.name: of_field(hint, field) for field in attrs.fields(hint)})
    return st.one_of(*map(of, get_args(hint)))


def of_field(cls: type, field: Any) -> st.SearchStrategy[Any]:
    if isinstance(field.validator, types.ArrayOf):
        shape = [st.just(n) if n else st.integers(0, 4) for n in field.validator.shape]
        return st.tuples(*shape).flatmap(lambda sizes: array(field.validator.dtype, *sizes))
    return of(get_type_hints(cls)[field.name])


def assert_same(left: Any, right: Any) -> None:
    """Equal in type, value and (for arrays) every bit."""
    assert type(left) is type(right)
    if attrs.has(type(left)):
        for field in attrs.fields(type(left)):
            assert_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        assert_same(list(left.values()), list(right.values()))
    else:
        assert left == right


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", MESSAGE_TYPES.values(), ids=MESSAGE_TYPES)
@quick
@given(data=st.data())
def test_every_message_survives_the_wire(cls: type, data: st.DataObject) -> None:
    message = data.draw(of(cls))
    envelope = decode(encode(message, id="id-1", parent="p_2"))
    assert (envelope.id, envelope.parent) == ("id-1", "p_2")
    assert_same(envelope.message, message)


@pytest.mark.parametrize("cls", VALUE_TYPES, ids=lambda cls: cls.__name__)
@settings(quick, max_examples=5)
@given(data=st.data())
def test_every_value_survives_a_file(
    cls: type, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("codec") / "value.u4d"
    value = data.draw(of(cls))
    codec.write_file(path, value)
    assert_same(codec.read_file(path, cls), value)
    assert [entry.name for entry in path.parent.iterdir()] == ["value.u4d"]


@pytest.mark.parametrize("cls", MESSAGE_TYPES.values(), ids=MESSAGE_TYPES)
@settings(quick, max_examples=5)
@given(data=st.data())
def test_unknown_fields_are_skipped_and_missing_or_wrong_ones_named(cls: type, data: st.DataObject) -> None:
    frames = encode(data.draw(of(cls)), id="id")
    header = msgpack.unpackb(frames[0])
    newer = {**header, "later": 1, "content": {**header["content"], "of_a_later_version": [1, {}]}}
    assert type(decode([msgpack.packb(newer), *frames[1:]]).message) is cls
    for field in attrs.fields(cls):
        wrong = {**header, "content": {**header["content"], field.name: msgpack.Timestamp(1)}}
        with pytest.raises(ProtocolError):
            decode([msgpack.packb(wrong), *frames[1:]])
        wrong["content"][field.name] = [[[[None]]]]
        with pytest.raises(ProtocolError, match=field.name):
            decode([msgpack.packb(wrong), *frames[1:]])
        del wrong["content"][field.name]
        if field.default is attrs.NOTHING:
            with pytest.raises(ProtocolError, match=f"{cls.__name__}.{field.name} is missing"):
                decode([msgpack.packb(wrong), *frames[1:]])


def test_numpy_scalars_are_sent_as_numbers() -> None:
    camera = types.Camera(np.eye(4), np.eye(3), np.int64(8), np.int64(9))  # type: ignore[arg-type]
    result = messages.AnimateResult(
        types.Clip(np.zeros((1, 2, 2, 3)), np.float32(12), camera),  # type: ignore[arg-type]
        {"period": np.float32(0.5), "found": np.bool_(True), "axis": (0, 0, 1)},
    )
    received = decode(encode(result, id="x")).message
    assert received.program == {"period": 0.5, "found": True, "axis": [0, 0, 1]}
    assert received.clip.camera.height == 9


def test_received_arrays_can_be_written_to() -> None:
    clip = decode(encode(messages.AnimateResult(types.Clip(np.zeros((2, 8, 8, 3))), {}), id="x")).message.clip
    clip.frames[0] = 255
    assert clip.frames[0].min() == 255


@pytest.mark.parametrize("layout", ["big-endian", "transposed", "sliced"])
def test_arrays_of_any_layout_arrive_with_the_same_numbers(layout: str) -> None:
    numbers = np.arange(48, dtype=np.float64).reshape(4, 12)
    array = {
        "big-endian": numbers.astype(">f8"),
        "transposed": np.asfortranarray(numbers),
        "sliced": np.repeat(numbers, 2, axis=1)[:, ::2],
    }[layout]
    program = decode(encode(messages.AnimateResult(types.Clip(np.zeros((1, 1, 1, 3))), {"a": array}), id="x"))
    received = program.message.program["a"]
    assert np.array_equal(received, numbers)
    assert received.dtype == np.float64


def test_small_arrays_and_bytes_stay_in_the_header_and_large_ones_are_raw_frames() -> None:
    assert len(encode(FetchResult(ASSET, b"x" * codec.INLINE_BYTES), id="x")) == 1
    large = b"x" * (codec.INLINE_BYTES + 1)
    assert encode(FetchResult(ASSET, large), id="x")[1] == large
    frames = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    sent = encode(messages.AnimateResult(types.Clip(frames), {}), id="x")
    assert sent[1:] == [frames.tobytes()]


def test_a_message_is_readdressed_without_touching_its_frames() -> None:
    sent = encode(
        messages.AnimateResult(types.Clip(np.zeros((2, 8, 8, 3))), {"verb": "spin"}), id="a", parent="b"
    )
    again = codec.readdressed(sent, id="c", parent="d")
    assert again[1] is sent[1]
    assert codec.read_header(again) == codec.Header("c", "d", "AnimateResult")
    assert decode(again).message.program == {"verb": "spin"}


# --- rejections ---------------------------------------------------------------------------------


def _header(**changes: Any) -> list[bytes]:
    header = {
        "protocol": "1.0",
        "id": "a",
        "parent": "",
        "type": "Cancel",
        "content": {"job": "j"},
        "frames": [],
    }
    return [msgpack.packb({**header, **changes})]


def _fetched(description: Any, raw: bytes, number: int = 1) -> list[bytes]:
    """A ``FetchResult`` whose GLB is said to be the frame with that description."""
    (frame,) = encode(FetchResult(ASSET, b""), id="a")
    header = msgpack.unpackb(frame)
    header["content"]["glb"] = msgpack.ExtType(1, struct.pack("<I", number))
    return [msgpack.packb({**header, "frames": [description]}), raw]


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _array(**changes: Any) -> dict[str, Any]:
    return {"kind": "array", "dtype": "uint8", "shape": [4], **changes}


REJECTED = {
    "no frame": ([], "1 to 1024 frames"),
    "too many frames": ([b""] * 1025, "1 to 1024 frames"),
    "empty header": ([b""], "not msgpack"),
    "cut header": ([_header()[0][:-3]], "not msgpack"),
    "bytes after the header": ([_header()[0] + b"x"], "not msgpack"),
    "text that is not UTF-8": ([_header()[0].replace(b"Cancel", b"Canc\xff\xfe")], "not msgpack"),
    "header is a list": ([msgpack.packb([1])], "not a map"),
    "number as key": ([msgpack.packb({1: 2})], "not msgpack"),
    "no version": (_header(protocol=None), "no protocol version"),
    "odd version": (_header(protocol="1.0\n"), "no protocol version"),
    "no id": (_header(id=7), "'id' is missing"),
    "path as id": (_header(id="../../etc/passwd"), "must be 1 to 64 letters"),
    "long id": (_header(id="a" * 65), "must be 1 to 64 letters"),
    "path as parent": (_header(parent="a/b"), "must be 1 to 64 letters"),
    "content is a list": (_header(content=[]), "'content' is missing"),
    "unknown type": (_header(type="os.system"), "unknown message type"),
    "value type as message": (_header(type="Mesh"), "unknown message type"),
    "frame that is not there": (_header(frames=[_array()]), "describes 1 frames, 0 came"),
    "frame that is not described": ([*_header(), b"x"], "describes 0 frames, 1 came"),
    "deep content": (_header(content={"job": _nested(codec.MAX_DEPTH)}), "nested deeper"),
    "very deep content": (_header(content={"job": _nested(300)}), "nested deeper|not msgpack"),
    "bytes as key": (_header(content={b"job": "x"}), "keys of maps must be text"),
    "unknown extension": (_header(content={"job": msgpack.ExtType(9, b"")}), "unknown extension"),
    "short frame number": (_header(content={"job": msgpack.ExtType(1, b"\0")}), "unknown extension"),
    "broken inline array": (_header(content={"job": msgpack.ExtType(2, b"\xc1")}), "not msgpack"),
    "odd inline array": (_header(content={"job": msgpack.ExtType(2, b"\x93\1\2\3")}), "unknown extension"),
    "number for text": (_header(content={"job": 7}), "Cancel.job: expected str, got int"),
    "truth for text": (_header(content={"job": True}), "expected str, got bool"),
    "array for text": (
        _header(content={"job": msgpack.ExtType(2, msgpack.packb(["uint8", [1], b"x"]))}),
        "expected str, got ndarray",
    ),
    "frame 0": (_fetched({"kind": "bytes"}, b"x", 0), "frame 0 of 1"),
    "frame 2 of 1": (_fetched({"kind": "bytes"}, b"x", 2), "frame 2 of 1"),
    "unknown kind": (_fetched({"kind": "pickle"}, b"x"), "expected kind 'array' or 'bytes'"),
    "description is a list": (_fetched([], b"x"), "expected kind 'array' or 'bytes'"),
    "object array": (_fetched(_array(dtype="object"), b"abcd"), "'object' are not accepted"),
    "structured array": (_fetched(_array(dtype=["uint8"]), b"abcd"), "are not accepted"),
    "negative size": (_fetched(_array(shape=[-4]), b"abcd"), "not the shape"),
    "truth as size": (_fetched(_array(shape=[True]), b"a"), "not the shape"),
    "size that overflows": (_fetched(_array(shape=[2**40, 2**40]), b"abcd"), "not the shape"),
    "no shape": (_fetched(_array(shape=None), b"abcd"), "not the shape"),
    "too many dimensions": (_fetched(_array(shape=[1] * 9), b"a"), "not the shape"),
    "too few bytes": (_fetched(_array(), b"abc"), "has 3 bytes"),
    "too many bytes": (_fetched(_array(), b"abcde"), "has 5 bytes"),
    "array for bytes": (_fetched(_array(), b"abcd"), "FetchResult.glb: expected bytes, got ndarray"),
}


@pytest.mark.parametrize(("frames", "reason"), REJECTED.values(), ids=REJECTED)
def test_what_is_not_a_message_is_rejected_with_a_reason(frames: list[bytes], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        decode(frames)
    assert caught.value.code == "bad-message"


def test_another_major_version_is_refused_and_another_minor_is_not() -> None:
    assert decode(_header(protocol="1.7")).message == Cancel("j")
    with pytest.raises(ProtocolError, match=r"peer speaks version 2.0 .* this side speaks 1") as caught:
        decode(_header(protocol="2.0"))
    assert caught.value.code == "protocol-version"
    assert caught.value.cure


@given(gaussians())
def test_results_from_before_harmonics_and_changes_of_color_are_read(result: types.Gaussians4D) -> None:
    frames = encode(result, id="a")
    header = msgpack.unpackb(frames[0], strict_map_key=False)
    del header["content"]["color_motion"], header["content"]["splats"]["harmonics"]
    del header["content"]["traced_change"]
    read = codec.decode_value([msgpack.packb(header), *frames[1:]], types.Gaussians4D)
    assert read.color_motion is None
    assert len(read.traced_change) == 0
    assert read.splats.harmonics.shape == (len(result.splats.means), 0, 3)
    assert np.array_equal(read.splats.colors, result.splats.colors, equal_nan=True)


def test_an_array_of_another_type_or_shape_than_the_field_is_rejected() -> None:
    sent = encode(messages.AnimateResult(types.Clip(np.zeros((2, 4, 4, 3))), {}), id="a")
    header = msgpack.unpackb(sent[0])
    header["frames"][0].update(dtype="float32")
    with pytest.raises(ProtocolError, match=r"Clip\.frames: expected an array of uint8, got float32"):
        decode([msgpack.packb(header), sent[1] * 4])
    header["frames"][0].update(dtype="uint8", shape=[6, 16])
    with pytest.raises(ProtocolError, match=r"Clip.frames: expected shape \[\*, \*, \*, 3\], got \[6, 16\]"):
        decode([msgpack.packb(header), sent[1]])


def test_indices_that_point_nowhere_are_rejected() -> None:
    surface = types.Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    header = msgpack.unpackb(encode(surface, id="a")[0])
    indices = msgpack.packb(["int32", [1, 3], np.array([0, 1, 3], np.int32).tobytes()])
    header["content"]["faces"] = msgpack.ExtType(2, indices)
    with pytest.raises(ProtocolError, match="indices from 0 to 3, expected 0 to 2"):
        codec.decode_value([msgpack.packb(header)], types.Mesh)


@pytest.mark.parametrize("limit", ["MAX_FRAME_BYTES", "MAX_MESSAGE_BYTES", "MAX_HEADER_BYTES"])
def test_sizes_are_limited(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = encode(FetchResult(ASSET, b"x" * 100), id="a")
    monkeypatch.setattr(codec, limit, 90)
    with pytest.raises(ProtocolError, match=r"more than this side takes|at most 90 bytes"):
        decode(frames)


@settings(quick, max_examples=300)
@given(frames=st.lists(st.binary(max_size=60), max_size=3))
def test_random_bytes_are_rejected(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)


@settings(quick, max_examples=300)
@given(data=st.data())
def test_damaged_messages_are_read_or_rejected_but_never_crash(data: st.DataObject) -> None:
    frames = encode(
        messages.AlignResult(types.Alignment(1, 1, 1, 1, 1, np.ones(20) / 20)), id="a", parent="b"
    )
    header = bytearray(frames[0])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode([bytes(header), *frames[1:]])
    except ProtocolError as error:
        assert error.message


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"x": np.array([object()])}, "arrays of object"),
        ({"x": {1, 2}}, "cannot be sent"),
        ({"x": 2**70}, "cannot be sent"),
        ({"x": "\ud800"}, "cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_said_at_once(value: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode(messages.AnimateResult(types.Clip(np.zeros((1, 1, 1, 3))), value), id="a")


@pytest.mark.parametrize("bad", ["", "a b", "../x", "é", "a" * 65, "a\n"])
def test_ids_are_names_that_are_safe_as_files(bad: str) -> None:
    with pytest.raises(ProtocolError, match="1 to 64 letters"):
        encode(Ping(), id=bad)


# --- files --------------------------------------------------------------------------------------


def test_a_broken_file_is_named_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "clip.u4d"
    codec.write_file(path, types.Clip(np.zeros((2, 8, 8, 3))))
    whole = path.read_bytes()
    other = tmp_path / "other.u4d"
    codec.write_file(other, Pong("1", "local", 3))
    for damaged in (b"", b"PNG", whole[:-1], whole + b"x", b"X" + whole[1:], whole[:6], other.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(ProtocolError, match=r"clip\.u4d cannot be read") as caught:
            codec.read_file(path, types.Clip)
        assert caught.value.code == "file-unreadable"
        assert caught.value.cure


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "request.u4d"
    codec.write_file(path, SearchRequest("a bear"))
    with pytest.raises(TypeError):
        codec.write_frames(path, [b"header", object()])
    assert codec.read_file(path, SearchRequest) == SearchRequest("a bear")
    assert list(tmp_path.iterdir()) == [path]
