"""Clips from tiny random pipelines of the true classes, beside what ``diffusers`` itself makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from harness.tiny_videos import BUILDERS, SIZE, TEXT, TEXT_WIDTH, tiny_config
from PIL import Image
from torch import Tensor

from uni4d.config import AnimateConfig, Config, VideoConfig
from uni4d.pipeline.stages import Stages
from uni4d.video.diffusers import ConditioningAdapter, DiffusersVideo, adapter_loss, generate, load
from uni4d.video.diffusers.conditioning import save_adapter
from uni4d.video.diffusers.families import FAMILIES
from uni4d.video.diffusers.generate import denoise
from uni4d.video.diffusers.pipelines import Loaded, prepare
from uni4d.video.diffusers.prompts import encode, insert
from uni4d.video.scene import Scene
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent
from uni4d_shared.types import Array

pytestmark = pytest.mark.slow  # importing diffusers alone takes some seconds

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
TOKENS = np.random.default_rng(1).normal(size=(4, 12)).astype(np.float32)


@cache
def stock(name: str) -> Any:
    """The pipeline as ``diffusers`` has it; nothing here changes it."""
    return BUILDERS[name]()


def loaded(name: str, **changes: Any) -> Loaded:
    return prepare(FAMILIES[name], tiny_config(name, **changes), BUILDERS[name](), CPU)


def adapter_for(name: str, gate: float) -> ConditioningAdapter:
    torch.manual_seed(7)
    adapter = ConditioningAdapter(name, TOKENS.shape[1], TEXT_WIDTH)
    with torch.no_grad():
        adapter.gate.fill_(gate)
    return adapter


@cache
def plain(name: str, pipeline: Any = None) -> Array:
    """The frames of the stock pipeline, called as its documentation says: ``[T, H, W, 3]`` in [0, 1]."""
    config = tiny_config(name)
    own = {"frame_rate": 24, "decode_timestep": 0.05, "decode_noise_scale": 0.025} if name == "ltx" else {}
    length = {"max_sequence_length": 32} if name.startswith("cogvideox") else {}
    return (pipeline or stock(name))(
        image=Image.fromarray(IMAGE),
        prompt=TEXT,
        negative_prompt=config.negative_prompt,
        width=SIZE,
        height=SIZE,
        num_frames=config.frames,
        num_inference_steps=config.steps,
        guidance_scale=config.guidance,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
        **own,
        **length,
    ).frames[0]


def as_bytes(frames: Array) -> Array:
    return np.rint(255.0 * frames).astype(np.uint8)


# --- conditioning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_a_shut_gate_is_the_stock_pipeline_bit_for_bit(name: str) -> None:
    pipeline, adapter = loaded(name), adapter_for(name, 0.0)
    frames = generate(pipeline, IMAGE, TEXT, seed=3, adapter=adapter, tokens=TOKENS)
    assert frames.shape == (tiny_config(name).frames, SIZE, SIZE, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 1.0
    np.testing.assert_array_equal(frames, as_bytes(plain(name)))
    with torch.no_grad():
        prompt = insert(encode(pipeline, TEXT), adapter(torch.from_numpy(TOKENS)[None]), adapter.opened)
        exact = denoise(pipeline, IMAGE, prompt, 3)
    np.testing.assert_array_equal(exact, plain(name))


@pytest.mark.parametrize("name", BUILDERS)
def test_an_open_gate_changes_the_frames(name: str) -> None:
    pipeline = loaded(name)
    adapter = adapter_for(name, 2.0)
    frames = generate(pipeline, IMAGE, TEXT, seed=3, adapter=adapter, tokens=TOKENS)
    assert (frames != as_bytes(plain(name))).any()
    if name == "ltx":  # whose mask alone changes something
        other = generate(pipeline, IMAGE, TEXT, seed=3, adapter=adapter, tokens=-TOKENS)
        assert (frames != other).any(), "the tokens themselves matter"


@pytest.mark.parametrize("name", BUILDERS)
def test_tokens_go_into_the_padding_only(name: str) -> None:
    prompt = encode(loaded(name), TEXT)
    slots = torch.full((1, 4, TEXT_WIDTH), 9.0)
    changed = insert(prompt, slots)
    assert prompt.words == 6, "five words and the end of the sentence"
    expected = prompt.embeds.clone()
    for slot in range(4):
        expected[:, prompt.words + slot] += 9.0
    assert torch.equal(changed.embeds, expected)
    assert changed.negative is prompt.negative
    if name == "ltx":
        assert prompt.mask is not None
        assert changed.mask is not None
        assert prompt.mask[0].nonzero().flatten().tolist() == list(range(6))
        assert changed.mask[0].nonzero().flatten().tolist() == list(range(10))
    else:
        assert changed.mask is None


def test_an_adapter_for_another_text_encoder_is_refused() -> None:
    wider = ConditioningAdapter("ltx", TOKENS.shape[1], 2 * TEXT_WIDTH)
    with pytest.raises(Uni4DError, match="32 numbers") as caught:
        generate(loaded("ltx"), IMAGE, TEXT, adapter=wider, tokens=TOKENS)
    assert "video.ltx.adapter" in caught.value.cure


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    prompt = encode(loaded("cogvideox"), "a bear " * 15)
    with pytest.raises(Uni4DError, match="31 of 32 slots") as caught:
        insert(prompt, torch.zeros(1, 4, TEXT_WIDTH))
    assert caught.value.code == "prompt-too-long"


# --- progress, cancellation, seeds --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_a_cancelled_clip_ends_between_two_steps_and_leaves_nothing_behind(name: str) -> None:
    pipeline = loaded(name, cache="first-block", cache_threshold=0.0)
    calls: list[int] = []
    pipeline.pipeline.transformer.register_forward_pre_hook(lambda *_: calls.append(1))

    def stop(fraction: float, message: str) -> None:
        if message == "denoising step 2 of 3":
            raise Cancelled

    with pytest.raises(Cancelled):
        generate(pipeline, IMAGE, TEXT, seed=3, progress=stop)
    assert len(calls) == (4 if name == "wan" else 2), "Wan asks twice a step, with and without the prompt"

    seen: list[tuple[float, str]] = []
    whole = generate(pipeline, IMAGE, TEXT, seed=3, progress=lambda *told: seen.append(told))
    np.testing.assert_array_equal(whole, as_bytes(plain(name)))
    steps = [message for _, message in seen if message.startswith("denoising step")]
    assert steps == [f"denoising step {step} of 3" for step in (1, 2, 3)]
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_seed_decides() -> None:
    pipeline = loaded("wan")
    one, again, two = (generate(pipeline, IMAGE, TEXT, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()


def test_words_guidance_and_the_negative_prompt_matter() -> None:
    usual = generate(loaded("ltx"), IMAGE, TEXT)
    for changes in ({"negative_prompt": "lamp"}, {"guidance": 1.0}, {"steps": 2}):
        assert (generate(loaded("ltx", **changes), IMAGE, TEXT) != usual).any(), changes
    assert (generate(loaded("ltx"), IMAGE, "lamp") != usual).any()


# --- memory and speed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("offload", ["model", "group"])
@pytest.mark.parametrize("name", ["cogvideox", "wan", "ltx"])
def test_offloading_changes_no_frame(name: str, offload: str) -> None:
    frames = generate(loaded(name, offload=offload), IMAGE, TEXT, seed=3)
    np.testing.assert_array_equal(frames, as_bytes(plain(name)))


@pytest.mark.parametrize("name", BUILDERS)
def test_steps_are_reused_where_little_changes(name: str) -> None:
    def run(threshold: float) -> tuple[Array, int]:
        pipeline = loaded(name, cache="first-block", cache_threshold=threshold)
        transformer = pipeline.pipeline.transformer
        blocks = transformer.blocks if name == "wan" else transformer.transformer_blocks
        inner = blocks[-1].norm1.register_forward_pre_hook(lambda *_: calls.append(1))
        calls: list[int] = []
        frames = generate(pipeline, IMAGE, TEXT, seed=3)
        inner.remove()
        return frames, len(calls)

    always, computed = run(0.0)
    np.testing.assert_array_equal(always, as_bytes(plain(name)))
    reused, fewer = run(10.0)
    assert (computed, fewer) == ((6, 2) if name == "wan" else (3, 1))
    assert reused.shape == always.shape


@pytest.mark.parametrize("name", BUILDERS)
def test_tiles_are_asked_for(name: str) -> None:
    pipeline = loaded(name, vae_tiling=True)
    assert pipeline.pipeline.vae.use_tiling
    if name == "wan":
        assert generate(pipeline, IMAGE, TEXT, seed=3).shape == plain(name).shape


def test_too_little_memory_is_an_error_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = loaded("ltx")

    def burst(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline.pipeline.transformer, "forward", burst)
    with pytest.raises(Uni4DError, match="does not fit") as caught:
        generate(pipeline, IMAGE, TEXT)
    assert caught.value.code == "gpu-memory"
    assert "video.ltx.offload" in caught.value.cure


def test_frames_that_are_no_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = loaded("ltx")
    with torch.no_grad():
        pipeline.pipeline.vae.decoder.conv_out.conv.bias.fill_(torch.nan)
    with pytest.raises(Uni4DError, match="not numbers") as caught:
        generate(pipeline, IMAGE, TEXT)
    assert "precision" in caught.value.cure


# --- weights on disk, and the stage -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``folders(name)``: the tiny pipeline as ``save_pretrained`` writes it."""
    base = tmp_path_factory.mktemp("weights")

    def folder(name: str) -> Path:
        if not (base / name).exists():
            stock(name).save_pretrained(base / name)
        return base / name

    return folder


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_of_weights_makes_the_same_clip(name: str, folders: Callable[[str], Path]) -> None:
    pipeline = load(name, tiny_config(name, weights=str(folders(name))))
    same = type(stock(name)).from_pretrained(folders(name))
    np.testing.assert_array_equal(generate(pipeline, IMAGE, TEXT, seed=3), as_bytes(plain(name, same)))
    assert not any(p.requires_grad for p in pipeline.pipeline.transformer.parameters())


