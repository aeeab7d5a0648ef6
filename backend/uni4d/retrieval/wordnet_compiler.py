"""Compiles WordNet's database files into ``data/nouns.tsv.gz``, which the package carries.

    python -m uni4d.retrieval.wordnet_compiler [FOLDER]

FOLDER holds WordNet's ``data.noun``, ``index.sense`` and ``noun.exc``; without it the Debian packages
``wordnet-base`` and ``wordnet-sense-index`` are downloaded to the cache. The result depends on nothing else.

The file has three parts with empty lines between them: irregular plurals (``plural TAB singular`` a line);
all names in the order of their letters (``name TAB senses``, the commonest first); and one line a sense,
``kind TAB name:rank:count|… TAB hypernyms TAB parts TAB gloss``. Senses are line numbers of the third part,
from 0. The format of the database is described in wndb(5WN) and senseidx(5WN).
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define

from uni4d.config import default_cache
from uni4d.library.sources.debian import fetch_packages
from uni4d.retrieval.wordnet import DATA
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

__all__ = ["compile_nouns", "main"]

_PACKAGES = ("wordnet-base", "wordnet-sense-index")
_PACKAGE_BYTES = 8_100_000
_CURE = "Install wordnet-base and wordnet-sense-index and pass /usr/share/wordnet."

_KINDS = {
    "03": "top",
    "05": "animal",
    "06": "artifact",
    "08": "body",
    "10": "communication",
    "13": "food",
    "14": "group",
    "15": "location",
    "17": "object",
    "18": "person",
    "19": "phenomenon",
    "20": "plant",
    "21": "possession",
    "25": "shape",
    "27": "substance",
}
"""Lexicographer files with things that a mesh can show, by number (lexnames(5WN))."""
_UNRANKED = (99, 0)
"""Rank and count of a name that the sense index lacks."""
_HYPERNYM, _INSTANCE = "@", "@i"
_PARTS = ("%p", "%s")


@define
class _Synset:
    kind: str
    words: list[str]
    hypernyms: list[str]
    parts: list[str]
    gloss: str
    individual: bool


def compile_nouns(folder: Path) -> str:
    """The text of the compiled file, from the database in ``folder``."""
    try:
        synsets = dict(_synsets(folder / "data.noun"))
        usage = _usage(folder / "index.sense")
        irregular = (folder / "noun.exc").read_text().splitlines()
    except OSError as error:
        raise Uni4DError("wordnet-missing", f"{folder} holds no WordNet: {error}.", _CURE) from error
    kept = _with_ancestors(synsets)
    number = {offset: place for place, offset in enumerate(kept)}
    known = {word.lower() for offset in kept for word in synsets[offset].words}
    plurals = [line.replace("_", " ").split(" ")[:2] for line in irregular if line.count(" ") == 1]
    lines = [f"{plural}\t{single}" for plural, single in plurals if single in known]
    lines.append("")
    ranked: dict[str, list[tuple[int, int]]] = {}
    for offset in kept:
        for word in synsets[offset].words:
            rank, _ = usage.get((word.lower(), offset), _UNRANKED)
            ranked.setdefault(word.replace("_", " ").lower(), []).append((rank, number[offset]))
    lines += [
        f"{name}\t{','.join(str(sense) for _, sense in sorted(found))}"
        for name, found in sorted(ranked.items())
    ]
    lines.append("")
    for offset in kept:
        synset = synsets[offset]
        names = "|".join(
            "{}:{}:{}".format(
                word.replace("_", " ").replace(":", ""), *usage.get((word.lower(), offset), _UNRANKED)
            )
            for word in synset.words
        )
        links = (
            ",".join(str(number[other]) for other in others if other in number)
            for others in (synset.hypernyms, synset.parts)
        )
        lines.append("\t".join([_KINDS.get(synset.kind, "other"), names, *links, synset.gloss]))
    return "\n".join(lines) + "\n"


def licence_text(folder: Path) -> str:
    """WordNet's licence as it stands above its data."""
    with (folder / "data.noun").open(encoding="utf-8") as file:
        numbered = [line for line in iter(file.readline, "") if line.startswith("  ")]
    return "\n".join(re.sub(r"^\s+\d+ ", "", line).strip() for line in numbered) + "\n"


def _synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("  "):
                continue
            data, _, gloss = line.partition(" | ")
            fields = data.split()
            count = int(fields[3], 16)
            words = fields[4 : 4 + 2 * count : 2]
            pointers = fields[5 + 2 * count :]
            links = list(zip(pointers[0::4], pointers[1::4], pointers[2::4], strict=True))
            nouns = [(kind, target) for kind, target, part in links if part == "n"]
            yield (
                fields[0],
                _Synset(
                    fields[1],
                    words,
                    [target for kind, target in nouns if kind in (_HYPERNYM, _INSTANCE)],
                    [target for kind, target in nouns if kind in _PARTS],
                    _definition(gloss),
                    any(kind == _INSTANCE for kind, _ in nouns),
                ),
            )


def _definition(gloss: str) -> str:
    """The gloss without its quoted examples."""
    return re.sub(r'[;,:\s]*"[^"]*"?', "", gloss).replace("\t", " ").strip(" ;\n")


def _usage(path: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """(word, offset) → (rank among the word's noun senses, count in tagged texts)."""
    usage = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            key, offset, rank, count = line.split()
            word, _, rest = key.partition("%")
            if rest.startswith("1:"):
                usage[word, offset] = (int(rank), int(count))
    return usage


def _with_ancestors(synsets: dict[str, _Synset]) -> list[str]:
    """Offsets of all things that a mesh can show, and of everything above them, in the file's order."""
    kept = {offset for offset, synset in synsets.items() if synset.kind in _KINDS and not synset.individual}
    front: Iterable[str] = kept
    while front:
        front = {up for offset in front for up in synsets[offset].hypernyms} - kept
        kept |= front
    return [offset for offset in synsets if offset in kept]


def main(arguments: list[str]) -> None:
    if arguments:
        folder = Path(arguments[0])
    else:
        unpacked = default_cache() / "sources" / "wordnet"
        fetch_packages(_PACKAGES, unpacked, _CURE, silent, _PACKAGE_BYTES)
        folder = unpacked / "usr/share/wordnet"
    text = compile_nouns(folder)
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (DATA.parent / "WORDNET-LICENSE").write_text(licence_text(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
