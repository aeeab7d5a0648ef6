"""From words, pictures and meshes to assets: the product search.

    score = Σ_m w_m s_m  +  w_like · likeness  −  w_not · unwanted

Words are compared with an asset's name and texts, with what is known about the kind of thing that it is
(:mod:`uni4d.retrieval.text_index`), with its shape and look in the joint space, and letter by letter with its
names in all languages; the weights w are learnt (:mod:`uni4d.retrieval.fusion`). Pictures and meshes are
compared in the joint space. Results are filtered, and copies folded into one hit. All of it is exact: matrix
products in memory, over all assets or, in a large library, over those that
:mod:`uni4d.retrieval.candidates` finds. The learnt weight of the look is 0 where words are known, so it
decides only among assets that have none.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from uni4d.library.opened import Library
from uni4d.retrieval.candidates import Candidates, open_candidates
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d.retrieval.filters import allowed_rows
from uni4d.retrieval.folding import Folded, fold
from uni4d.retrieval.fusion import Fusion, shipped_fusion
from uni4d.retrieval.index import IndexConfig
from uni4d.retrieval.text_index import FILE, TextIndex, build_text_index, fingerprint
from uni4d.retrieval.wanted import Wanted
from uni4d.retrieval.words import content_words
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Hit, Query, SearchFilters

__all__ = ["Searcher"]

Array = NDArray[Any]

_log = logging.getLogger(__name__)

_MOTION_SHARE = 0.35
"""Weight of words outside the object's own, where these say enough."""
_LIKENESS_WEIGHT = 1.0
"""w_like: beside words, whose weights sum to 1."""
_UNWANTED_WEIGHT = 0.6
"""w_not, for an asset whose words meet an unwanted one fully."""
_UNWANTED_FROM = 0.6
"""How well a word must be met to be held against an asset."""
_SPELLED_FROM = 0.55
"""Likeness of letters up to which it is chance."""
_SPELLED_ALIKE = 1e-6
"""Likenesses of letters that differ by less are equal."""
_TRANSLATED_FROM = 0.9
"""Likeness of letters from which a name says what a word of another language means."""
_FOREIGN_WEIGHT = 2.0
"""Weight of the letters in a prompt that is not English; then the vectors know little."""
_NAMELESS_WEIGHT = 0.5
"""Weight of the look of an asset whose name and tags name no known thing."""
_NAMELESS_SHARE = 0.01
"""Share of such assets from which the look is compared at all, when its learnt weight is 0."""
_FOLDED_FROM = 2_000
"""Best assets among which copies are looked for."""
_ENGLISH_SHARE = 0.6
"""Share of known words from which a prompt is English."""


@frozen(eq=False)
class _Asked:
    """A query, as far as its vectors and words go."""

    sentence: Array
    """``[D]`` unit: what the words mean."""
    seen: Array | None
    """``[J]`` unit: how it may look, where that counts."""
    words: dict[str, Array]
    """``[N]`` scores by modality that need no asset's vectors."""


