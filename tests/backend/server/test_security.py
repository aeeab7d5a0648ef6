"""Bytes that are no messages, and peers that have no key."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uni4d_shared.codec import PROTOCOL_VERSION, decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Failed, Ping, Pong, SearchRequest, SearchResult, Shutdown
from uni4d_shared.transport import create_client_keys, create_server_keys

StartServer = Callable[..., Any]
Connect = Callable[..., Any]


def _mutations() -> list[list[bytes]]:
    """Cut, changed, extended and random messages; the same ones every time."""
    chance = random.Random(7)
    good = encode(SearchRequest("count 1"), id="job-of-the-mutant")[0]
    cases: list[list[bytes]] = [[b""], [b"\xc1"], [good, b"surplus"], [b"\x91" * 5000], [b"\xff" * 100]]
    cases += [[good[:cut]] for cut in range(0, len(good), 7)]
    cases += [[chance.randbytes(chance.randrange(1, 200))] for _ in range(40)]
    for _ in range(40):
        changed = bytearray(good)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        cases.append([bytes(changed)])
    return cases


def test_malformed_bytes_do_not_kill_the_server(client: Any) -> None:
    for case in _mutations():
        client.work.send_multipart(case)
        client.control.send_multipart(case)
    job = client.request("count 1")
    refused = 0
    while (envelope := client.receive()).parent != job or not isinstance(envelope.message, SearchResult):
        refused += isinstance(envelope.message, Failed)
    assert refused > 60


def test_another_major_version_is_refused_clearly(client: Any) -> None:
    (frame,) = encode(Ping(), id="question")
    ours = ".".join(map(str, PROTOCOL_VERSION)).encode()
    assert frame.count(b"\xa3" + ours) == 1
    client.control.send_multipart([frame.replace(b"\xa3" + ours, b"\xa3" + b"9.0")])
    assert client.control.poll(10_000)
    failed = decode(client.control.recv_multipart()).message
    assert failed.code == "protocol-version"
    assert failed.cure


def test_an_open_address_without_keys_is_refused(start_server: StartServer) -> None:
    assert start_server(control="tcp://0.0.0.0:*").said.startswith("error keys-required")


def test_with_keys_only_admitted_clients_are_heard(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    create_server_keys(tmp_path / "server")
    create_client_keys(tmp_path / "server", tmp_path / "artist", "artist")
    create_client_keys(tmp_path / "server", tmp_path / "stranger", "stranger")
    (tmp_path / "server" / "clients" / "stranger.key").unlink()
    server = start_server(work="tcp://0.0.0.0:*", control="tcp://0.0.0.0:*", keys=tmp_path / "server")
    server.endpoints = tuple(f"tcp://127.0.0.1:{end.rsplit(':', 1)[1]}" for end in server.endpoints)

    artist = connect(server, tmp_path / "artist")
    assert isinstance(artist.ask(Ping()), Pong)
    assert isinstance(artist.last(artist.request("count 1"))[0], SearchResult)
    assert artist.ask(Shutdown()).code == "shutdown-refused"
    for keys in (tmp_path / "stranger", None):
        with pytest.raises(TimeoutError):
            connect(server, keys).ask(Ping(), timeout=1.0)
    assert isinstance(artist.ask(Ping()), Pong)


def test_keys_are_not_overwritten_and_not_readable_by_others(tmp_path: Path) -> None:
    create_server_keys(tmp_path)
    assert (tmp_path / "server.key_secret").stat().st_mode & 0o077 == 0
    with pytest.raises(Uni4DError, match="already holds"):
        create_server_keys(tmp_path)
