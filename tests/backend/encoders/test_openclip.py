"""OpenCLIP's encoders give what OpenCLIP gives; and what is missing or broken is one clear error at once."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.hub import put_into_cache

from uni4d.encoders.full import OpenClipConfig, OpenClipImages, OpenClipText, hub, openclip
from uni4d.encoders.full.extra import import_extra
from uni4d_shared.errors import Uni4DError

pytestmark = pytest.mark.slow  # importing open_clip alone takes some seconds

TEXTS = ["a teddy bear", "an old biplane with red wings, flying low over the sea", "lamp"]
TEXT_TOWER = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION_TOWER = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
TINY = {
    "uni4d-plain": {"embed_dim": 24, "vision_cfg": VISION_TOWER, "text_cfg": TEXT_TOWER},
    "uni4d-average": {
        "embed_dim": 24,
        "vision_cfg": {**VISION_TOWER, "pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
        "text_cfg": {**TEXT_TOWER, "pool_type": "last", "no_causal_mask": True, "proj_bias": True},
        "custom_text": True,
    },
    "uni4d-resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": TEXT_TOWER,
    },
    "uni4d-timm": {  # as EVA02-E-14-plus is built
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit",
            "timm_pool": "token",
            "timm_proj": None,
        },
        "text_cfg": {**TEXT_TOWER, "pool_type": "eos", "eos_id": 49407},
        "custom_text": True,
    },
    "uni4d-convolutions": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_convnext",
            "timm_pool": "avg",
            "timm_proj": "linear",
        },
        "text_cfg": TEXT_TOWER,
    },
    "uni4d-coca": {
        "embed_dim": 24,
        "vision_cfg": {
            **VISION_TOWER,
            "attentional_pool": True,
            "attn_pooler_queries": 8,
            "output_tokens": True,
        },
        "text_cfg": {**TEXT_TOWER, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {
            "context_length": 20,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
            "attn_pooler_heads": 2,
        },
        "custom_text": True,
    },
}
PATCHES = {
    "uni4d-plain": 16,
    "uni4d-average": 16,
    "uni4d-resnet": 4,
    "uni4d-timm": 100,
    "uni4d-convolutions": 25,
    "uni4d-coca": 7,
}


@pytest.fixture(scope="module")
def open_clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    package = import_extra("open_clip")
    folder = tmp_path_factory.mktemp("architectures")
    for name, settings in TINY.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    package.add_model_config(folder)
    return package


@pytest.fixture(scope="module")
def weights(open_clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """``weights(name)``: a randomly initialised model of that architecture, and the file with its weights."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def of(name: str) -> tuple[Any, Path]:
        if name not in made:
            torch.manual_seed(0)
            model = open_clip.create_model(name).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.05 * torch.randn_like(parameter))  # nothing is left zero or one
            torch.save(model.state_dict(), folder / f"{name}.pt")
            made[name] = (model, folder / f"{name}.pt")
        return made[name]

    return of


def cpu(model: str, weights: Path | str = "", **more: Any) -> OpenClipConfig:
    return OpenClipConfig(model=model, weights=str(weights), **{"device": "cpu", "precision": "fp32", **more})


def pictures(count: int, channels: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, 50, 70, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", TINY)
def test_texts_are_open_clip_s(name: str, open_clip: Any, weights: Callable[[str], tuple[Any, Path]]) -> None:
    model, path = weights(name)
    encoder = OpenClipText(cpu(name, path))
    encoded = encoder.encode(TEXTS)
    pieces = open_clip.get_tokenizer(name)(TEXTS)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_text(pieces), dim=1).numpy()
    assert encoder.dimensions == 24
    assert np.allclose(encoded.pooled, expected, atol=1e-5)
    assert encoded.tokens.shape == (3, encoded.mask.shape[1], 24)
    assert (encoded.tokens[~encoded.mask] == 0).all()
    if name == "uni4d-average":  # pools at the end of the padding, which it reads
        assert encoded.mask.all() and encoded.mask.shape[1] == 20
    else:
        lengths = (pieces == 49407).int().argmax(dim=1) + 1
        assert (encoded.mask.sum(axis=1) == lengths.numpy()).all()
    if name != "uni4d-coca":  # which pools in a place of its own
        last = encoded.tokens[np.arange(3), encoded.mask.sum(axis=1) - 1]
        last /= np.linalg.norm(last, axis=1, keepdims=True)
        assert np.allclose(last, expected, atol=1e-5)


