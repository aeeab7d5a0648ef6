"""Compiles WordNet's database files into two lists that the package carries: verbs, and names in -ing.

    python -m uni4d.retrieval.motion_verbs_compiler [FOLDER]

FOLDER holds WordNet's ``data.verb``, ``data.noun``, ``verb.exc`` and ``index.sense`` (WordNet 3.0, Princeton
University; licence in ``data/WORDNET-LICENSE``); without it the Debian packages ``wordnet-base`` and
``wordnet-sense-index`` are downloaded to the cache. The result depends on nothing else.

Both files begin with lines that start with ``#`` and say what they are.

``motion_verbs.txt`` has one line a verb, in the order of the alphabet:
``verb kinds frames verb_count noun_count [irregular forms]``, blanks between: all verbs one of whose senses
a picture can show. *kinds* has one letter for each of the three commonest senses (``_KINDS``; ``-`` for what
no picture shows), *frames* says who does it:
``t`` a thing ("the tap drips"), ``p`` a person ("a child skips"), both without an object. The counts are
how often the word was a verb and a noun in WordNet's tagged texts; −1 when it is never a noun at all.

``gerund_names.txt`` has one line for each last word of names like "diving board": the last word, whether it
is an artifact's (``a`` or ``-``), and the words in -ing that stand before it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from uni4d.config import default_cache
from uni4d.library.sources.debian import fetch_packages
from uni4d.retrieval.motion_verbs import NAMES, VERBS
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

__all__ = ["compile_names", "compile_verbs", "main"]

_PACKAGES = ("wordnet-base", "wordnet-sense-index")
_PACKAGE_BYTES = 8_100_000
_CURE = "Install wordnet-base and wordnet-sense-index and pass /usr/share/wordnet."

_KINDS = {
    29: "b",  # of the body: smile, shiver
    30: "c",  # of change: melt, burn
    32: "l",  # of communication, for voices: bark, sing
    33: "g",  # of competition: fight, race
    34: "e",  # of consumption: eat, drink
    35: "t",  # of contact: hit, lift
    36: "r",  # of creation: build, dance
    38: "m",  # of motion
    39: "s",  # of perception: glow, creak
    43: "w",  # of weather: blow, shine
}
"""Lexicographer files (lexnames(5WN)) → letters."""
_SENSES = 3
_THING_FRAMES, _PERSON_FRAMES = {1, 4, 12}, {2, 3, 22}
"""Sentence frames without an object (wninput(5WN)): "Something ----s", "Somebody ----s", with adverbials."""

_NAMED = {6, 13, 17, 20}
"""Lexicographer files of artifacts, food, objects and plants. Not of animals: a flying bird flies."""
_ARTIFACT = 6

_VERBS_HEADER = (
    "# Verbs that a picture can show. Compiled from WordNet 3.0 by uni4d.retrieval.motion_verbs_compiler;",
    "# licence: WORDNET-LICENSE. verb, kinds of its senses, who does it, counts as verb and noun, odd forms.",
)
_NAMES_HEADER = (
    "# Names of things that begin with a word in -ing. Compiled from WordNet 3.0 by",
    "# uni4d.retrieval.motion_verbs_compiler; licence: WORDNET-LICENSE.",
    "# last word, a for artifacts, first words.",
)


@frozen
class _Sense:
    kind: str
    frames: frozenset[int]


def compile_verbs(folder: Path) -> str:
    """The text of the compiled file, from the database in ``folder``."""
    try:
        senses = _senses(folder / "data.verb")
        order, counts = _usage(folder / "index.sense")
        irregular = _irregular(folder / "verb.exc")
        nouns = {word.lower() for _, words in _nouns(folder / "data.noun") for word in words}
    except OSError as error:
        raise Uni4DError("wordnet-missing", f"{folder} holds no WordNet: {error}.", _CURE) from error
    lines = list(_VERBS_HEADER)
    for verb in sorted(order):
        ranked = [senses[offset] for _, offset in sorted(order[verb])]
        if not verb.isalpha() or all(sense.kind == "-" for sense in ranked):
            continue
        kinds = "".join(sense.kind for sense in ranked[:_SENSES])
        frames = frozenset().union(*(sense.frames for sense in ranked[:2]))
        actors = ("t" if frames & _THING_FRAMES else "") + ("p" if frames & _PERSON_FRAMES else "")
        noun_count = counts[verb, 1] if verb in nouns else -1
        fields = [verb, kinds, actors or "-", str(counts[verb, 2]), str(noun_count), *irregular[verb]]
        lines.append(" ".join(fields))
    return "\n".join(lines) + "\n"


def compile_names(folder: Path) -> str:
    """The text of ``gerund_names.txt``, from the database in ``folder``."""
    firsts: dict[str, set[str]] = defaultdict(set)
    artifacts: dict[str, int] = defaultdict(int)
    for kind, words in _nouns(folder / "data.noun"):
        for word in words:
            first, _, last = word.partition("_")
            gerund = first.endswith("ing") and len(first) > 4 and first.isalpha() and first.islower()
            if kind in _NAMED and gerund and last.isalpha() and first not in firsts[last]:
                firsts[last].add(first)
                artifacts[last] += 1 if kind == _ARTIFACT else -1
    lines = list(_NAMES_HEADER)
    for last in sorted(firsts):
        if firsts[last]:
            lines.append(f"{last} {'a' if artifacts[last] > 0 else '-'} {' '.join(sorted(firsts[last]))}")
    return "\n".join(lines) + "\n"


def _rows(path: Path) -> Iterator[str]:
    """The lines below the licence."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))


def _senses(path: Path) -> dict[str, _Sense]:
    """Offset → the sense's kind and sentence frames (wndb(5WN))."""
    senses = {}
    for line in _rows(path):
        fields = line.partition(" | ")[0].split()
        words = int(fields[3], 16)
        at = 4 + 2 * words
        frames = fields[at + 1 + 4 * int(fields[at]) :]
        numbers = frozenset(int(number) for number in frames[2::3])
        senses[fields[0]] = _Sense(_KINDS.get(int(fields[1]), "-"), numbers)
    return senses


def _usage(
    path: Path,
) -> tuple[dict[str, list[tuple[int, str]]], dict[tuple[str, int], int]]:
    """Verb → its senses as (rank, offset); and (word, part of speech) → count in tagged texts."""
    order: dict[str, list[tuple[int, str]]] = defaultdict(list)
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for line in _rows(path):
        key, offset, rank, count = line.split()
        word, _, rest = key.partition("%")
        part = int(rest[0])
        counts[word, part] += int(count)
        if part == 2:
            order[word].append((int(rank), offset))
    return order, counts


def _irregular(path: Path) -> dict[str, list[str]]:
    """Verb → the forms that no rule gives, doubled consonants among them."""
    forms = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        form, *bases = line.split()
        for base in bases:
            forms[base].append(form)
    return forms


def _nouns(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lexicographer file and the words of each synset."""
    for line in _rows(path):
        fields = line.partition(" | ")[0].split()
        yield int(fields[1]), fields[4 : 4 + 2 * int(fields[3], 16) : 2]


def main(arguments: list[str]) -> None:
    if arguments:
        folder = Path(arguments[0])
    else:
        unpacked = default_cache() / "sources" / "wordnet"
        fetch_packages(_PACKAGES, unpacked, _CURE, silent, _PACKAGE_BYTES)
        folder = unpacked / "usr/share/wordnet"
    VERBS.parent.mkdir(exist_ok=True)
    VERBS.write_text(compile_verbs(folder), encoding="utf-8")
    NAMES.write_text(compile_names(folder), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
