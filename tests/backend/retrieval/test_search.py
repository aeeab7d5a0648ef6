"""Search over real meshes: the right object first, whatever way it is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from harness.sample_meshes import CUBE, write_cube
from PIL import Image

from uni4d.config import Config, LibraryConfig
from uni4d.encoders.local import MiniLM
from uni4d.library.build import Library, build_library, vectors_of_words
from uni4d.library.catalog import AssetTable
from uni4d.library.formats.reading import load_mesh
from uni4d.library.photographs import photograph
from uni4d.library.sources import Entry
from uni4d.library.sources.sweethome3d import SweetHome3DSource, locate
from uni4d.pipeline.stages import Stages
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d.retrieval.encoder import AtmsEncoder
from uni4d.retrieval.fusion import MODALITIES
from uni4d.retrieval.index import IndexConfig, IvfConfig
from uni4d.retrieval.query import parse
from uni4d.retrieval.search import Searcher
from uni4d.retrieval.text_index import FILE, TextIndex, build_text_index, fingerprint
from uni4d.retrieval.wanted import read_wanted
from uni4d.retrieval.words import content_words
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import SearchRequest, SearchResult
from uni4d_shared.progress import silent

WIDTHS = {"teddy_bear": 1, "grand_piano": 2, "desk_lamp": 4, "wheelchair": 7, "wooden_chair": 12}
"""The meshes are boxes, each of another shape: copies would be one hit."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LibraryConfig:
    folder = tmp_path_factory.mktemp("meshes")
    for name, width in WIDTHS.items():
        write_cube(folder, name)
        (folder / f"{name}.obj").write_text(CUBE.replace("v 1 ", f"v {width} "))
    return LibraryConfig(source="folder", path=folder, root=tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def library(config: LibraryConfig) -> Library:
    return build_library(config, silent)


@pytest.fixture(scope="module")
def stages(library: Library, config: LibraryConfig) -> Stages:
    return Stages(Config(library=config))


@pytest.fixture(scope="module")
def searcher(stages: Stages) -> Searcher:
    return stages.searcher


def _ask(stages: Stages, prompt: str, **options: object) -> SearchResult:
    result = stages.handle(SearchRequest(prompt, **options), silent)  # type: ignore[arg-type]
    assert isinstance(result, SearchResult)
    return result


def _names(result: SearchResult) -> list[str]:
    return [hit.name for hit in result.hits]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a plush bear is dancing", "teddy bear"),
        ("a musical instrument with keys", "grand piano"),
        ("it gives light", "desk lamp"),
        ("helps people who cannot walk", "wheelchair"),
        ("teddy baer", "teddy bear"),
    ],
)
def test_the_right_object_comes_first(searcher: Searcher, prompt: str, name: str) -> None:
    hits = searcher.search(parse(prompt), 3)
    assert hits[0].name == name
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert set(MODALITIES) - {"appearance"} <= set(hits[0].scores) <= set(MODALITIES)
    assert Path(hits[0].thumbnail).is_file()
    assert hits[0].faces == 12


@pytest.mark.parametrize(
    "prompt",
    [
        "a plush bear is dancing",
        "ours en peluche",
        "it gives light",
        "chair -wheels",
        "a lamp faces:<50",
        "cube",
    ],
)
def test_a_large_library_is_searched_as_a_small_one(
    library: Library, searcher: Searcher, prompt: str
) -> None:
    """The same hits and scores by way of candidates; here they are all assets, from indexes on disk."""
    large = Searcher(library, searcher.space, index=IndexConfig(exact_limit=2))
    wanted = read_wanted(prompt)
    likeness = library.table.shape_vector[1]
    for options in ({}, {"likeness": likeness}, {"but": library.table.entries[0].uid}):
        expected = searcher.search(wanted.query, 4, filters=wanted.filters, **options)  # type: ignore[arg-type]
        found = large.search(wanted.query, 4, filters=wanted.filters, **options)  # type: ignore[arg-type]
        assert [hit.uid for hit in found] == [hit.uid for hit in expected]
        for left, right in zip(found, expected, strict=True):
            assert left.scores == pytest.approx(right.scores, abs=1e-6)
            assert attrs.evolve(left, score=0.0, scores={}) == attrs.evolve(right, score=0.0, scores={})
    assert (library.folder / "catalog" / "vectors").is_dir()


def test_no_more_hits_than_assets(searcher: Searcher) -> None:
    assert len(searcher.search(parse("a lamp"), 50)) == len(WIDTHS)