@pytest.mark.usefixtures("empty_hub")
def test_text_towers_of_transformers_work_too(
    open_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast, RobertaConfig

    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "lamp", "bear", "teddy"]
    plain = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[3]))
    plain.pre_tokenizer = Whitespace()
    tower = tmp_path / "tower"
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=plain, **names).save_pretrained(tower)
    RobertaConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=1,
    ).save_pretrained(tower)
    text = {
        "hf_model_name": str(tower),
        "hf_tokenizer_name": str(tower),
        "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler",
        "context_length": 12,
    }
    settings = {"embed_dim": 24, "vision_cfg": VISION_TOWER, "text_cfg": text}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"uni4d-roberta": settings})
    model = open_clip.create_model("uni4d-roberta", pretrained_text=False).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")

    encoded = OpenClipText(cpu("uni4d-roberta", tmp_path / "weights.pt")).encode(["a teddy bear", "lamp"])
    with torch.inference_mode():
        pieces = open_clip.get_tokenizer("uni4d-roberta")(["a teddy bear", "lamp"])
        expected = torch.nn.functional.normalize(model.encode_text(pieces), dim=1).numpy()
    assert np.allclose(encoded.pooled, expected, atol=1e-5)
    assert encoded.mask.tolist() == [[True, True, True], [True, False, False]]
    mean = encoded.tokens.sum(axis=1) / encoded.mask.sum(axis=1, keepdims=True)  # as it pools
    assert np.allclose(mean / np.linalg.norm(mean, axis=1, keepdims=True), expected, atol=1e-5)


def test_text_tokens_are_the_projected_word_pieces(
    open_clip: Any, weights: Callable[[str], tuple[Any, Path]]
) -> None:
    model, path = weights("uni4d-plain")
    encoded = OpenClipText(cpu("uni4d-plain", path)).encode(TEXTS)
    pieces = open_clip.get_tokenizer("uni4d-plain")(TEXTS)
    with torch.inference_mode():
        inside = model.forward_intermediates(text=pieces, text_indices=1, normalize_intermediates=True)
        expected = (inside["text_intermediates"][-1] @ model.text_projection).numpy()
    shown = expected[:, : encoded.mask.shape[1]]
    assert np.allclose(encoded.tokens[encoded.mask], shown[encoded.mask], atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_pictures_are_open_clip_s(name: str, weights: Callable[[str], tuple[Any, Path]]) -> None:
    from PIL import Image

    model, path = weights(name)
    encoder = OpenClipImages(cpu(name, path))
    images = pictures(3)
    encoded = encoder.encode(images)
    _, _, prepare = import_extra("open_clip").create_model_and_transforms(name)
    prepared = torch.stack([prepare(Image.fromarray(image)) for image in images])
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_image(prepared), dim=1).numpy()
    assert np.allclose(encoded.pooled, expected, atol=1e-5)
    assert encoded.tokens.shape == (3, PATCHES[name], encoder.dimensions)
    assert np.abs(encoded.tokens[:, :-1] - encoded.tokens[:, 1:]).max() > 1e-3  # patches differ


@pytest.mark.parametrize("name", ["uni4d-plain", "uni4d-timm"])
def test_picture_tokens_are_the_projected_patches(
    name: str, weights: Callable[[str], tuple[Any, Path]]
) -> None:
    model, path = weights(name)
    encoder, images = OpenClipImages(cpu(name, path)), pictures(2)
    encoded = encoder.encode(images)
    pixels = torch.stack([encoder._loaded.prepare(openclip._on_white(image)) for image in images])
    with torch.inference_mode():
        if name == "uni4d-timm":
            trunk = model.visual.trunk
            expected = trunk.head(trunk.fc_norm(trunk.forward_features(pixels)[:, 1:]))
        else:
            inside = model.visual.forward_intermediates(
                pixels, indices=1, normalize_intermediates=True, output_fmt="NLC"
            )
            expected = inside["image_intermediates"][-1] @ model.visual.proj
    assert np.allclose(encoded.tokens, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["uni4d-convolutions", "uni4d-average"])
