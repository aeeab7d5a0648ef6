"""``uni4d serve``, and ``status``, ``cancel`` and ``stop`` for a server that runs."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Literal

import attrs
import tyro
import zmq
from attrs import define
from rich.table import Table

from uni4d.commands.common import Command
from uni4d.config import BlenderConfig, Config, ServeConfig
from uni4d.terminal import stdout
from uni4d_shared.codec import decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Cancel, CancelReply, Failed, Message, Shutdown, Status, StatusReply
from uni4d_shared.transport import client_socket, posted

__all__ = ["CancelJob", "JobStatus", "Serve", "Stop"]

_ANSWER_SECONDS = 5.0


@define(kw_only=True)
class Serve(Command):
    """Serve Blender add-ons and scripts over ZeroMQ until Ctrl-C."""

    endpoint: str = ServeConfig().endpoint
    """The work socket. Any address that is not loopback needs --keys."""
    control_endpoint: str = ServeConfig().control_endpoint
    """The control socket."""
    jobs: Path = ServeConfig().jobs
    """Folder for jobs and results; a restarted server finds them there."""
    keys: Path | None = None
    """Folder of CURVE certificates."""
    blender: Path | None = None
    """A Blender that films clips where [animate] renderer says so, instead of that of the table [blender]."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    blender_deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for that Blender's Python, where it lacks them."""
    blender_engine: Literal["auto", "cycles", "workbench", "eevee"] | None = None
    """Its engine; the photographs' should be the same."""
    fits: Path | None = None
    """Folder of interrupted fits, from which the same request goes on; by default beside the results."""

    def settings(self) -> Config:
        config = super().settings()
        serve = attrs.evolve(
            config.serve,
            endpoint=self.endpoint,
            control_endpoint=self.control_endpoint,
            jobs=self.jobs,
            keys=self.keys,
            fits=self.fits,
        )
        return attrs.evolve(config, serve=serve, blender=self._filming(config.blender))

    def _filming(self, blender: BlenderConfig) -> BlenderConfig:
        if self.blender is not None or self.bpy_python is not None:
            blender = attrs.evolve(
                blender, program=self.blender, bpy_python=self.bpy_python, deps=self.blender_deps
            )
        return blender if self.blender_engine is None else attrs.evolve(blender, engine=self.blender_engine)

    def run(self) -> dict[str, Any]:
        from uni4d.server import serve

        serve(self.settings())
        return {"stopped": True}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print("stopped")


@define(kw_only=True)
class _OnServer(Command):
    control_endpoint: str = ServeConfig().control_endpoint
    """The server's control socket."""
    keys: Path | None = None
    """Folder of this client's keys, for a server that is not on this machine."""

    def ask(self, request: Message) -> Message:
        with zmq.Context() as context, client_socket(context, self.keys) as dealer:
            dealer.connect(self.control_endpoint)
            sent = posted(dealer, encode(request, id=uuid.uuid4().hex))
            if not sent or not dealer.poll(int(_ANSWER_SECONDS * 1000)):
                raise Uni4DError(
                    "backend-unreachable",
                    f"No server answers on {self.control_endpoint}.",
                    "Start one with: uni4d serve. One with keys answers those whom it has admitted: --keys.",
                )
            reply = decode(dealer.recv_multipart()).message
        if isinstance(reply, Failed):
            raise Uni4DError(reply.code, reply.message, reply.cure)
        return reply


@define(kw_only=True)
class JobStatus(_OnServer):
    """The jobs of a running server."""

    def run(self) -> list[dict[str, Any]]:
        reply: StatusReply = self.ask(Status())
        return [attrs.asdict(job) for job in reply.jobs]

    def show(self, result: list[dict[str, Any]]) -> None:
        table = Table(box=None)
        for column in ("job", "kind", "state", "done", "message"):
            table.add_column(column)
        for job in result:
            table.add_row(
                job["job"], job["kind"], job["state"], f"{100 * job['fraction']:.0f}%", job["message"]
            )
        stdout.print(table if result else "no jobs")


@define(kw_only=True)
class CancelJob(_OnServer):
    """Cancel a job that is queued or running."""

    job: tyro.conf.Positional[str]

    def run(self) -> dict[str, Any]:
        reply: CancelReply = self.ask(Cancel(self.job))
        return {"job": self.job, "known": reply.known}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print("cancelled" if result["known"] else "that job has ended, or never was")


@define(kw_only=True)
class Stop(_OnServer):
    """Stop a running server; its jobs are cancelled."""

    def run(self) -> dict[str, Any]:
        self.ask(Shutdown())
        return {"stopped": True}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print("stopped")
