"""Product search, measured: free-form prompts, each with every asset that a person would call right.

A prompt goes the way that it goes in the product: parsed, then searched for with everything fused. A hit is
right when it, or a near-duplicate of it (which search folds into one hit), is among the accepted assets.
The rank of a prompt is that of its first right hit among the first :data:`DEPTH`; none is a rank beyond all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cattrs
import numpy as np
from attrs import frozen

from uni4d.config import explain
from uni4d.evaluation.metrics import Estimate, estimates
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress
from uni4d_shared.types import Hit, Query

__all__ = ["DEPTH", "Answered", "ProductFigures", "Prompt", "evaluate_search", "read_prompts"]

DEPTH = 50
_NOT_FOUND = 10**9
_WARM_UP = "a wooden thing on four legs"


class Search(Protocol):
    """What :class:`uni4d.retrieval.search.Searcher` offers."""

    def search(self, query: Query, top: int = 5) -> list[Hit]: ...


@frozen
class Prompt:
    """One question with all its right answers."""

    prompt: str
    accept: tuple[str, ...]
    """Uids."""
    note: str = ""
    """What is meant, for people."""


@frozen
class Answered:
    """One prompt with what search made of it."""

    prompt: str
    note: str
    rank: int | None
    """Of the first right hit; 0 is the top; ``None``: not among the first :data:`DEPTH`."""
    first: str
    """Name of the first hit, empty when there is none."""
    first_uid: str
    milliseconds: float
    """Parsing and searching, models loaded."""


@frozen
class ProductFigures:
    """Everything about one file of prompts."""

    figures: dict[str, Estimate]
    """``recall@1`` and so on; intervals over prompts."""
    latency: dict[str, float]
    """``p50`` and ``p95`` in milliseconds."""
    answered: tuple[Answered, ...]

    @property
    def misses(self) -> list[Answered]:
        return [answer for answer in self.answered if answer.rank != 0]


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a JSON file: a list of ``{"prompt", "accept": [uids], "note"}``."""
    cure = 'Give a JSON list of {"prompt": "…", "accept": ["uid", …], "note": "…"}.'
    try:
        prompts = cattrs.Converter(forbid_extra_keys=True).structure(
            json.loads(path.read_text(encoding="utf-8")), list[Prompt]
        )
    except (OSError, ValueError) as error:
        raise Uni4DError("prompts-unreadable", f"{path}: {error}.", cure) from error
    except (cattrs.BaseValidationError, TypeError) as error:
        raise Uni4DError("prompts-unreadable", f"{path}: {explain(error)}.", cure) from error
    empty = [
        prompt.prompt or "(empty)" for prompt in prompts if not prompt.prompt.strip() or not prompt.accept
    ]
    if empty or not prompts:
        said = f"“{empty[0]}” lacks words or accepted assets" if empty else "it holds no prompt"
        raise Uni4DError("prompts-unreadable", f"{path}: {said}.", cure)
    return prompts


def evaluate_search(
    searcher: Search, prompts: Sequence[Prompt], groups: Mapping[str, str], progress: Progress
) -> ProductFigures:
    """Ask every prompt.

    ``groups`` gives the group of near-duplicates of every asset of the library; an asset of the prompts
    that is not there is an error, for its prompt could never be answered.
    """
    from uni4d.retrieval.query import parse

    unknown = sorted({uid for prompt in prompts for uid in prompt.accept} - groups.keys())
    if unknown:
        raise Uni4DError(
            "asset-unknown",
            f"The library has no asset “{unknown[0]}” ({len(unknown)} of the prompts' assets are missing).",
            "Give prompts that were written for this library, or build the library again.",
        )
    searcher.search(parse(_WARM_UP), 1)
    answered = []
    for number, prompt in enumerate(prompts):
        progress(number / len(prompts), prompt.prompt)
        began = time.perf_counter()
        hits = searcher.search(parse(prompt.prompt), DEPTH)
        took = 1000.0 * (time.perf_counter() - began)
        answered.append(_answered(prompt, hits, groups, took))
    ranks = np.array([_NOT_FOUND if answer.rank is None else answer.rank for answer in answered])
    clusters = [tuple(sorted({groups[uid] for uid in prompt.accept})) for prompt in prompts]
    times = [answer.milliseconds for answer in answered]
    return ProductFigures(
        estimates(ranks[None], clusters),
        {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))},
        tuple(answered),
    )


def _answered(prompt: Prompt, hits: Sequence[Hit], groups: Mapping[str, str], took: float) -> Answered:
    right = {groups[uid] for uid in prompt.accept}
    places = [place for place, hit in enumerate(hits) if groups.get(hit.uid) in right]
    first: Any = hits[0] if hits else None
    return Answered(
        prompt.prompt,
        prompt.note,
        places[0] if places else None,
        first.name if first else "",
        first.uid if first else "",
        took,
    )