def test_patches_lie_around_the_picture_that_averages_them(
    name: str, weights: Callable[[str], tuple[Any, Path]]
) -> None:
    _, path = weights(name)
    encoded = OpenClipImages(cpu(name, path)).encode(pictures(4))
    mean = encoded.tokens.mean(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    assert ((mean * encoded.pooled).sum(axis=1) > 0.8).all()


def test_transparent_pictures_are_laid_on_white(weights: Callable[[str], tuple[Any, Path]]) -> None:
    _, path = weights("uni4d-plain")
    encoder = OpenClipImages(cpu("uni4d-plain", path))
    images = pictures(1, channels=4)
    images[..., 3] = 255
    images[:, :, 35:, 3] = 0
    white = images[..., :3].copy()
    white[:, :, 35:] = 255
    assert np.allclose(encoder.encode(images).pooled, encoder.encode(white).pooled, atol=1e-6)
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode(white.astype(np.float32))


def test_batches_change_nothing_and_nothing_is_no_error(weights: Callable[[str], tuple[Any, Path]]) -> None:
    _, path = weights("uni4d-plain")
    for config in (cpu("uni4d-plain", path), cpu("uni4d-plain", path, batch=1)):
        text, image = OpenClipText(config), OpenClipImages(config)
        assert np.allclose(text.encode(TEXTS).tokens, text.encode(TEXTS[:1] + TEXTS[1:]).tokens, atol=1e-6)
        alone = np.concatenate([text.encode([one]).pooled for one in TEXTS])
        assert np.allclose(text.encode(TEXTS).pooled, alone, atol=1e-5)
        assert text.encode([]).pooled.shape == image.encode(pictures(0)).pooled.shape == (0, 24)


def test_both_encoders_share_one_model(weights: Callable[[str], tuple[Any, Path]]) -> None:
    config = cpu("uni4d-plain", weights("uni4d-plain")[1])
    text, image = OpenClipText(config), OpenClipImages(config)
    assert text._loaded is image._loaded
    assert text.name != image.name


def test_bfloat16_is_near(weights: Callable[[str], tuple[Any, Path]]) -> None:
    _, path = weights("uni4d-timm")
    exact, half = cpu("uni4d-timm", path), cpu("uni4d-timm", path, precision="bf16")
    for kind, given in ((OpenClipText, TEXTS), (OpenClipImages, pictures(2))):
        encoded = kind(half).encode(given)  # type: ignore[arg-type]
        assert encoded.pooled.dtype == encoded.tokens.dtype == np.float32
        near = (encoded.pooled * kind(exact).encode(given).pooled).sum(axis=1)  # type: ignore[arg-type]
        assert (near > 0.99).all()


# --- where weights come from ------------------------------------------------------------------------------


@pytest.fixture
def folder(weights: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> Path:
    """A folder as open_clip saves one for the hub, with normalisation and activation of its own."""
    from safetensors.torch import save_file

    model, _ = weights("uni4d-plain")
    preparation = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear"}
    settings = {"model_cfg": {**TINY["uni4d-plain"], "quick_gelu": True}, "preprocess_cfg": preparation}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        tmp_path / "open_clip_model.safetensors",
    )
    return tmp_path


def test_a_local_folder_brings_its_own_settings(
    folder: Path, weights: Callable[[str], tuple[Any, Path]]
) -> None:
    _, path = weights("uni4d-plain")
    config = cpu(f"local-dir:{folder}")
    theirs, plain = OpenClipText(config).encode(TEXTS), OpenClipText(cpu("uni4d-plain", path)).encode(TEXTS)
    assert not np.allclose(theirs.pooled, plain.pooled, atol=1e-4)  # QuickGELU
    loaded = OpenClipImages(config)._loaded
    dark = loaded.prepare(openclip._on_white(np.zeros((40, 40, 3), np.uint8)))
    assert torch.allclose(dark[:, 0, 0], torch.tensor([-0.2, -0.4, -0.6]), atol=1e-6)


def test_what_the_cache_holds_needs_no_network(folder: Path, empty_hub: Path) -> None:
    put_into_cache(empty_hub, "nobody/tiny", {path.name: path.read_bytes() for path in folder.iterdir()})
    local = OpenClipText(cpu(f"local-dir:{folder}")).encode(TEXTS).pooled
    assert np.allclose(OpenClipText(cpu("hf-hub:nobody/tiny")).encode(TEXTS).pooled, local)


@pytest.mark.parametrize("lacking", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_half_a_repository_in_the_cache_is_not_enough(lacking: str, folder: Path, empty_hub: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != lacking}
    put_into_cache(empty_hub, "nobody/half", files)
    with pytest.raises(Uni4DError, match="cannot be reached") as caught:
        OpenClipText(cpu("hf-hub:nobody/half"))
    assert caught.value.code == "weights-missing"


def test_damaged_weights_in_the_cache_are_called_so(folder: Path, empty_hub: Path) -> None:
    (folder / "open_clip_model.safetensors").write_bytes(b"cut off")
    put_into_cache(empty_hub, "nobody/cut", {path.name: path.read_bytes() for path in folder.iterdir()})
    with pytest.raises(Uni4DError, match="do not load") as caught:
        OpenClipText(cpu("hf-hub:nobody/cut"))
    assert caught.value.code == "weights-unreadable"


def test_a_tag_brings_its_activation(
    open_clip: Any, folder: Path, empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "open_clip_model.safetensors"
    put_into_cache(empty_hub, "nobody/tagged", {name: (folder / name).read_bytes()})
    tag = {"hf_hub": "nobody/tagged/", "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5), "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "uni4d-plain", {"trained": tag})
    local = OpenClipText(cpu(f"local-dir:{folder}")).encode(TEXTS).pooled
    assert np.allclose(OpenClipText(cpu("uni4d-plain", "trained")).encode(TEXTS).pooled, local)


@pytest.fixture
def nothing_is_built(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing weights are noticed before a model of billions of parameters is built for them."""

    def build(*_: object, **__: object) -> None:
        raise AssertionError("a model was built without weights")

    monkeypatch.setattr(open_clip, "create_model", build)


HUB_SOURCES = [("EVA02-E-14-plus", "laion2b_s9b_b144k"), ("ViT-B-32", "openai"), ("hf-hub:nobody/no", "")]


@pytest.mark.usefixtures("empty_hub", "nothing_is_built")
@pytest.mark.parametrize(("model", "tag"), HUB_SOURCES)
def test_no_network_is_one_error_at_once(model: str, tag: str) -> None:
    with pytest.raises(Uni4DError, match="cannot be reached") as caught:
        OpenClipText(cpu(model, tag))
    assert caught.value.code == "weights-missing"
    assert "Connect this machine" in caught.value.cure
    assert model in caught.value.message


@pytest.mark.usefixtures("empty_hub", "nothing_is_built")
def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Uni4DError, match=r"does not answer|timed out") as caught:
            OpenClipImages(cpu("ViT-B-32", "openai"))
    assert caught.value.code == "weights-missing"


@pytest.mark.usefixtures("empty_hub", "nothing_is_built")
def test_the_offline_switch_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def ask(*_: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_probe", ask)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Uni4DError, match="HF_HUB_OFFLINE"):
        OpenClipText(cpu("ViT-B-32", "openai"))
    assert constants.HF_HUB_OFFLINE


# --- what can be wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.usefixtures("open_clip")
def test_damaged_files_are_clear_errors(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"<html>Not found</html>")
    with pytest.raises(Uni4DError, match="do not load") as caught:
        OpenClipText(cpu("uni4d-plain", path))
    assert caught.value.code == "weights-unreadable"
    assert str(path) in caught.value.message


def test_weights_of_another_architecture_are_refused(weights: Callable[[str], tuple[Any, Path]]) -> None:
    _, path = weights("uni4d-resnet")
    with pytest.raises(Uni4DError, match="do not load") as caught:
        OpenClipText(cpu("uni4d-plain", path))
    assert caught.value.code == "weights-unreadable"


class _Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.usefixtures("open_clip")
def test_pickled_objects_are_never_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "more": _Trap(tmp_path / "sprung")}, tmp_path / "weights.pt")
    with pytest.raises(Uni4DError) as caught:
        OpenClipText(cpu("uni4d-plain", tmp_path / "weights.pt"))
    assert caught.value.code == "weights-unreadable"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.usefixtures("open_clip", "nothing_is_built")
@pytest.mark.parametrize(
    ("model", "named", "code", "complaint"),
    [
        ("ViT-Z-99", "openai", "bad-setting", "no architecture 'ViT-Z-99'"),
        ("ViT-B-32", "nowhere.pt", "weights-missing", "neither a file nor a tag of ViT-B-32"),
        ("ViT-B-32", "pyproject.toml", "weights-unreadable", r"is none of \.pt"),
        ("local-dir:/nowhere", "", "weights-missing", "/nowhere is no folder"),
    ],
)
def test_wrong_settings_say_what_is_right(
    model: str, named: str, code: str, complaint: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(Uni4DError, match=complaint) as caught:
        OpenClipText(cpu(model, named))
    assert caught.value.code == code
    assert caught.value.cure


@pytest.mark.usefixtures("nothing_is_built")
def test_a_folder_without_weights_or_sense_is_refused(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").rename(folder / "elsewhere")
    with pytest.raises(Uni4DError, match="holds no weights"):
        OpenClipText(cpu(f"local-dir:{folder}"))
    (folder / "elsewhere").rename(folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(Uni4DError, match="no configuration of OpenCLIP") as caught:
        OpenClipText(cpu(f"local-dir:{folder}"))
    assert caught.value.code == "weights-unreadable"
