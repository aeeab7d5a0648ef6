"""Everyday things and what everybody knows about them: the lexicon ``data/things.txt``.

A dictionary says that a toaster is "a kitchen appliance for toasting bread"; people who look for one say that
it pops up slices at breakfast. The lexicon holds such knowledge for some six hundred kinds of things.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from attrs import frozen

from uni4d_shared.errors import Uni4DError

__all__ = ["LEXICON", "Thing", "everyday_things", "read_things"]

LEXICON = Path(__file__).parent / "data" / "things.txt"

_CHAPTER_WORDS = 70
"""Words of a chapter beside the names: about 110 word pieces, of which the encoder reads 128."""


@frozen
class Thing:
    """One kind of thing."""

    names: tuple[str, ...]
    """What it is called, the commonest first, in lower case."""
    descriptions: tuple[str, ...]
    """Phrases that each describe it: its use, its look, where it is met."""
    keywords: tuple[str, ...] = ()
    """Words that go with it."""

    @property
    def document(self) -> str:
        """Everything that is known about it, as one text."""
        return f"{', '.join(self.names)}. {'. '.join(self.descriptions)}. {', '.join(self.keywords)}"

    @property
    def chapters(self) -> tuple[str, ...]:
        """The same in texts short enough for the text encoder, each with the names."""
        title = ", ".join(self.names)
        chapters: list[str] = []
        words = 0
        for phrase in (*self.descriptions, ", ".join(self.keywords)):
            count = len(phrase.split())
            if not chapters or words + count > _CHAPTER_WORDS:
                chapters.append(title)
                words = 0
            chapters[-1] += f". {phrase}"
            words += count
        return tuple(chapters)


def read_things(path: Path) -> tuple[Thing, ...]:
    """The things of a lexicon file; ``Uni4DError("lexicon-unreadable")`` names a line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Uni4DError(
            "lexicon-unreadable", f"{path}: {error}.", "Install the uni4d package again."
        ) from error
    return tuple(
        _thing(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    )


@cache
def everyday_things() -> tuple[Thing, ...]:
    """The lexicon that comes with the package, read once."""
    return read_things(LEXICON)


def _thing(line: str, place: str) -> Thing:
    names, colon, rest = line.partition(":")
    descriptions, _, keywords = rest.partition("|")
    thing = Thing(
        tuple(name.strip().lower() for name in names.split(",") if name.strip()),
        tuple(part.strip(" .") for part in descriptions.split(". ") if part.strip(" .")),
        tuple(word.strip() for word in keywords.split(",") if word.strip()),
    )
    if not colon or not thing.names or not thing.descriptions:
        raise Uni4DError(
            "lexicon-unreadable",
            f"{place} is not “names: descriptions | words”.",
            "Write it so, or start it with #.",
        )
    return thing
