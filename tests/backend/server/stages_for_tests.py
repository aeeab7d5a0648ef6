"""Stages for the server's tests: real processes and sockets, but jobs that do what the prompt says.

Every job is a ``SearchRequest``; its prompt is a command.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
from pathlib import Path

from uni4d.config import Config
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Message, SearchRequest, SearchResult
from uni4d_shared.progress import Progress
from uni4d_shared.types import Query


class Stages:
    """``count N``: N reports; ``die``, ``deaf N``, ``bug``, ``import``, ``error``, ``pid FILE``."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def library_size(self) -> int:
        return 912

    def handle(self, request: Message, progress: Progress) -> Message:
        assert isinstance(request, SearchRequest)
        word, _, rest = request.prompt.partition(" ")
        if word == "count":
            for step in range(int(rest)):
                progress(step / int(rest), f"step {step}")
                time.sleep(0.05)
        elif word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "deaf":  # never looks whether it is cancelled
            time.sleep(float(rest))
        elif word == "bug":
            raise ZeroDivisionError("one by none")
        elif word == "import":
            importlib.import_module("a_package_that_is_not_installed")
        elif word == "error":
            raise Uni4DError("no-hit", "Nothing was found.", "Try other words.")
        elif word == "pid":
            Path(rest).write_text(str(os.getpid()))
            time.sleep(60)
        return SearchResult(Query(request.prompt, word, rest), (), ())


class Broken:
    """Stages that cannot be loaded."""

    def __init__(self, config: Config) -> None:
        raise Uni4DError("torch-missing", "PyTorch is not installed.", "Install it.")


class Stillborn:
    """Stages whose loading kills the process."""

    def __init__(self, config: Config) -> None:
        os._exit(7)
