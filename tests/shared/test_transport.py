"""Addresses, keys, and that PROTOCOL.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zmq

import uni4d_shared
from uni4d_shared import codec, transport
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import MESSAGE_TYPES

SHARED = Path(uni4d_shared.__file__).parent
PROTOCOL = (SHARED.parent / "PROTOCOL.md").read_text()


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:7447", True),
        ("tcp://127.8.8.8:*", True),
        ("tcp://localhost:7447", True),
        ("tcp://[::1]:7447", True),
        ("tcp://0.0.0.0:7447", False),
        ("tcp://*:7447", False),
        ("tcp://192.168.0.7:7447", False),
        ("tcp://localhost.example.com:7447", False),
        ("tcp://eth0:7447", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(endpoint: str, local: bool) -> None:
    assert transport.is_loopback(endpoint) is local


def test_keys_that_are_missing_say_how_to_make_them(tmp_path: Path) -> None:
    with (
        zmq.Context() as context,
        pytest.raises(Uni4DError, match=r"No CURVE certificate at .*client\.key_secret"),
    ):
        transport.client_socket(context, tmp_path)
    with pytest.raises(Uni4DError, match="holds no server key"):
        transport.create_client_keys(tmp_path, tmp_path / "client", "me")


def test_a_clients_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    transport.create_server_keys(tmp_path)
    with pytest.raises(Uni4DError, match="cannot name a client"):
        transport.create_client_keys(tmp_path, tmp_path / "client", "../../me")


def test_the_protocol_document_states_the_version_and_the_limits_of_the_code() -> None:
    assert PROTOCOL.startswith(
        f"# The Uni4D protocol, version {'.'.join(map(str, codec.PROTOCOL_VERSION))}\n"
    )
    assert (
        f"header {codec.MAX_HEADER_BYTES >> 20} MiB; one frame {codec.MAX_FRAME_BYTES >> 30} GiB" in PROTOCOL
    )
    assert f"all frames {codec.MAX_MESSAGE_BYTES >> 30} GiB;\n{codec.MAX_FRAMES} frames" in PROTOCOL
    assert f"nesting {codec.MAX_DEPTH};" in PROTOCOL
    assert f"at most {codec.INLINE_ITEMS} numbers" in PROTOCOL
    assert f"at most {codec.INLINE_BYTES} bytes" in PROTOCOL
    assert transport.WORK_ENDPOINT in PROTOCOL
    assert transport.CONTROL_ENDPOINT in PROTOCOL
    assert all(f"`{name}`" in PROTOCOL for name in codec.DTYPES)


def test_the_protocol_document_names_every_message_and_every_error_of_shared_and_server() -> None:
    assert [name for name in MESSAGE_TYPES if f"`{name}" not in PROTOCOL] == []
    server = SHARED.parents[1] / "backend" / "uni4d" / "server"
    source = "".join(path.read_text() for folder in (SHARED, server) for path in folder.glob("*.py"))
    codes = set(re.findall(r'(?:Uni4DError|Failed)\(\s*"([a-z-]+)"', source))
    codes |= set(re.findall(r'code(?:: str)? ?= ?"([a-z-]+)"', source))
    assert {"bad-message", "worker-died", "port-in-use"} <= codes
    assert {code for code in codes if f"`{code}`" not in PROTOCOL} == set()