def test_search_is_repeatable(library: Library, searcher: Searcher) -> None:
    first = searcher.search(parse("a lamp"), 3)
    again = Searcher(library).search(parse("a lamp"), 3)
    assert [hit.uid for hit in again] == [hit.uid for hit in first]
    assert [hit.score for hit in again] == pytest.approx([hit.score for hit in first], abs=1e-5)


def test_fused_scores_are_the_weighted_sum(searcher: Searcher) -> None:
    (hit, *_) = searcher.search(parse("a desk lamp"), 1)
    weights = searcher.fusion.weights
    assert hit.score == pytest.approx(
        sum(weights[name] * value for name, value in hit.scores.items()), abs=1e-5
    )


def test_words_are_compared_as_a_plain_loop_does(searcher: Searcher) -> None:
    index, entries = searcher.index, searcher.library.table.entries
    vectors = np.stack(
        [searcher.space.embed_sentence(word) for word in content_words("a soft toy that shines")]
    )
    known = dict(zip(index.words, index.word_vectors, strict=True))

    def best(vector: Any, words: list[str]) -> float:
        return max(
            (float(np.clip((vector @ known[word] - 0.35) / 0.65, 0, 1)) for word in words), default=0.0
        )

    said = [content_words(concept.document) for concept in index.concepts]
    of_concepts = np.array([[best(vector, words) for words in said] for vector in vectors])
    rarity = np.maximum(np.log(len(said) / (1.0 + of_concepts.sum(axis=1))), 0.1)
    links = list(zip(index.link_asset, index.link_concept, index.link_distance, strict=True))
    plain = []
    for row, entry in enumerate(entries):
        met = []
        for place, vector in enumerate(vectors):
            linked = [
                of_concepts[place, concept] * max(1.0 - 3.0 * distance, 0.0)
                for asset, concept, distance in links
                if asset == row
            ]
            met.append(max([best(vector, content_words(" ".join(entry.texts))), *linked]))
        plain.append(rarity @ met / rarity.sum())
    assert np.allclose(index.word_scores(vectors, np.ones(len(vectors))), plain, atol=1e-4)


def test_the_index_survives_its_file(library: Library, tmp_path: Path) -> None:
    entries = library.table.entries[:2]
    built = build_text_index(tmp_path, entries)
    loaded = TextIndex.load(tmp_path / FILE)
    assert loaded.key == built.key == fingerprint(entries)
    assert loaded.concepts == built.concepts
    assert loaded.spellings.spelled == built.spellings.spelled
    assert np.allclose(loaded.word_vectors, built.word_vectors, atol=1e-3)
    assert fingerprint([attrs.evolve(entries[0], name="other"), *entries[1:]]) != built.key


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(b"no archive"), "cannot be read"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: attrs.evolve(TextIndex.load(path), key="older").save(path), "is of another version"),
    ],
    ids=["damaged", "missing", "stale"],
)
def test_an_index_that_is_no_good_is_made_again_and_said(
    library: Library,
    config: LibraryConfig,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    told: str,
) -> None:
    """Once: in the log, and in the progress of the search that needs it."""
    spoil(library.folder / FILE)
    stages, messages = Stages(Config(library=config)), list[str]()
    found = stages.search("a grand piano", 1, lambda _, message: messages.append(message))
    assert found.hits[0].name == "grand piano"
    assert "finding out what the assets are" in messages
    (said,) = (record.message for record in caplog.records if "made anew" in record.message)
    assert FILE in said and told in said
    assert TextIndex.load(library.folder / FILE).key == fingerprint(library.table.entries)
    messages.clear()
    assert _names(_ask(Stages(Config(library=config)), "a grand piano"))[:1] == ["grand piano"]
    assert stages.search("a grand piano", 1, lambda _, message: messages.append(message)) == found
    assert "finding out what the assets are" not in messages
    assert sum("made anew" in record.message for record in caplog.records) == 1


def test_unwanted_things_go_down(stages: Stages) -> None:
    assert _names(_ask(stages, "a chair"))[:2] == ["wooden chair", "wheelchair"]
    without = _ask(stages, "a chair -wheels")
    scores = {hit.name: hit.scores["unwanted"] for hit in without.hits}
    assert scores["wheelchair"] > 0.5
    assert scores["wooden chair"] == 0.0
    assert _names(_ask(stages, "a chair -wooden"))[0] == "wheelchair"


