"""Everything about a library's words that is computed once: ``text.npz`` in the library's folder.

It holds the kinds of things that the assets are (:mod:`uni4d.retrieval.concepts`), the vectors of their
descriptions and of all their words, and the letters of the assets' names in all languages. A query is
compared with all of it; every kind's value is handed on to the assets that are of that kind.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from uni4d.library.sources import Entry
from uni4d.retrieval.concepts import Vocabulary, link_assets
from uni4d.retrieval.spelling import Spellings
from uni4d.retrieval.things import LEXICON, Thing
from uni4d.retrieval.wordnet import DATA
from uni4d.retrieval.words import Documents, content_words, meetings, rarities
from uni4d_shared.progress import Progress, section, silent

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["FILE", "TextIndex", "TextScores", "build_text_index", "fingerprint", "knowledge_fingerprint"]

Array = NDArray[Any]

FILE = "text.npz"
_FORMAT = 2
_BATCH = 256
_WORD_DISTANCE = 3.0
"""How much of a word's worth a link's distance costs."""


@frozen(eq=False)
class TextScores:
    """How well every asset fits a text; arrays ``[N]``."""

    description: Array
    """Cosine with the best description of what the asset is."""
    concept: Array
    """Cosine with everything that is known about what the asset is."""
    words: Array
    """How well the asset's words meet the text's, in [0, 1]."""


@frozen(eq=False)
class TextIndex:
    """The words of one library; letters: N assets, C concepts, K descriptions, V words, L links."""

    key: str
    concepts: tuple[Thing, ...]
    concept_vectors: Array
    """``[C, D]`` float32 unit."""
    description_vectors: Array
    """``[K, D]`` float32 unit."""
    description_concept: Array
    """``[K]`` int32, sorted."""
    word_vectors: Array
    """``[V, D]`` float32 unit."""
    words: tuple[str, ...]
    concept_words: Documents
    asset_words: Documents
    """Words of the assets' own names, tags and categories."""
    link_asset: Array
    """``[L]`` int32, sorted."""
    link_concept: Array
    """``[L]`` int32."""
    link_distance: Array
    """``[L]`` float32."""
    spellings: Spellings
    _place: dict[str, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_place", {word: number for number, word in enumerate(self.words)})

    def __len__(self) -> int:
        return self.asset_words.count

    def word_vector(self, word: str) -> Array | None:
        """The vector of a word that the library has, so that it need not be encoded again."""
        number = self._place.get(word)
        return None if number is None else self.word_vectors[number]

    def scores(self, sentence: Array, words: Array, shares: Array, own: Array) -> TextScores:
        """All assets against a text: its vector ``[D]``, its words' vectors ``[Q, D]`` and weights ``[Q]``.

        ``own`` ``[N]`` stands in for the two cosines of assets that nothing more is known about.
        """
        best = np.full(len(self.concepts), -1.0, np.float32)
        if len(best):
            starts = np.flatnonzero(np.diff(self.description_concept, prepend=-1))
            best = np.maximum.reduceat(self.description_vectors @ sentence, starts)
        whole = self.concept_vectors @ sentence
        return TextScores(
            self._of_assets(best[self.link_concept] - self.link_distance, own),
            self._of_assets(whole[self.link_concept] - self.link_distance, own),
            self.word_scores(words, shares),
        )

    def word_scores(self, words: Array, shares: Array) -> Array:
        """How well each asset's words meet some words, ``[N]`` in [0, 1]."""
        if not len(words):
            return np.zeros(len(self))
        met, of_concepts = self._met(words)
        weight = shares * rarities(of_concepts)
        return np.asarray(weight @ met / weight.sum())

    def own_words(self, words: Array) -> Array:
        """How well each asset's name, tags and category meet some words, ``[N]``: the word met worst."""
        values = meetings(words, self.word_vectors)
        return np.asarray(self.asset_words.best(values).min(axis=0))

    def kind_words(self, words: Array) -> Array:
        """The same of what is known about the kind of thing that each asset is."""
        result = np.zeros(len(self), np.float32)
        if len(self.link_asset):
            of_concepts = self.concept_words.best(meetings(words, self.word_vectors)).min(axis=0)
            starts = np.flatnonzero(np.diff(self.link_asset, prepend=-1))
            result[self.link_asset[starts]] = of_concepts[self.link_concept[starts]]
        return result

    def _met(self, words: Array) -> tuple[Array, Array]:
        values = meetings(words, self.word_vectors)
        of_concepts = self.concept_words.best(values)
        met = self.asset_words.best(values)
        if len(self.link_asset):
            near = np.maximum(1.0 - _WORD_DISTANCE * self.link_distance, 0.0)
            linked = of_concepts[:, self.link_concept] * near
            starts = np.flatnonzero(np.diff(self.link_asset, prepend=-1))
            rows = self.link_asset[starts]
            met[:, rows] = np.maximum(met[:, rows], np.maximum.reduceat(linked, starts, axis=1))
        return met, of_concepts

    def _of_assets(self, linked: Array, own: Array) -> Array:
        result = np.array(own, dtype=np.float32)
        if len(linked):
            starts = np.flatnonzero(np.diff(self.link_asset, prepend=-1))
            result[self.link_asset[starts]] = np.maximum.reduceat(linked, starts)
        return result

    def save(self, path: Path) -> None:
        """Write the index to one file, whole or not at all."""
        texts = {
            "key": self.key,
            "words": self.words,
            "grams": self.spellings.grams,
            "spelled": self.spellings.spelled,
            "assets": len(self),
            "concepts": [[thing.names, thing.descriptions, thing.keywords] for thing in self.concepts],
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name in _VECTORS:
            arrays[name] = arrays[name].astype(np.float16)
        for prefix, documents in (("concept", self.concept_words), ("asset", self.asset_words)):
            arrays[f"{prefix}_word"], arrays[f"{prefix}_document"] = documents.word, documents.document
        arrays.update({f"spelling_{name}": getattr(self.spellings, name) for name in _SPELLING})
        arrays["texts"] = np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> TextIndex:
        """What :meth:`save` wrote; ``OSError``, ``ValueError`` or ``KeyError`` when it cannot be read."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
        except zipfile.BadZipFile as error:
            raise ValueError(str(error)) from error
        texts = json.loads(found["texts"].tobytes())
        count, concepts = texts["assets"], texts["concepts"]
        arrays = {name: found[name] for name in _ARRAYS}
        arrays.update({name: arrays[name].astype(np.float32) for name in _VECTORS})
        return cls(
            key=texts["key"],
            concepts=tuple(Thing(*map(tuple, parts)) for parts in concepts),
            words=tuple(texts["words"]),
            concept_words=Documents(found["concept_word"], found["concept_document"], len(concepts)),
            asset_words=Documents(found["asset_word"], found["asset_document"], count),
            spellings=Spellings(
                tuple(texts["spelled"]),
                tuple(texts["grams"]),
                count=count,
                **{name: found[f"spelling_{name}"] for name in _SPELLING},
            ),
            **arrays,
        )


_VECTORS = ("concept_vectors", "description_vectors", "word_vectors")
_ARRAYS = (*_VECTORS, "description_concept", "link_asset", "link_concept", "link_distance")
_SPELLING = ("starts", "names", "weight", "rows", "row_names")


def build_text_index(
    folder: Path, entries: Sequence[Entry], progress: Progress = silent, encoder: TextEncoder | None = None
) -> TextIndex:
    """Compute the index of ``entries`` and write it to ``folder``; ``encoder`` is MiniLM unless given.

    Row ``i`` of the index belongs to ``entries[i]``.
    """
    if encoder is None:
        from uni4d.encoders.local.minilm import MiniLM

        encoder = MiniLM()
    embed = _Cached(encoder)
    progress(0.0, "finding out what the assets are")
    vocabulary = link_assets(entries, embed)
    index = _compute(entries, vocabulary, embed, section(progress, 0.3, 0.99))
    index.save(folder / FILE)
    progress(1.0, f"{len(vocabulary.concepts)} kinds of things")
    return index


def knowledge_fingerprint() -> str:
    """A hash over what the package knows about words: another one makes another index."""
    contents = (file.read_bytes() for file in (LEXICON, DATA))
    return hashlib.sha256(str(_FORMAT).encode() + b"".join(contents)).hexdigest()


def fingerprint(entries: Sequence[Entry]) -> str:
    """A hash over everything that an index is computed from, but for the translations."""
    digest = hashlib.sha256(knowledge_fingerprint().encode())
    for entry in entries:
        digest.update(repr((entry.uid, entry.texts)).encode())
    return digest.hexdigest()


class _Cached:
    """Texts to vectors, each text once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Array] = {}

    def __call__(self, texts: Sequence[str]) -> Array:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            self._known.update(zip(batch, self._encoder.encode(batch).pooled, strict=True))
        if not texts:
            return np.zeros((0, self._encoder.dimensions), np.float32)
        return np.stack([self._known[text] for text in texts])


def _whole(chapters: Sequence[Array], width: int) -> Array:
    """One unit vector ``[C, D]`` for each concept: the mean of its chapters'."""
    means = np.array([vectors.mean(axis=0) for vectors in chapters], np.float32).reshape(-1, width)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))


