"""Settings: the profiles, the TOML file, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from uni4d.config import Config, FitConfig, load_config
from uni4d.pipeline.stages import with_settings
from uni4d_shared.errors import Uni4DError


def test_the_default_profile_needs_nothing() -> None:
    assert load_config() == Config(profile="local")


def test_a_toml_file_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "uni4d.toml"
    file.write_text('[fit]\niterations = 7\n[library]\nroot = "~/assets"\n')
    config = load_config(file)
    assert config.fit.iterations == 7
    assert config.fit.nodes == FitConfig().nodes
    assert config.library.root == Path("~/assets").expanduser()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[fit]\niteration = 7\n", "iteration"),
        ("[fitting]\niterations = 7\n", "fitting"),
        ("[fit]\niterations = -1\n", "iterations"),
        ("[fit\n", "uni4d.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "uni4d.toml"
    file.write_text(text)
    with pytest.raises(Uni4DError, match=named) as caught:
        load_config(file)
    assert caught.value.code == "bad-setting"


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Uni4DError, match="no profile 'tpu'"):
        load_config(profile="tpu")


def test_settings_from_a_request_are_checked_like_those_of_a_file() -> None:
    assert with_settings(FitConfig(), {"seed": 3, "nodes": 32}) == FitConfig(seed=3, nodes=32)
    with pytest.raises(Uni4DError, match="Unknown setting: node"):
        with_settings(FitConfig(), {"node": 32})
    with pytest.raises(Uni4DError, match="out of range"):
        with_settings(FitConfig(), {"splats": 10**9})
