"""How long a query takes, stage by stage, over the library of the settings: ``python3 build.py bench``.

Parsing, encoding and searching are timed apart with everything loaded; whole is all of them as the product
runs them, every prompt for the first time. Prompts are those that the weights of search are learnt from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uni4d.config import LibraryConfig
from uni4d.library.opened import open_library
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d.retrieval.search import Searcher
from uni4d.retrieval.wanted import read_wanted
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

PROMPTS = Path(__file__).parents[1] / "data" / "product_prompts_training.json"
COUNT = 100


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000.0 * (time.perf_counter() - began)


def main() -> None:
    try:
        library = open_library(LibraryConfig())
    except Uni4DError as error:
        print(f"search query: left out, {error.message} {error.cure}")  # noqa: T201
        return
    prompts = [entry["prompt"] for entry in json.loads(PROMPTS.read_text(encoding="utf-8"))][:COUNT]
    searcher = Searcher(library, TextShapeSpace(library))
    cold = milliseconds(lambda: searcher.search(read_wanted("a wooden chair").query, 5))
    whole = [milliseconds(lambda p=prompt: searcher.search(read_wanted(p).query, 5)) for prompt in prompts]  # type: ignore[misc]

    queries: list[Query] = []
    parse = [
        milliseconds(lambda p=prompt: queries.append(read_wanted(p).query))  # type: ignore[misc]
        for prompt in prompts
    ]
    known = [milliseconds(lambda q=query: searcher.scores(q)) for query in queries]  # type: ignore[misc]
    space = TextShapeSpace(library)
    space.embed_object("warm")
    space.embed_text("warm")
    encode = [milliseconds(lambda q=query: space.embed_object(q.prompt)) for query in queries]  # type: ignore[misc]
    shape = [milliseconds(lambda q=query: space.embed_text(q.prompt)) for query in queries]  # type: ignore[misc]

    print(f"search query: {len(library)} assets, {len(prompts)} prompts; the first takes {cold:.0f} ms")  # noqa: T201
    stages = {
        "whole": whole,
        "parse": parse,
        "encode (sentence)": encode,
        "encode (joint space)": shape,
        "compare, vectors known": known,
    }
    for name, times in stages.items():
        p50, p95 = np.percentile(times, [50, 95])
        print(f"  {name:24s} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