def test_each_part_has_its_precision(folders: Callable[[str], Path]) -> None:
    pipeline = load("wan", tiny_config("wan", weights=str(folders("wan")), precision="bf16")).pipeline
    assert pipeline.vae.dtype == torch.float32
    assert pipeline.transformer.dtype == torch.bfloat16
    assert pipeline.text_encoder.dtype == torch.bfloat16


def test_the_stage_films_the_photograph(scene: Scene, folders: Callable[[str], Path], tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.safetensors"
    save_adapter(adapter_for("ltx", 1.0), adapter)
    settings = tiny_config("ltx", weights=str(folders("ltx")), width=96)
    model = DiffusersVideo("ltx", settings)
    seen: list[float] = []
    animated = model.animate(scene, AnimateConfig(seed=5), lambda done, _: seen.append(done))
    clip = animated.clip
    assert clip.frames.shape == (9, SIZE, 96, 3)
    assert clip.fps == 24.0
    assert clip.camera is not None
    assert (clip.camera.width, clip.camera.height) == (96, SIZE)
    assert "LTX-Video" in clip.description
    assert animated.program["model"]["seed"] == 5
    assert seen == sorted(seen)

    stages = Stages(Config(video=VideoConfig(ltx=settings)))
    asked = (scene.query, "", scene.views, scene.alignment, silent)
    answer = stages.animate(*asked, settings={"model": "ltx", "seed": 5})
    np.testing.assert_array_equal(answer.clip.frames, clip.frames)
    assert answer.program == animated.program

    with_tokens = attrs.evolve(scene, tokens=TOKENS)
    ignored = model.animate(with_tokens, AnimateConfig(seed=5))
    np.testing.assert_array_equal(ignored.clip.frames, clip.frames)
    assert any("no adapter" in note for note in ignored.program["notes"])

    conditioned = DiffusersVideo("ltx", attrs.evolve(settings, adapter=adapter))
    assert (conditioned.animate(with_tokens, AnimateConfig(seed=5)).clip.frames != clip.frames).any()
    with pytest.raises(Uni4DError, match="made no tokens") as caught:
        conditioned.animate(scene, AnimateConfig())
    assert caught.value.code == "conditioning-missing"


def test_a_size_that_the_transformer_has_not_learnt_is_refused() -> None:
    with pytest.raises(Uni4DError, match=r"96 × 32, but .* makes 32 × 32 only") as caught:
        loaded("cogvideox", width=96)
    assert caught.value.code == "bad-setting"


def test_damaged_weights_are_called_so(folders: Callable[[str], Path], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "cut"
    shutil.copytree(folders("wan"), folder)
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(Uni4DError, match="does not load as Wan") as caught:
        load("wan", tiny_config("wan", weights=str(folder)))
    assert caught.value.code == "weights-unreadable"


# --- training -----------------------------------------------------------------------------------------------


@pytest.fixture
def clip_of() -> Iterator[Callable[[str], Array]]:
    def make(name: str) -> Array:
        count = tiny_config(name).frames
        return np.random.default_rng(2).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)

    yield make


@pytest.mark.parametrize("name", BUILDERS)
def test_the_loss_trains_the_adapter_and_nothing_else(name: str, clip_of: Callable[[str], Array]) -> None:
    pipeline, adapter = loaded(name), adapter_for(name, 0.0)
    before = [p.clone() for p in pipeline.pipeline.transformer.parameters()]
    optimiser = torch.optim.Adam(adapter.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        generator = torch.Generator().manual_seed(4)
        loss = adapter_loss(pipeline, adapter, clip_of(name), TEXT, TOKENS, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(np.isfinite(losses))
    assert 0.1 < losses[0] < 20.0
    assert losses[-1] < losses[0]
    assert adapter.opened
    after = list(pipeline.pipeline.transformer.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    for part in ("transformer", "text_encoder", "vae"):
        assert all(p.grad is None for p in getattr(pipeline.pipeline, part).parameters())


@pytest.mark.parametrize("name", BUILDERS)
def test_a_transformer_that_knows_the_clip_has_no_loss(
    name: str, clip_of: Callable[[str], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The formulas turned round: what is wanted follows from the noisy latents and the clean ones."""
    pipeline = loaded(name)
    transformer, vae = pipeline.pipeline.transformer, pipeline.pipeline.vae
    video = torch.from_numpy(clip_of(name)).permute(3, 0, 1, 2)[None] / 127.5 - 1.0
    with torch.no_grad():
        clean = vae.encode(video).latent_dist.mode()
    moments = []

    def knows(hidden_states: Tensor, timestep: Tensor, **_: Any) -> tuple[Tensor]:
        moments.append(float(timestep.max()))
        if name.startswith("cogvideox"):
            alpha = pipeline.pipeline.scheduler.alphas_cumprod[timestep]
            known = vae.config.scaling_factor * clean.transpose(1, 2)
            known = torch.cat([known[:, :1]] * (hidden_states.shape[1] - known.shape[1]) + [known], dim=1)
            return ((alpha.sqrt() * hidden_states[:, :, :4] - known) / (1 - alpha).sqrt(),)
        if name == "wan":
            return (1000.0 * (hidden_states - (clean - 0.1) / 0.9) / timestep.max(),)
        mean, deviation = (x.view(1, -1, 1, 1, 1) for x in (vae.latents_mean, vae.latents_std))
        packed = ((clean - mean) / deviation).flatten(2).transpose(1, 2)
        return (1000.0 * (hidden_states - packed) / timestep.max(),)

    monkeypatch.setattr(transformer, "forward", knows)
    for seed in (1, 2):
        arguments = (clip_of(name), TEXT, TOKENS, torch.Generator().manual_seed(seed))
        assert adapter_loss(pipeline, adapter_for(name, 0.0), *arguments).item() < 1e-4
    assert moments[0] != moments[1]


def test_a_clip_of_another_size_does_not_train() -> None:
    frames = np.zeros((8, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(Uni4DError, match=r"4k \+ 1 frames") as caught:
        adapter_loss(loaded("wan"), adapter_for("wan", 0.0), frames, TEXT, TOKENS, torch.Generator())
    assert caught.value.code == "bad-setting"
