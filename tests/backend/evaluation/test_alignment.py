"""The worth of alignment, measured where it is known."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from uni4d.alignment.crossma import Crossma, CrossmaConfig
from uni4d.alignment.weights import CrossmaWeights
from uni4d.evaluation.alignment import LEVELS, Variant, measure_alignment, percentiles
from uni4d.evaluation.alignment_report import write_alignment_report
from uni4d.training.crossma import AlignedObjects, AlignedPictures, CrossmaTrainConfig, all_pairs
from uni4d.training.crossma_training import CrossFitted, mismatched_quantiles, train_crossma
from uni4d.training.loop import LoopConfig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

COUNT, VIEWS, JOINT, TEXT, LOOK = 40, 3, 24, 10, 16
CONFIG = CrossmaTrainConfig(
    CrossmaConfig(text_width=TEXT, view_width=LOOK, joint=JOINT, width=24, heads=2, conditioning=8),
    LoopConfig(steps=60, batch=16, learning_rate=3e-3, temperature=0.1, warmup=5, validate_every=30),
)


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def objects(seed: int, noise: float) -> AlignedObjects:
    """T, M and I_v are noisy images of one meaning; tokens and looks are linear images of it."""
    random, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    meaning = random.normal(size=(COUNT, JOINT))
    to_token, to_look = fixed.normal(size=(JOINT, TEXT)), fixed.normal(size=(JOINT, LOOK))

    def noisy(values: np.ndarray) -> np.ndarray:
        return values + noise * random.normal(size=values.shape)

    per_view = np.repeat(meaning[:, None], VIEWS, axis=1)
    mask = np.ones((COUNT, 2), bool)
    mask[::2, 1] = False
    return AlignedObjects(
        tuple(f"thing {seed} {number}" for number in range(COUNT)),
        tuple(f"group {seed} {number}" for number in range(COUNT)),
        noisy(np.repeat((meaning @ to_token)[:, None], 2, axis=1)).astype(np.float32),
        mask,
        noisy(per_view @ to_look).astype(np.float32),
        unit(noisy(meaning)),
        unit(noisy(meaning)),
        unit(noisy(per_view)),
    )


@pytest.fixture(scope="module")
def trained() -> CrossmaWeights:
    return train_crossma(CrossFitted(objects(1, 0.7), objects(2, 0.7)), CONFIG, 0, silent)


def test_what_belongs_together_agrees_better(trained: CrossmaWeights) -> None:
    held = objects(3, 0.7)
    full, blind = measure_alignment(
        held,
        [Variant("full", LEVELS["full"], trained.model), Variant("none", (0.0, 1.0, 0.0), None)],
    )
    assert full.texts.mean > 0.95
    assert full.objects.mean > 0.95
    np.testing.assert_allclose(full.attention.sum(axis=1), 1.0, rtol=1e-5)
    # Without a level that the text is part of, no text is better than another.
    assert blind.texts.mean == 0.0


def unseen(things: AlignedObjects, seed: int) -> AlignedObjects:
    """With vectors of the views that say nothing: what a picture shows must be learnt from its looks."""
    noise = np.random.default_rng(seed).normal(size=things.images.shape)
    return attrs.evolve(things, images=unit(noise))


def test_named_pictures_widen_what_few_objects_teach() -> None:
    """Four objects teach little; pictures of forty other things, which have no mesh, teach more."""
    few, held, many = (unseen(objects(seed, 0.3), seed) for seed in (1, 3, 8))
    few = few.rows(np.arange(4))
    pictures = AlignedPictures(
        many.names, many.tokens, many.mask, many.views[:, :1], many.texts, many.images[:, :1]
    )
    config = attrs.evolve(CONFIG, loop=attrs.evolve(CONFIG.loop, batch=4, steps=40), text_shape=0.0)

    def worth(shown: AlignedPictures | None) -> float:
        weights = train_crossma(CrossFitted(few, held, shown), config, 0, silent)
        (figures,) = measure_alignment(held, [Variant("image-text", (0.0, 0.0, 1.0), weights.model)])
        return figures.texts.mean

    assert worth(pictures) > worth(None) + 0.05


def test_padding_that_no_name_needs_changes_nothing() -> None:
    known = objects(1, 0.7)
    padded, mask = np.pad(known.tokens, ((0, 0), (0, 5), (0, 0))), np.pad(known.mask, ((0, 0), (0, 5)))
    pictures = AlignedPictures(known.names, padded, mask, known.views, known.texts, known.images)
    assert pictures.trimmed.tokens.shape[1] == known.tokens.shape[1]
    torch.manual_seed(0)
    model = Crossma(CONFIG.model).eval()
    torch.nn.init.normal_(model.to_vector.weight, std=0.2)
    torch.testing.assert_close(all_pairs(model, pictures.trimmed).vector, all_pairs(model, pictures).vector)


def test_a_training_with_pictures_does_not_go_on_from_one_without(tmp_path: Path) -> None:
    known = objects(1, 0.7)
    pictures = AlignedPictures(
        known.names, known.tokens, known.mask, known.views[:, :1], known.texts, known.images[:, :1]
    )
    config = attrs.evolve(CONFIG, loop=attrs.evolve(CONFIG.loop, steps=2, warmup=1))
    train_crossma(CrossFitted(known, known), config, 0, silent, folder=tmp_path)
    with pytest.raises(Uni4DError, match="pictures"):
        train_crossma(CrossFitted(known, known, pictures), config, 0, silent, folder=tmp_path)


def test_percentiles_are_flat_for_mismatches_and_high_for_matches(trained: CrossmaWeights) -> None:
    places = percentiles(objects(4, 0.7), trained)
    assert np.median(places["matches"]) > 90.0
    assert abs(np.median(places["mismatches"]) - 50.0) < 12.0


def test_the_scale_of_scores_is_that_of_the_mismatches() -> None:
    torch.manual_seed(0)
    scale = mismatched_quantiles(Crossma(CONFIG.model).eval(), objects(6, 0.7))
    assert scale.shape == (101,)
    assert (np.diff(scale) >= 0.0).all()
    assert scale[0] > 0.0


def test_the_report_has_a_row_per_variant_and_a_tile_per_object(
    trained: CrossmaWeights, tmp_path: Path
) -> None:
    held = objects(3, 0.7)
    variants = [Variant(name, levels, trained.model) for name, levels in LEVELS.items()]
    pictures = {row: np.full((VIEWS, 32, 32, 4), 200, np.uint8) for row in (0, 7)}
    told = write_alignment_report(
        tmp_path, measure_alignment(held, variants), percentiles(held, trained), held.names, pictures
    )
    assert [row["variant"] for row in told["variants"]] == list(LEVELS)
    assert "without image-text" in (tmp_path / "alignment.md").read_text()
    with Image.open(tmp_path / "views.png") as sheet:
        assert sheet.width == 132 * (len(LEVELS) + 1)