def test_filters_leave_out(stages: Stages) -> None:
    assert _ask(stages, "a chair faces:>12").hits == ()
    assert len(_ask(stages, "a chair faces:<=12").hits) == 5
    with pytest.raises(Uni4DError, match="licence") as caught:
        _ask(stages, "a chair licence:cc0")
    assert "unknown" in caught.value.cure


def test_more_like_an_asset_leaves_it_out(stages: Stages, library: Library) -> None:
    uid = next(entry.uid for entry in library.table.entries if entry.name == "grand piano")
    found = _ask(stages, "", like=uid)
    assert uid not in [hit.uid for hit in found.hits]
    assert set(found.hits[0].scores) == {"likeness"}
    with pytest.raises(Uni4DError) as caught:
        _ask(stages, "", like="nobody")
    assert caught.value.code == "asset-unknown"


def test_a_mesh_finds_itself(stages: Stages, library: Library) -> None:
    uid = next(entry.uid for entry in library.table.entries if entry.name == "grand piano")
    glb = Path(library.get(uid).path).read_bytes()
    assert _ask(stages, "", glb=glb).hits[0].scores["likeness"] > 0.8
    assert "likeness" in _ask(stages, "a lamp", glb=glb).hits[0].scores


def test_a_picture_of_an_asset(stages: Stages, library: Library) -> None:
    mesh = load_mesh(Path(library.get(library.table.entries[0].uid).path))
    file = io.BytesIO()
    Image.fromarray(photograph(mesh, 1)[0]).save(file, "PNG")
    found = _ask(stages, "", image=file.getvalue())
    assert found.query.object_text == ""
    assert len(found.hits) >= 1
    assert len(found.thumbnails) == len(found.hits)


def test_nothing_asked_for(stages: Stages) -> None:
    for prompt in ("", "  ", "licence:unknown", "-wheels"):
        with pytest.raises(Uni4DError) as caught:
            _ask(stages, prompt)
        assert caught.value.code == "prompt-empty"


def test_text_asset_mesh_and_images_live_in_one_space(library: Library) -> None:
    space = TextShapeSpace(library)
    asset = library.get(library.assets()[0].uid)
    mesh = load_mesh(Path(asset.path))
    vectors = [
        space.embed_text("a teddy bear"),
        space.embed_asset(asset.uid),
        space.embed_mesh(mesh),
        *space.embed_images(photograph(mesh, 3)),
    ]
    assert {vector.shape for vector in vectors} == {(space.dimensions,)}
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_library_without_assets_says_so(library: Library) -> None:
    empty = Library(library.folder, LibraryConfig(), attrs.evolve(library.table, entries=()), ())
    with pytest.raises(Uni4DError) as caught:
        Searcher(empty)
    assert caught.value.code == "library-empty"


FIRST_HITS = [
    ("a teddy bear is dancing", "teddy bear"),
    ("an old biplane flies in circles", "biplane"),
    ("a desk lamp is nodding", "desk lamp"),
    ("a dog is walking", "dog"),
    ("a grand piano is spinning", "grand piano"),
    ("a bulldog shakes its head", "bulldog"),
    ("a motorbike drives in circles", "motorbike"),
    ("a cactus wiggles", "cactus"),
    ("a horse gallops", "horse"),
    ("a deer leaps", "deer"),
    ("a cuckoo clock ticking", "cuckoo clock"),
    ("a pine tree sways in the wind", "pine"),
    ("a toy train drives around", "toy train"),
    ("a chess board rotates", "chessboard"),
    ("a xylophone bounces", "xylophone"),
    ("a washing machine shakes", "washing machine"),
    ("a laptop opens", "laptop"),
    ("a snowman wobbles", "snowman"),
    ("a bicycle rolls forward", "bicycle"),
    ("a truck drives", "truck"),
    ("a basketball bounces", "basketball"),
    ("a pair of scissors opens and closes", "scissors"),
    ("a rocking horse rocks", "rocking horse"),
    ("a folding chair opens", "folding chair"),
    ("the ceiling fan rotates clockwise", "ceiling fan"),
    ("a cat stretches", "cat"),
    ("a candle flickers", "candle"),
    ("a plush toy bear", "teddy bear"),
    ("an umbrella opens", "umbrella"),
    ("a cupcake jumps", "cup cake"),
    ("a football rolls", "soccer ball"),
    ("an acoustic guitar swaying", "electric guitar"),
]

OTHER_LANGUAGES = [
    ("ours en peluche", "teddy bear"),
    ("un ours en peluche qui danse", "teddy bear"),
    ("Schreibtischlampe", "desk lamp"),  # German for three desk lamps and a work lamp
    ("椅子", "chair"),
    ("silla de ruedas", "wheelchair"),
    ("плюшевый мишка", "teddy bear"),
    ("bycicle", "bicycle"),
]

