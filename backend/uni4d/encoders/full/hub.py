"""Files of the Hugging Face hub, without minutes of retries where there is no network.

What the hub's cache holds is used as it is. Only for what it lacks is the network needed, and then one short
probe decides first: where the hub does not answer within :data:`PATIENCE` seconds, or ``HF_HUB_OFFLINE`` is
set, nothing is tried at all.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uni4d_shared.errors import Uni4DError

__all__ = ["PATIENCE", "first_line", "hub_file", "offline_reason", "quick_hub"]

PATIENCE = 1.5
"""Seconds in which the hub must answer."""

_SWITCH = threading.Lock()


def hub_file(repository: str, name: str) -> Path:
    """A file of a hub repository: from the cache, or else downloaded."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, name)
    if isinstance(cached, str):
        return Path(cached)
    what = f"{name} of the hub repository {repository}"
    cure = "Connect this machine, or fetch the file elsewhere and set the encoder's weights to its path."
    reason = offline_reason()
    if reason:
        raise Uni4DError("weights-missing", f"{what} is not in the hub's cache, and {reason}.", cure)
    try:
        return Path(hf_hub_download(repository, name))
    except Exception as error:  # the hub's client has its own, its HTTP library's and the system's
        raise Uni4DError(
            "weights-missing", f"{what} could not be fetched: {first_line(error)}.", cure
        ) from error


def offline_reason() -> str:
    """Why the hub cannot be asked just now; empty when it answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids to ask for it"
    outcome: list[str] = []
    # In a thread of its own, since looking up a name has no time-out.
    probe = threading.Thread(target=_probe, args=(constants.ENDPOINT, outcome), daemon=True)
    probe.start()
    probe.join(PATIENCE)
    return outcome[0] if outcome else f"{constants.ENDPOINT} does not answer"


def _probe(address: str, outcome: list[str]) -> None:
    try:
        # Through the system's proxies, as the hub's own client goes.
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE).close()  # noqa: S310
    except urllib.error.HTTPError:
        outcome.append("")  # an answer all the same
    except (OSError, ValueError) as error:
        outcome.append(f"{address} cannot be reached ({getattr(error, 'reason', error)})")
    else:
        outcome.append("")


@contextmanager
def quick_hub() -> Iterator[str]:
    """Let other packages use the hub: online if it answers, or else with its cache alone.

    Gives :func:`offline_reason`. Without a network those packages then fail at the first file that the cache
    lacks, not after a minute of retries.
    """
    from huggingface_hub import constants

    with _SWITCH:
        reason = offline_reason()
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = before or bool(reason)
        try:
            yield reason
        finally:
            constants.HF_HUB_OFFLINE = before


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind when it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
