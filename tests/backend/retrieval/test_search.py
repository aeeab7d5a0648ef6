"""Search over real meshes: the right object first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.sample_meshes import CUBE, write_cube

from uni4d.config import LibraryConfig
from uni4d.library.build import Library, build_library
from uni4d.library.formats.reading import load_mesh
from uni4d.library.photographs import photograph
from uni4d.library.sources.sweethome3d import locate
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d.retrieval.query import parse
from uni4d.retrieval.search import Searcher
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("meshes")
    for name in ("teddy_bear", "grand_piano", "desk_lamp"):
        write_cube(folder, name)
    (folder / "grand_piano.obj").write_text(CUBE.replace("v 1 ", "v 2 "))
    config = LibraryConfig(source="folder", path=folder, root=tmp_path_factory.mktemp("library"))
    return build_library(config, silent)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a plush bear is dancing", "teddy bear"),
        ("a musical instrument with keys", "grand piano"),
        ("it gives light", "desk lamp"),
    ],
)
def test_the_right_object_comes_first(library: Library, prompt: str, name: str) -> None:
    hits = Searcher(library).search(parse(prompt), 3)
    assert hits[0].name == name
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert set(hits[0].scores) == {"text", "appearance"}
    assert Path(hits[0].thumbnail).is_file()


def test_no_more_hits_than_assets(library: Library) -> None:
    assert len(Searcher(library).search(parse("a lamp"), 50)) == 3


def test_search_is_repeatable(library: Library) -> None:
    first = Searcher(library).search(parse("a lamp"), 3)
    assert Searcher(library).search(parse("a lamp"), 3) == first


def test_text_asset_mesh_and_images_live_in_one_space(library: Library) -> None:
    space = TextShapeSpace(library)
    asset = library.get(library.assets()[0].uid)
    mesh = load_mesh(Path(asset.path))
    vectors = [
        space.embed_text("a teddy bear"),
        space.embed_asset(asset.uid),
        space.embed_mesh(mesh),
        *space.embed_images(photograph(mesh, 3)),
        *space.embed_images(photograph(mesh, 1), uid=asset.uid),
    ]
    assert {vector.shape for vector in vectors} == {(space.dimensions,)}
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_library_without_assets_says_so(library: Library) -> None:
    empty = Library(library.folder, LibraryConfig(), type(library.table)((), *[np.zeros((0, 1))] * 4), ())
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


@pytest.mark.slow
def test_the_first_hit_in_sweet_home_3d(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The whole library (built where the machine has its source; minutes), and prompts of many kinds."""
    try:
        source = locate(download=False)
    except Uni4DError:
        pytest.skip("Sweet Home 3D's furniture is not on this machine")
    config = LibraryConfig(path=source, root=tmp_path_factory.mktemp("library"))
    library = build_library(config, silent)
    assert len(library) > 900
    searcher = Searcher(library)
    found = [(prompt, searcher.search(parse(prompt), 1)[0].name.lower()) for prompt, _ in FIRST_HITS]
    assert found == FIRST_HITS