def _compute(
    entries: Sequence[Entry], vocabulary: Vocabulary, embed: _Cached, progress: Progress
) -> TextIndex:
    concepts = vocabulary.concepts
    pairs = [(number, text) for number, thing in enumerate(concepts) for text in thing.descriptions]
    place: dict[str, int] = {}
    concept_words = Documents.of([content_words(thing.document) for thing in concepts], place)
    asset_words = Documents.of([content_words(" ".join(entry.texts)) for entry in entries], place)
    progress(0.0, "embedding what is known about them")
    embed([chapter for thing in concepts for chapter in thing.chapters])
    description_vectors = embed([text for _, text in pairs])
    concept_vectors = _whole([embed(thing.chapters) for thing in concepts], description_vectors.shape[1])
    progress(0.5, "embedding their words")
    word_vectors = embed(list(place))
    progress(0.95, "spelling their names")
    links = [
        (row, link.concept, link.distance) for row, several in enumerate(vocabulary.links) for link in several
    ]
    return TextIndex(
        key=fingerprint(entries),
        concepts=concepts,
        concept_vectors=concept_vectors,
        description_vectors=description_vectors,
        description_concept=np.array([number for number, _ in pairs], np.int32),
        word_vectors=word_vectors,
        words=tuple(place),
        concept_words=concept_words,
        asset_words=asset_words,
        link_asset=np.array([row for row, _, _ in links], np.int32),
        link_concept=np.array([concept for _, concept, _ in links], np.int32),
        link_distance=np.array([distance for _, _, distance in links], np.float32),
        spellings=Spellings.of([(entry.name, *entry.translations) for entry in entries]),
    )
