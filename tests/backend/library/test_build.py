"""Building and opening a library of a folder: resumable, cancellable, bad meshes named."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from harness.sample_meshes import CUBE, write_cube
from PIL import Image

from uni4d.config import LibraryConfig
from uni4d.encoders.local import MiniLM
from uni4d.library.build import build_library, open_library
from uni4d.library.formats.reading import load_mesh
from uni4d.retrieval import encoder
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent


def _meshes(folder: Path) -> Path:
    for name in ("red_cube", "wide_box", "tall_tower"):
        write_cube(folder / "shapes", name)
    wide = folder / "shapes" / "wide_box.obj"
    wide.write_text(CUBE.replace("v 1 ", "v 3 ").replace("v -1 ", "v -3 "))
    (folder / "shapes" / "broken_thing.glb").write_bytes(b"this is not a mesh")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LibraryConfig:
    folder = _meshes(tmp_path_factory.mktemp("meshes"))
    root = tmp_path_factory.mktemp("library")
    return LibraryConfig(source="folder", path=folder, root=root, processes=1)


def test_before_a_build_the_library_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError) as caught:
        open_library(LibraryConfig(root=tmp_path))
    assert caught.value.code == "library-missing"
    assert "uni4d library build" in caught.value.cure


def test_a_cancelled_build_goes_on_where_it_stopped(config: LibraryConfig) -> None:
    assert_it_goes_on(config)


@pytest.mark.slow
def test_a_cancelled_build_of_several_processes_goes_on_too(config: LibraryConfig, tmp_path: Path) -> None:
    assert_it_goes_on(attrs.evolve(config, root=tmp_path, processes=2))


def assert_it_goes_on(config: LibraryConfig) -> None:
    def stop_after_two(fraction: float, message: str) -> None:
        if message.startswith("2/4"):
            raise Cancelled

    with pytest.raises(Cancelled):
        build_library(config, stop_after_two)
    with pytest.raises(Uni4DError, match="no finished library"):
        open_library(config)
    messages: list[str] = []
    library = build_library(config, lambda fraction, message: messages.append(message))
    assert "reading 2 meshes" in messages
    assert sorted(asset.name for asset in library.assets()) == ["red cube", "tall tower", "wide box"]
    assert [name for name, _ in library.skipped] == ["broken thing"]
    assert "broken_thing.glb" in library.skipped[0][1]


def test_a_second_build_reads_nothing(config: LibraryConfig) -> None:
    build_library(config, silent)
    messages: list[str] = []
    build_library(config, lambda fraction, message: messages.append(message))
    assert not any("reading" in message and "mesh" in message for message in messages)


def test_a_new_mesh_is_added_and_a_removed_one_goes(config: LibraryConfig) -> None:
    assert config.path is not None
    before = {asset.uid for asset in build_library(config, silent).assets()}
    extra = write_cube(config.path / "shapes", "blue_cube")
    messages: list[str] = []
    after = build_library(config, lambda fraction, message: messages.append(message))
    assert "reading 1 meshes" in messages
    assert before < {asset.uid for asset in after.assets()}
    extra.unlink()
    assert {asset.uid for asset in build_library(config, silent).assets()} == before


def test_an_asset_is_a_textured_glb_of_its_real_size(config: LibraryConfig) -> None:
    library = build_library(config, silent)
    box = next(asset for asset in library.assets() if asset.name == "wide box")
    assert box.path == ""
    fetched = library.get(box.uid)
    mesh = load_mesh(Path(fetched.path))
    assert np.allclose(mesh.bounds, [[-3, -1, 0], [3, 1, 2]])
    assert any(material.texture is not None for material in mesh.materials)
    assert library.get(box.uid) == fetched
    assert next(asset for asset in library.assets() if asset.uid == box.uid).path == fetched.path


def test_thumbnails_show_the_object(config: LibraryConfig) -> None:
    library = build_library(config, silent)
    for asset in library.assets():
        with Image.open(library.thumbnail(asset.uid)) as image:
            pixels = np.asarray(image.convert("RGBA"))
        shown = pixels[..., 3] > 128
        assert 0.1 < shown.mean() < 0.9
        assert pixels[shown][:, 0].mean() > pixels[shown][:, 2].mean()  # mostly red


def test_an_unknown_asset_is_a_clear_error(config: LibraryConfig) -> None:
    with pytest.raises(Uni4DError) as caught:
        build_library(config, silent).get("nothing-0000000000")
    assert caught.value.code == "asset-unknown"


def test_a_folder_without_meshes_is_an_empty_library(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "notes.txt").write_text("no meshes here")
    config = LibraryConfig(source="folder", path=tmp_path / "meshes", root=tmp_path / "library")
    with pytest.raises(Uni4DError) as caught:
        build_library(config, silent)
    assert caught.value.code == "library-empty"


def test_only_one_process_builds_a_library(config: LibraryConfig) -> None:
    def build_again(fraction: float, message: str) -> None:
        if message == "reading 4 meshes":
            build_library(config, silent)

    with pytest.raises(Uni4DError) as caught:
        build_library(config, build_again, force=True)
    assert caught.value.code == "library-busy"


def test_other_weights_of_atms_make_only_the_shape_vectors_anew(
    config: LibraryConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build_library(config, silent)
    features = before.folder / "features.npz"
    read = features.stat().st_mtime_ns
    members = tmp_path / "atms.safetensors"
    encoder.save_weights(encoder.RetrievalWeights(encoder.load_members(encoder.WEIGHTS), None), members, {})
    monkeypatch.setattr(encoder, "WEIGHTS", members)
    with pytest.raises(Uni4DError, match="other weights") as caught:
        open_library(config)
    assert caught.value.code == "library-outdated"
    messages: list[str] = []
    after = build_library(config, lambda fraction, message: messages.append(message))
    assert "comparing shapes and looks anew" in messages
    assert not any("reading" in message and "mesh" in message for message in messages)
    assert features.stat().st_mtime_ns == read
    atms = encoder.AtmsEncoder.load(MiniLM(), members)
    assert np.allclose(after.table.shape_vector, atms.embed_features(after.features()), atol=1e-5)
    assert np.array_equal(after.table.name_vector, before.table.name_vector)
    monkeypatch.undo()
    again = build_library(config, silent)
    assert np.allclose(again.table.shape_vector, before.table.shape_vector, atol=2e-3)
