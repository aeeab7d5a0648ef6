"""Learns the weights of :mod:`uni4d.retrieval.fusion` from prompts with known answers.

    python -m uni4d.training.fusion --prompts FILE [FILE …] --out fusion.toml

FILE is JSON, ``[{"prompt": "…", "accept": [uids]}, …]``, over the library of the settings. What it prints is
measured by cross-validation: each fifth of the prompts with weights learnt from the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uni4d.config import load_config
from uni4d.evaluation.product import Prompt, read_prompts
from uni4d.retrieval.fusion import SHIPPED, Fusion, Judged, learn, quality
from uni4d.retrieval.search import Searcher
from uni4d.retrieval.wanted import read_wanted

__all__ = ["cross_validated", "judge", "main"]

_FOLDS = 5


def judge(searcher: Searcher, prompts: Sequence[Prompt], uids: Sequence[str]) -> list[Judged]:
    """The scores of every prompt, with the assets that answer it; ``uids`` names the library's rows."""
    return [
        Judged(searcher.scores(read_wanted(prompt.prompt).query), np.isin(uids, prompt.accept))
        for prompt in prompts
    ]


def cross_validated(prompts: Sequence[Judged], strength: float = 0.01) -> dict[str, float]:
    """:func:`~uni4d.retrieval.fusion.quality`, each prompt judged by weights that never saw it."""
    figures = []
    for fold in range(_FOLDS):
        held = prompts[fold::_FOLDS]
        others = [prompt for place, prompt in enumerate(prompts) if place % _FOLDS != fold]
        figures.append((len(held), quality(held, learn(others, strength=strength))))
    total = sum(count for count, _ in figures)
    return {name: sum(count * values[name] for count, values in figures) / total for name in figures[0][1]}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m uni4d.training.fusion", description=__doc__)
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--strength", type=float, default=0.01, help="pull towards equal weights")
    options = parser.parse_args(arguments)

    from uni4d.library.opened import open_library

    library = open_library(load_config(options.config, "local").library)
    uids = [entry.uid for entry in library.table.entries]
    searcher = Searcher(library, fusion=Fusion({}))
    judged = [(path, judge(searcher, read_prompts(path), uids)) for path in options.prompts]
    everything = [prompt for _, several in judged for prompt in several if prompt.accepted.any()]
    fusion = learn(everything, strength=options.strength)
    lines = [f"Weights of the modalities of search, learnt from {len(everything)} prompts of:"]
    lines += [f"  {path.name} ({_shown(quality(several, fusion))})" for path, several in judged]
    lines += [
        f"cross-validated over all: {_shown(cross_validated(everything, options.strength))}",
        "Made by: python -m uni4d.training.fusion --prompts FILES",
    ]
    provenance = "\n".join(lines)
    options.out.write_text(fusion.to_toml(provenance), encoding="utf-8")
    sys.stdout.write(f"{provenance}\n{fusion.to_toml('')}")


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


if __name__ == "__main__":
    main(sys.argv[1:])