class Searcher:
    """Search over one library; models are loaded at the first query and stay loaded."""

    def __init__(
        self,
        library: Library,
        space: TextShapeSpace | None = None,
        fusion: Fusion | None = None,
        index: IndexConfig | None = None,
    ) -> None:
        if not len(library):
            raise Uni4DError(
                "library-empty",
                "The library holds no asset.",
                "Build it from a folder with meshes: uni4d library build --source folder --path FOLDER",
            )
        self.library = library
        self._given_space = space
        self.fusion = fusion or shipped_fusion()
        self._config = index or IndexConfig()
        self._index: TextIndex | None = None

    def search(
        self,
        query: Query,
        top: int = 5,
        *,
        filters: SearchFilters | None = None,
        likeness: Array | None = None,
        but: str = "",
    ) -> list[Hit]:
        """The ``top`` best assets, best first; equal scores keep the library's order.

        Args:
            query: May be empty when ``likeness`` is given.
            filters: What the hits must be, and must not be or have.
            likeness: ``[D]`` unit vector in the joint space that they are to be near.
            but: The uid of an asset to leave out, with its copies: the one to find more of.
        """
        filters = filters or SearchFilters()
        table = self.library.table
        allowed = allowed_rows(filters, table.entries, table.faces, self._animated)
        if but:
            allowed &= np.array(table.groups) != table.groups[self.library.row(but)]
        asked = self._asked(query) if query.object_text else None
        rows = self._rows(top, query, allowed, asked, likeness)
        numbers = np.arange(len(self.library))[rows]
        scores = self._scores(asked, rows) if asked is not None else {}
        fused = self._fuse(query, scores, rows) if scores else np.zeros(len(numbers))
        if likeness is not None:
            scores["likeness"] = table.shape_vector[rows] @ likeness
            fused = fused + _LIKENESS_WEIGHT * scores["likeness"]
        if filters.without:
            best = numbers[np.argmax(fused)] if len(numbers) else 0
            scores["unwanted"] = self._unwanted(filters.without, int(best))[rows]
            fused = fused - _UNWANTED_WEIGHT * scores["unwanted"]
        order = numbers[np.argsort(-fused, kind="stable")]
        order = order[allowed[order]][: max(_FOLDED_FROM, 20 * top)].tolist()
        folded = fold(order, self._names, table.groups, table.text_vector, table.shape_vector, top)
        places = np.searchsorted(numbers, [result.row for result in folded])
        return [
            self._hit(result, float(fused[place]), {name: float(of[place]) for name, of in scores.items()})
            for result, place in zip(folded, places, strict=True)
        ]

    def scores(self, query: Query) -> dict[str, Array]:
        """The score ``[N]`` of every asset by modality, in the order of the library's table."""
        return self._scores(self._asked(query), slice(None))

    def _asked(self, query: Query) -> _Asked:
        spelling = self._spelling(query)
        query = self._translated(query, spelling)
        space, wanted = self.space, Wanted(query, SearchFilters())
        said = [wanted.whole, query.object_text] if wanted.object_only else [wanted.whole]
        sentence = _unit(space.embed_objects(said).sum(axis=0))
        words = content_words(wanted.whole)
        own = set(content_words(query.object_text)) if wanted.object_only else set(words)
        shares = np.array([1.0 if word in own else _MOTION_SHARE for word in words])
        known = self.index.scores(sentence, self._word_vectors(words), shares, np.zeros(len(self.library)))
        return _Asked(
            sentence,
            space.embed_text(query.object_text if wanted.object_only else wanted.whole)
            if self._looks
            else None,
            {
                "description": known.description,
                "concept": known.concept,
                "words": known.words,
                "spelling": spelling,
            },
        )

    def _rows(
        self, top: int, query: Query, allowed: Array, asked: _Asked | None, likeness: Array | None
    ) -> Array | slice:
        """The rows of the assets to score, ascending: all, or a large library's candidates."""
        if self._candidates is None:
            return slice(None)
        shapes = [] if likeness is None else [likeness]
        if asked is None:
            return self._candidates.rows(top, allowed, None, None, shapes)
        if asked.seen is not None:
            shapes.append(asked.seen)
        words = self._fuse(query, asked.words, slice(None))
        return self._candidates.rows(top, allowed, words, asked.sentence, shapes)

    def _scores(self, asked: _Asked, rows: Array | slice) -> dict[str, Array]:
        """The scores of ``rows`` by modality; what nothing is known about is taken by its own words."""
        table, nameless = self.library.table, self._nameless[rows]
        texts = table.text_vector[rows] @ asked.sentence
        scores = {"name": table.name_vector[rows] @ asked.sentence, "text": texts}
        scores.update((name, values[rows]) for name, values in asked.words.items())
        for name in ("description", "concept"):
            scores[name] = np.where(nameless, texts, scores[name])
        if asked.seen is not None:
            scores["appearance"] = table.shape_vector[rows] @ asked.seen
        return scores

    @cached_property
    def _candidates(self) -> Candidates | None:
        if len(self.library) <= self._config.exact_limit:
            return None
        return open_candidates(self.library.folder / "catalog", self.library.table, self._config)

    @property
    def index(self) -> TextIndex:
        """The library's words."""
        return self._index or self.open_index()

    def open_index(self, progress: Progress = silent) -> TextIndex:
        """The library's words. Where its folder has none that are up to date, they are computed from what it
        holds and written there; the log says so."""
        if self._index is None:
            entries, path = self.library.table.entries, self.library.folder / FILE
            try:
                index = TextIndex.load(path)
                stale = "" if index.key == fingerprint(entries) else "is of another version or library"
            except FileNotFoundError:
                stale = "is missing"
            except (OSError, ValueError, KeyError) as error:
                stale = f"cannot be read ({error})"
            if stale:
                _log.warning("%s %s: the index of the words is made anew", path, stale)
                index = build_text_index(self.library.folder, entries, progress)
            self._index = index
        return self._index

    @cached_property
    def space(self) -> TextShapeSpace:
        return self._given_space or TextShapeSpace(self.library)

    @cached_property
    def _nameless(self) -> Array:
        """Assets of which the words tell nothing, ``[N]`` bool: only their look is left."""
        nameless = np.ones(len(self.library), dtype=bool)
        nameless[self.index.link_asset] = False
        return nameless

    @cached_property
    def _looks(self) -> bool:
        """Whether the look can change a ranking; comparing it takes a third of a query's time."""
        weight = self.fusion.weights.get("appearance", 1.0)
        return weight > 0.0 or float(self._nameless.mean()) >= _NAMELESS_SHARE

    @cached_property
    def _names(self) -> list[str]:
        return [entry.name.casefold() for entry in self.library.table.entries]

    @cached_property
    def _animated(self) -> Array:
        return np.array([entry.animated for entry in self.library.table.entries], dtype=bool)

    @cached_property
    def _english(self) -> frozenset[str]:
        """The words of WordNet's nouns and definitions, and of the lexicon."""
        from uni4d.retrieval.things import everyday_things
        from uni4d.retrieval.wordnet import wordnet

        known = {word for thing in everyday_things() for word in content_words(thing.document)}
        return wordnet().words | known

    def _fuse(self, query: Query, scores: dict[str, Array], rows: Array | slice) -> Array:
        fused = self.fusion.fuse(scores)
        if "appearance" in scores:
            fused = fused + _NAMELESS_WEIGHT * self._nameless[rows] * scores["appearance"]
        return fused + _FOREIGN_WEIGHT * scores["spelling"] if self._is_foreign(query.prompt) else fused

    def _spelling(self, query: Query) -> Array:
        """Likeness of letters, [0, 1]; a name inside a prompt counts only where the prompt is not English."""
        spellings = self.index.spellings
        if self._is_foreign(query.prompt):
            alike, _ = spellings.likeness(query.object_text, letters=True)
            _, contained = spellings.likeness(query.prompt)
            alike = np.maximum(alike, 0.95 * contained + 0.05 * alike)
        else:
            alike, _ = spellings.likeness(query.object_text)
        return _beyond(alike, _SPELLED_FROM)

    def _translated(self, query: Query, spelling: Array) -> Query:
        """A foreign prompt as the library would say it: what most things of that name are called."""
        best = float(spelling.max())
        if best < _TRANSLATED_FROM or not self._is_foreign(query.prompt):
            return query
        names = Counter(self._names[row] for row in np.flatnonzero(spelling >= best - _SPELLED_ALIKE))
        meaning = names.most_common(1)[0][0]
        return evolve(query, prompt=meaning, object_text=meaning, motion_text="")

    def _is_foreign(self, text: str) -> bool:
        words = content_words(text)
        return sum(word in self._english for word in words) < _ENGLISH_SHARE * len(words)

    def _word_vectors(self, words: list[str]) -> Array:
        known = {word: self.index.word_vector(word) for word in words}
        vectors = {word: vector for word, vector in known.items() if vector is not None}
        strange = [word for word in known if word not in vectors]
        if strange:
            vectors.update(zip(strange, self.space.embed_sentences(strange), strict=True))
        if not vectors:
            return np.zeros((0, self.library.table.name_vector.shape[1]), np.float32)
        return np.stack([vectors[word] for word in words])

    def _unwanted(self, terms: tuple[str, ...], best: int) -> Array:
        """How much each asset is or has one of some things, ``[N]`` in [0, 1]: the worst of them.

        What is said about a kind of thing ("sofas may be of leather") counts only as far as it sets the kind
        apart from what was asked for, the kind of the ``best`` asset; an asset's own words count fully.
        """
        worst = np.zeros(len(self.library))
        for term in terms:
            words = content_words(term)
            if words:
                vectors = self._word_vectors(words)
                kind = _beyond(self.index.kind_words(vectors), _UNWANTED_FROM)
                own = _beyond(self.index.own_words(vectors), _UNWANTED_FROM)
                worst = np.maximum(worst, np.maximum(own, kind - kind[best]))
        return worst

    def _hit(self, result: Folded, score: float, scores: dict[str, float]) -> Hit:
        row, table = result.row, self.library.table
        entry = table.entries[row]
        path = self.library.glb_path(entry)
        return Hit(
            uid=entry.uid,
            name=entry.name,
            score=score,
            scores=scores,
            licence=entry.licence,
            author=entry.author,
            source=entry.collection,
            path=str(path) if path.exists() else "",
            thumbnail=str(self.library.thumbnail(entry.uid)),
            category=entry.category,
            faces=int(table.faces[row]),
            animated=entry.animated,
            variants=tuple(table.entries[variant].uid for variant in result.variants),
        )


def _beyond(values: Array, chance: float) -> Array:
    """Values in [0, 1] stretched so that ``chance`` and less are 0."""
    return np.clip((values - chance) / (1.0 - chance), 0.0, 1.0)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