DESCRIBED = [
    ("plush toy bear", "teddy bear"),
    ("two-wheeled pedal vehicle", "bicycle"),
    ("it puts out fires", "extinguisher"),
    ("it tells the time and a little bird comes out", "cuckoo clock"),
    ("rests on the beach in the sun", "beach chair"),
]


PROMPTS = (FIRST_HITS, OTHER_LANGUAGES, DESCRIBED)


@pytest.mark.slow
def test_the_first_hit_among_the_words_of_sweet_home_3d(furniture: SweetHome3DSource, tmp_path: Path) -> None:
    """Every prompt against the assets that could be taken for the one meant, and a fourth of all others."""
    entries = _confusable(furniture.entries())
    assert len(entries) >= 400
    library = _library_of_words(entries, tmp_path)
    searcher = Searcher(library)
    _assert_first_hits(searcher)
    _assert_candidates_suffice(library, searcher)


@pytest.mark.long
def test_the_first_hit_in_sweet_home_3d(furniture: SweetHome3DSource, tmp_path: Path) -> None:
    """The same in the whole library, built from its meshes."""
    library = build_library(LibraryConfig(path=furniture.folder, root=tmp_path), silent)
    assert len(library) > 900
    searcher = Searcher(library)
    _assert_first_hits(searcher)
    _assert_candidates_suffice(library, searcher)


@pytest.fixture(scope="module")
def furniture() -> SweetHome3DSource:
    try:
        return SweetHome3DSource(locate(download=False))
    except Uni4DError:
        pytest.skip("Sweet Home 3D's furniture is not on this machine")


def _confusable(entries: list[Entry]) -> list[Entry]:
    """For each prompt and each name that it stands for the nearest by meaning and by letters of the word;
    and every fourth asset, so that words are as rare or as common as they are in the whole."""
    encoder = MiniLM()
    _, texts = vectors_of_words(entries, encoder)
    asked = [words for prompts in PROMPTS for pair in prompts for words in pair]
    near = np.argsort(-encoder.encode(asked).pooled @ texts.T, axis=1)[:, :8]
    meant = {name for prompts in PROMPTS for _, name in prompts}
    named = {
        row for row, entry in enumerate(entries) if _words(entry.name) & meant | {entry.name.lower()} & meant
    }
    kept = named | set(near.flatten().tolist()) | set(range(0, len(entries), 4))
    return [entries[row] for row in sorted(kept)]


def _words(name: str) -> set[str]:
    return set(name.lower().split())


def _library_of_words(entries: list[Entry], folder: Path) -> Library:
    """What a build leaves of the assets' words. No mesh is read: the look decides nothing where words are
    known (its weight is 0), so any unit vectors do."""
    encoder = MiniLM()
    names, texts = vectors_of_words(entries, encoder)
    build_text_index(folder, entries, silent, encoder)
    count = len(entries)
    looks = np.random.default_rng(0).normal(size=(count, AtmsEncoder.load(encoder).dimensions))
    looks = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)
    alone = tuple(entry.uid for entry in entries)
    table = AssetTable(
        tuple(entries), np.zeros(count, np.int64), names, texts, looks, alone, np.zeros((count, 3))
    )
    return Library(folder, LibraryConfig(root=folder), table, ())


def _assert_first_hits(searcher: Searcher) -> None:
    for prompts in PROMPTS:
        found = [
            (prompt, searcher.search(read_wanted(prompt).query, 1)[0].name.lower()) for prompt, _ in prompts
        ]
        wrong = [pair for pair, expected in zip(found, prompts, strict=True) if pair != expected]
        assert not wrong


def _assert_candidates_suffice(library: Library, searcher: Searcher) -> None:
    """Were the limit lower: a part of all assets is scored, and the hits are nearly always the same."""
    config = IndexConfig(exact_limit=100, ivf=IvfConfig(probes=8, compared=20))
    large, same = Searcher(library, searcher.space, index=config), []
    for prompt, _ in (pair for prompts in PROMPTS for pair in prompts):
        query = read_wanted(prompt).query
        expected, found = searcher.search(query, 1)[0], large.search(query, 1)[0]
        same.append(found.uid == expected.uid)
        if same[-1]:
            assert found.score == pytest.approx(expected.score, abs=1e-6)
            assert found.scores == pytest.approx(expected.scores, abs=1e-6)
    assert np.mean(same) >= 0.95
