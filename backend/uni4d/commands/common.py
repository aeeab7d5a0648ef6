"""What every subcommand shares: the options for the settings, and the two ways to print a result."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from attrs import define

from uni4d.config import Config, load_config
from uni4d.terminal import StageBars
from uni4d_shared.progress import Progress, silent

__all__ = ["Command"]


@define(kw_only=True)
class Command:
    """Options of every subcommand."""

    json: bool = False
    """Print the result as JSON on stdout; everything else goes to stderr."""
    config: Path | None = None
    """A TOML file with settings, e.g. a [fit] table with iterations = 2000."""
    profile: str = "local"
    """local (CPU, offline) or gpu."""
    library: Path | None = None
    """Folder of the built library; by default in the user's cache."""

    def run(self) -> Any:
        """Do the work; return a JSON-able result."""
        raise NotImplementedError

    def show(self, result: Any) -> None:
        """Tell a person about ``result`` on stdout."""
        raise NotImplementedError

    def as_json(self, result: Any) -> str:
        return json_format.dumps(result, ensure_ascii=False)

    def settings(self) -> Config:
        config = load_config(self.config, self.profile)
        if self.library is not None:
            config = attrs.evolve(config, library=attrs.evolve(config.library, root=self.library))
        return config

    @contextmanager
    def progress(self, stage: str) -> Iterator[Progress]:
        """A progress bar for one stage, none with ``--json``."""
        if self.json:
            yield silent
            return
        with StageBars.shown() as bars:
            callback = bars.callback(stage)
            yield callback
            callback(1.0, "done")
