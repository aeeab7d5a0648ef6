"""Where assets come from: catalogues are read right, names are stable, what is missing is said."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from harness.sample_meshes import CUBE, CUBE_MTL, checks_png, write_cube

from uni4d.config import LibraryConfig
from uni4d.library.sources import open_source
from uni4d.library.sources.folder import FolderSource
from uni4d.library.sources.properties import parse_properties
from uni4d.library.sources.sweethome3d import SweetHome3DSource, fetch, locate
from uni4d_shared.errors import Uni4DError

CATALOGUE = """# a catalogue
id=Test
name=Test catalog
license=Creative Commons Attribution 3.0 license

id#1=Test#cube
name#1=Caf\\u00e9 cube
tags#1=Blend Swap, Toy, SCPTS
category#1=Mis\\
cellaneous
icon#1=/test/cube.png
model#1=/test/cube/cube.obj
width#1=50
depth#1=40
height#1=30
creator#1=Somebody

id#2=Test#turned
name#2=Turned cube
tags#2=
category#2=Kitchen
icon#2=/test/none.png
model#2=/test/cube/turned.obj
width#2=10
depth#2=20
height#2=30
modelRotation#2=0 0 1 0 1 0 -1 0 0
"""


@pytest.fixture
def catalogues(tmp_path: Path) -> Path:
    folder = tmp_path / "usr/share/sweethome3d/furniture"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "Test.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        archive.writestr("test/cube.png", checks_png())
        archive.writestr("test/cube/cube.obj", CUBE)
        archive.writestr("test/cube/turned.obj", CUBE)
        archive.writestr("test/cube/cube.mtl", CUBE_MTL)
        archive.writestr("test/cube/checks.png", checks_png())
    return tmp_path


def test_a_catalogue_says_what_its_models_are(catalogues: Path) -> None:
    cube, turned = SweetHome3DSource(locate(catalogues)).entries()
    assert cube.name == "Café cube"
    assert cube.texts == ("Café cube", "Toy", "Miscellaneous")
    assert cube.licence == "CC-BY-3.0"
    assert cube.author == "Somebody"
    assert cube.collection == "Sweet Home 3D: Test"
    assert cube.size == (0.5, 0.4, 0.3)
    assert turned.tags == ()


def test_models_have_their_real_size_and_stand_upright(catalogues: Path) -> None:
    source = SweetHome3DSource(locate(catalogues))
    cube, turned = source.entries()
    assert np.allclose(source.load(cube).bounds, [[-0.25, -0.2, 0], [0.25, 0.2, 0.3]])
    assert source.icon(cube) == checks_png()
    assert source.icon(turned) is None
    mesh = source.load(turned)
    assert np.allclose(mesh.extents, (0.1, 0.2, 0.3))
    textured = mesh.face_material == 0
    # The rotation takes the file's +Z (the textured front, world −Y) to +X.
    assert np.allclose(mesh.vertices[mesh.faces[textured]][..., 0], 0.05, atol=1e-6)


def test_identifiers_do_not_depend_on_where_the_files_are(catalogues: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    original = catalogues / "usr/share/sweethome3d/furniture/Test.sh3f"
    (moved / "Test.sh3f").write_bytes(original.read_bytes())
    first = [entry.uid for entry in SweetHome3DSource(locate(catalogues)).entries()]
    second = [entry.uid for entry in SweetHome3DSource(locate(moved)).entries()]
    assert first == second
    assert len(set(first)) == 2
    assert all(uid.replace("-", "").isalnum() for uid in first)


def test_properties_files_read_as_java_reads_them() -> None:
    text = b"! note\na=1\nb : two words \n  c\\ d = x\\\n   y\ne\\=f=\\t\\u00e9\ng\n"
    assert parse_properties(text) == {"a": "1", "b": "two words ", "c d": "xy", "e=f": "\té", "g": ""}


def test_a_folder_names_its_meshes_after_the_files(tmp_path: Path) -> None:
    write_cube(tmp_path / "toys", "TeddyBear_02")
    write_cube(tmp_path / "toys" / "red_wagon", "model")
    (tmp_path / "toys" / "TeddyBear_02.txt").write_text("Plush bear\nsoft\nbrown\n")
    (tmp_path / "LICENSE").write_text("CC0-1.0\n")
    source = FolderSource(tmp_path)
    bear, wagon = sorted(source.entries(), key=lambda entry: entry.name)
    assert bear.texts == ("Plush bear", "soft", "brown", "toys")
    assert bear.licence == "CC0-1.0"
    assert (wagon.name, wagon.category) == ("red wagon", "toys")
    assert np.allclose(source.load(bear).bounds, [[-1, -1, 0], [1, 1, 2]])


def test_meshes_in_strange_units_get_a_usual_size(tmp_path: Path) -> None:
    path = write_cube(tmp_path)
    path.write_text(CUBE.replace("v 1 ", "v 1000 ").replace("v -1 ", "v -1000 "))
    source = FolderSource(tmp_path)
    assert np.isclose(source.load(source.entries()[0]).extents.max(), 1.0)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (LibraryConfig(source="folder"), "source-missing"),
        (LibraryConfig(source="nonsense"), "source-unknown"),
        (LibraryConfig(source="sweethome3d", path=Path("/nonexistent")), "source-missing"),
    ],
)
def test_a_missing_source_is_a_clear_error(config: LibraryConfig, code: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        open_source(config)
    assert caught.value.code == code
    assert caught.value.cure


def test_without_apt_the_download_says_how_to_get_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Uni4DError, match="apt-get") as caught:
        fetch()
    assert caught.value.code == "apt-missing"
    assert "--path" in caught.value.cure


def test_a_download_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apt that fails (here: a script) leaves nothing in the cache, and its words are in the error."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("apt-get", "dpkg"):
        (tools / name).write_text("#!/bin/sh\necho 'E: the mirror is on fire'\nexit 100\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Uni4DError, match="the mirror is on fire") as caught:
        fetch()
    assert caught.value.code == "download-failed"
    assert not list((tmp_path / "cache").rglob("*.deb"))
    assert not (tmp_path / "cache/sources/sweethome3d").exists()
