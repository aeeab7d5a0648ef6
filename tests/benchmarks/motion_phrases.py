"""How many motion phrases become the program that they ask for, half by half; what is wrong with the rest.

``python tests/benchmarks/motion_phrases.py`` from the root of the repository.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.motion_phrases import PHRASES, complaints

from uni4d.encoders.local.minilm import MiniLM


def main() -> None:
    encoder = MiniLM()
    embed = cache(lambda text: np.asarray(encoder.encode([text]).pooled)[0])
    for half in sorted({entry["half"] for entry in PHRASES}):
        mine = [entry for entry in PHRASES if entry["half"] == half]
        wrong = {entry["phrase"]: found for entry in mine if (found := complaints(entry, embed))}
        right = len(mine) - len(wrong)
        print(f"{half}: {right} of {len(mine)} ({right / len(mine):.1%})")  # noqa: T201
        for phrase, found in wrong.items():
            print(f"  {phrase}: {'; '.join(found)}")  # noqa: T201


if __name__ == "__main__":
    main()
