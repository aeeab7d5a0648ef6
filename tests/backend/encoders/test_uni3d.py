"""Uni3D: published names and shapes, and the numbers of a plain re-implementation."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from uni4d.encoders.full import Uni3D, Uni3DConfig, uni3d_network
from uni4d.encoders.full.uni3d_network import SIZES, UNUSED, Uni3DNetwork
from uni4d_shared.errors import Uni4DError

Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]

# Of each published size: width, depth, heads, hidden width, form of the feed-forward network, patches along a
# picture's side, classes of the head. From baaivision/Uni3D (models/, scripts/) and timm 0.9.7, the version
# that its README names; for the same models in the timm installed here see test_blocks_agree_with_timm.
PUBLISHED = {
    "ti": (192, 12, 3, 512, "glu", 16, 0),
    "s": (384, 12, 6, 1_024, "glu", 16, 0),
    "b": (768, 12, 12, 2_048, "swiglu", 32, 1_000),
    "l": (1_024, 24, 16, 2_730, "swiglu", 32, 1_000),
    "g": (1_408, 40, 16, 6_144, "gelu", 40, 1_000),
}


def published_shapes(size: str, depth: int | None = None) -> Shapes:
    """Every name and shape in a published checkpoint's ``module``."""
    width, blocks, _, hidden, feed, side, classes = PUBLISHED[size]
    shapes: Shapes = {"logit_scale": ()}

    def linear(name: str, rows: int, columns: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (rows, columns)
        if bias:
            shapes[f"{name}.bias"] = (rows,)

    def norm(name: str, length: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (length,)

    def two_convolutions(name: str, first: int, middle: int, last: int) -> None:
        shapes[f"{name}.0.weight"], shapes[f"{name}.0.bias"] = (middle, first, 1), (middle,)
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.1.{key}"] = (middle,)
        shapes[f"{name}.1.num_batches_tracked"] = ()
        shapes[f"{name}.3.weight"], shapes[f"{name}.3.bias"] = (last, middle, 1), (last,)

    points = "point_encoder"
    shapes[f"{points}.cls_token"] = shapes[f"{points}.cls_pos"] = (1, 1, width)
    two_convolutions(f"{points}.encoder.first_conv", 6, 128, 256)
    two_convolutions(f"{points}.encoder.second_conv", 512, 512, 512)
    linear(f"{points}.encoder2trans", width, 512)
    linear(f"{points}.trans2embed", 1_024, width)
    linear(f"{points}.pos_embed.0", 128, 3)
    linear(f"{points}.pos_embed.2", width, 128)

    visual = f"{points}.visual"
    shapes[f"{visual}.cls_token"] = (1, 1, width)
    shapes[f"{visual}.pos_embed"] = (1, side * side + 1, width)
    shapes[f"{visual}.patch_embed.proj.weight"] = (width, 3, 14, 14)
    shapes[f"{visual}.patch_embed.proj.bias"] = (width,)
    norm(f"{visual}.fc_norm", width)
    if classes:
        linear(f"{visual}.head", classes, width)
    for index in range(depth or blocks):
        block = f"{visual}.blocks.{index}"
        norm(f"{block}.norm1", width)
        norm(f"{block}.norm2", width)
        if feed == "swiglu":
            linear(f"{block}.attn.q_proj", width, width)
            linear(f"{block}.attn.k_proj", width, width, bias=False)
            linear(f"{block}.attn.v_proj", width, width)
            linear(f"{block}.mlp.fc1_g", hidden, width)
            linear(f"{block}.mlp.fc1_x", hidden, width)
            norm(f"{block}.mlp.norm", hidden)
        else:
            linear(f"{block}.attn.qkv", 3 * width, width, bias=False)
            shapes[f"{block}.attn.q_bias"] = shapes[f"{block}.attn.v_bias"] = (width,)
            linear(f"{block}.mlp.fc1", 2 * hidden if feed == "glu" else hidden, width)
        linear(f"{block}.attn.proj", width, width)
        linear(f"{block}.mlp.fc2", width, hidden)
    return shapes


@pytest.mark.parametrize("size", PUBLISHED)
def test_every_size_has_the_published_names_and_shapes(size: str) -> None:
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in Uni3DNetwork(SIZES[size]).state_dict().items()}
    published = published_shapes(size)
    assert {name: shape for name, shape in published.items() if name not in UNUSED} == ours


# --- a plain re-implementation ---------------------------------------------------------------------------


def random_checkpoint(shapes: Shapes, seed: int = 0) -> State:
    """Parameters of sizes that keep activations near one, so that every part of the network shows."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1_000)
        elif name.endswith("running_var"):
            state[name] = 0.5 + noise.abs()
        elif name.endswith("weight") and len(shape) == 1:
            state[name] = 1.0 + 0.2 * noise
        elif len(shape) >= 2 and not name.endswith(("cls_token", "cls_pos")):
            state[name] = noise / math.sqrt(math.prod(shape[1:]))
        else:
            state[name] = 0.2 * noise
    return state


def reference(
    state: State, size: str, depth: int, points: np.ndarray[Any, Any], colors: np.ndarray[Any, Any]
) -> Tensor:
    """The tokens ``[1 + groups, 1024]`` of one cloud ``[N, 3]``, step by step as Uni3D's sources do it."""
    width, _, heads, _, feed, *_ = PUBLISHED[size]
    groups, group_size = uni3d_network.GROUPS, uni3d_network.GROUP_SIZE
    pe = {name.removeprefix("point_encoder."): value.double() for name, value in state.items()}

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ pe[f"{name}.weight"].T + pe[f"{name}.bias"]

    def layer_norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + 1e-6)
        return scaled * pe[f"{name}.weight"] + pe[f"{name}.bias"]

    def convolutions(x: Tensor, name: str) -> Tensor:
        x = x @ pe[f"{name}.0.weight"][:, :, 0].T + pe[f"{name}.0.bias"]
        x = (x - pe[f"{name}.1.running_mean"]) / torch.sqrt(pe[f"{name}.1.running_var"] + 1e-5)
        x = torch.relu(x * pe[f"{name}.1.weight"] + pe[f"{name}.1.bias"])
        return x @ pe[f"{name}.3.weight"][:, :, 0].T + pe[f"{name}.3.bias"]

    # Farthest points, by the rules of the CUDA kernel; then the nearest neighbours of each.
    cloud = points.astype(np.float64)
    chosen, gaps = [0], np.full(len(cloud), 1e10)
    pickable = (cloud**2).sum(axis=1) > 1e-3
    while len(chosen) < groups:
        gaps = np.minimum(gaps, ((cloud - cloud[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.where(pickable, gaps, -1.0).argmax()))
    members = []
    for centre in cloud[chosen]:
        near = np.argsort(((cloud - centre) ** 2).sum(axis=1))[:group_size]
        members.append(np.concatenate([cloud[near] - centre, colors[near]], axis=1))
    patches = torch.tensor(np.stack(members))  # [groups, group_size, 6]

    x = convolutions(patches, "encoder.first_conv")
    x = torch.cat([x.amax(dim=1, keepdim=True).expand(-1, group_size, -1), x], dim=2)
    x = linear(convolutions(x, "encoder.second_conv").amax(dim=1), "encoder2trans")
    position = linear(torch.tensor(cloud[chosen]), "pos_embed.0")
    position = 0.5 * position * (1 + torch.erf(position / math.sqrt(2)))
    x = x + linear(position, "pos_embed.2")
    x = torch.cat([(pe["cls_token"] + pe["cls_pos"])[0], x])

    for index in range(depth):
        block = f"visual.blocks.{index}"
        y = layer_norm(x, f"{block}.norm1")
        if feed == "swiglu":
            queries = linear(y, f"{block}.attn.q_proj")
            keys = y @ pe[f"{block}.attn.k_proj.weight"].T
            values = linear(y, f"{block}.attn.v_proj")
        else:
            queries, keys, values = (y @ pe[f"{block}.attn.qkv.weight"].T).split(width, dim=1)
            queries, values = queries + pe[f"{block}.attn.q_bias"], values + pe[f"{block}.attn.v_bias"]
        mixed = []
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            scores = queries[:, part] @ keys[:, part].T / math.sqrt(width // heads)
            weights = torch.exp(scores - scores.amax(dim=1, keepdim=True))
            mixed.append(weights / weights.sum(dim=1, keepdim=True) @ values[:, part])
        x = x + linear(torch.cat(mixed, dim=1), f"{block}.attn.proj")
        y = layer_norm(x, f"{block}.norm2")
        if feed == "gelu":
            y = linear(y, f"{block}.mlp.fc1")
            y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
        elif feed == "glu":
            gate, y = linear(y, f"{block}.mlp.fc1").chunk(2, dim=1)
            y = gate * torch.sigmoid(gate) * y
        else:
            gate = linear(y, f"{block}.mlp.fc1_g")
            y = gate * torch.sigmoid(gate) * linear(y, f"{block}.mlp.fc1_x")
            y = layer_norm(y, f"{block}.mlp.norm")
        x = x + linear(y, f"{block}.mlp.fc2")
    return linear(layer_norm(x, "visual.fc_norm"), "trans2embed")


def coloured_clouds(count: int, length: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], ...]:
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, length, 3)).astype(np.float32)
    points /= np.linalg.norm(points, axis=2).max(axis=1)[:, None, None]
    return points, generator.random((count, length, 3), dtype=np.float32)


def save(state: State, path: Path) -> Path:
    """As DeepSpeed saves: the parameters in ``module``, beside counters and settings."""
    module = OrderedDict((f"module.{name}", value) for name, value in state.items())
    more = {"epoch": 200, "best_acc1": 55.3, "ds_config": {"fp16": {"enabled": True}}, "names": {"a"}}
    torch.save({"module": module, "param_shapes": [OrderedDict(a=torch.Size([2]))], **more}, path)
    return path


def cpu(size: str, weights: Path, **more: Any) -> Uni3D:
    return Uni3D(Uni3DConfig(size=size, weights=str(weights), device="cpu", precision="fp32", **more))


@pytest.fixture
def few_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network over a tenth of the patches, to be quick."""
    monkeypatch.setattr(uni3d_network, "GROUPS", 48)
    monkeypatch.setattr(uni3d_network, "GROUP_SIZE", 16)


@pytest.fixture(scope="module")
def tiny_state() -> State:
    return random_checkpoint(published_shapes("ti"))


@pytest.fixture(scope="module")
def tiny_file(tiny_state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny_state, tmp_path_factory.mktemp("uni3d") / "model.pt")


@pytest.fixture(scope="module")
def tiny(tiny_file: Path) -> Uni3D:
    return cpu("ti", tiny_file)


def assert_reproduces(encoder: Uni3D, state: State, size: str, depth: int) -> None:
    points, colors = coloured_clouds(1, 2_000)
    encoded = encoder.encode(points, colors)
    assert encoded.tokens.shape == (1, 1 + uni3d_network.GROUPS, 1_024)
    assert encoded.mask.all()
    expected = reference(state, size, depth, points[0], colors[0]).numpy()
    assert np.abs(expected).mean() > 0.1
    assert np.abs(encoded.tokens[0] - expected).max() < 1e-4
    assert np.abs(encoded.pooled[0] - expected[0] / np.linalg.norm(expected[0])).max() < 1e-4


@pytest.mark.usefixtures("few_groups")
def test_tiny_reproduces_the_reference(tiny: Uni3D, tiny_state: State) -> None:
    assert_reproduces(tiny, tiny_state, "ti", 12)


@pytest.mark.slow
def test_tiny_with_all_its_groups_reproduces_the_reference(tiny: Uni3D, tiny_state: State) -> None:
    assert uni3d_network.GROUPS == 512 and uni3d_network.GROUP_SIZE == 64
    assert_reproduces(tiny, tiny_state, "ti", 12)


@pytest.mark.slow
@pytest.mark.usefixtures("few_groups")
@pytest.mark.parametrize("size", ["s", "b", "l", "g"])
def test_other_layouts_reproduce_the_reference(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layout at its full width, two blocks deep."""
    monkeypatch.setitem(SIZES, size, attrs.evolve(SIZES[size], depth=2))
    state = random_checkpoint(published_shapes(size, depth=2))
    assert_reproduces(cpu(size, save(state, tmp_path / "model.pt")), state, size, 2)


@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED)
def test_blocks_agree_with_timm(size: str) -> None:
    """The blocks and the last norm are timm's, also with its names, in the version installed here."""
    from uni4d.encoders.full.extra import import_extra

    timm = import_extra("timm")
    _, depth, *_ = PUBLISHED[size]
    name = {
        "ti": "eva02_tiny_patch14_224",
        "s": "eva02_small_patch14_224",
        "b": "eva02_base_patch14_448",
        "l": "eva02_large_patch14_448",
        "g": "eva_giant_patch14_560",
    }[size]
    prefix = "point_encoder.visual."
    shapes = {
        name.removeprefix(prefix): shape for name, shape in published_shapes(size).items() if prefix in name
    }
    with torch.device("meta"):
        whole = timm.create_model(name)
    assert {key: tuple(value.shape) for key, value in whole.state_dict().items()} == shapes
    assert len(whole.blocks) == depth

    shallow = timm.create_model(name, depth=1)
    network = Uni3DNetwork(attrs.evolve(SIZES[size], depth=1))
    state = random_checkpoint(
        {k: v for k, v in shapes.items() if not k.startswith("blocks.") or ".0." in k[:9]}
    )
    shallow.load_state_dict(state)
    used = {k: v for k, v in state.items() if k.startswith(("blocks.", "fc_norm."))}
    network.point_encoder.visual.load_state_dict(used)
    tokens = torch.randn(2, 20, SIZES[size].width)
    with torch.inference_mode():
        expected = shallow.eval().fc_norm(shallow.norm(shallow.blocks[0](tokens)))
        assert torch.allclose(network.point_encoder.visual(tokens), expected, atol=1e-4)


# --- use -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_groups")
def test_batches_and_company_change_nothing(tiny: Uni3D, tiny_file: Path) -> None:
    points, colors = coloured_clouds(3, 1_000, seed=3)
    together = tiny.encode(points, colors).pooled
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(cpu("ti", tiny_file, batch=1).encode(points, colors).pooled, together, atol=1e-5)
    assert len(tiny.encode(points[:0], colors[:0]).tokens) == 0


@pytest.mark.usefixtures("few_groups")
def test_colour_and_shape_matter(tiny: Uni3D) -> None:
    points, colors = coloured_clouds(1, 1_000, seed=4)
    same, painted, squeezed = tiny.encode(
        np.concatenate([points, points, points * np.float32([1, 0.3, 1])]),
        np.concatenate([colors, 1 - colors, colors]),
    ).pooled
    assert not np.allclose(same, painted, atol=1e-3)
    assert not np.allclose(same, squeezed, atol=1e-3)


@pytest.mark.usefixtures("few_groups")
def test_bfloat16_is_near(tiny: Uni3D, tiny_file: Path) -> None:
    points, colors = coloured_clouds(1, 1_000, seed=5)
    config = Uni3DConfig(size="ti", weights=str(tiny_file), device="cpu", precision="bf16")
    half = Uni3D(config).encode(points, colors)
    assert half.pooled.dtype == half.tokens.dtype == np.float32
    assert (half.pooled * tiny.encode(points, colors).pooled).sum() > 0.99


@pytest.mark.usefixtures("few_groups")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_bare_and_safetensors_checkpoints_load_too(
    suffix: str, tiny: Uni3D, tiny_state: State, tmp_path: Path
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save(tiny_state, path)
    else:
        from safetensors.torch import save_file

        save_file(tiny_state, path)
    points, colors = coloured_clouds(1, 600, seed=6)
    assert np.array_equal(cpu("ti", path).encode(points, colors).tokens, tiny.encode(points, colors).tokens)


def _without_a_norm(state: State) -> State:
    return {name: value for name, value in state.items() if "fc_norm.bias" not in name}


def _with_a_stranger(state: State) -> State:
    return {**state, "point_encoder.visual.rope.bands": torch.ones(3)}


def _with_another_shape(state: State) -> State:
    return {**state, "point_encoder.trans2embed.bias": torch.ones(512)}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_without_a_norm, r"fc_norm\.bias is missing"),
        (_with_a_stranger, r"rope\.bands is unknown"),
        (_with_another_shape, r"trans2embed\.bias is \(512,\), not \(1024,\)"),
    ],
)
def test_loading_is_strict(
    change: Callable[[State], State], complaint: str, tiny_state: State, tmp_path: Path
) -> None:
    path = save(change(tiny_state), tmp_path / "model.pt")
    with pytest.raises(Uni4DError, match=complaint) as caught:
        cpu("ti", path)
    assert caught.value.code == "weights-unreadable"


def test_a_file_of_another_size_is_refused(tiny_file: Path) -> None:
    with pytest.raises(Uni4DError, match="no checkpoint of Uni3D's size 'b'") as caught:
        cpu("b", tiny_file)
    assert "and" in caught.value.message and "more" in caught.value.message


class _Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickled_objects_are_never_run(tiny_state: State, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"module": tiny_state, "args": _Trap(tmp_path / "sprung")}, path)
    with pytest.raises(Uni4DError, match="Python objects") as caught:
        cpu("ti", path)
    assert caught.value.code == "weights-unreadable"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"PK\x03\x04 cut off"])
def test_damaged_files_are_clear_errors(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Uni4DError, match=name) as caught:
        cpu("ti", tmp_path / name)
    assert caught.value.code == "weights-unreadable"


def test_a_missing_file_names_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError, match=r"modelzoo/uni3d-l/model\.pt") as caught:
        cpu("l", tmp_path / "nowhere.pt")
    assert caught.value.code == "weights-missing"


@pytest.mark.parametrize("fault", ["nan", "far", "bytes"])
def test_clouds_of_other_conventions_are_refused(fault: str, tiny: Uni3D) -> None:
    points, colors = coloured_clouds(1, 600)
    if fault == "nan":
        points[0, 5] = np.nan
    elif fault == "far":
        points *= 20
    else:
        colors *= 255
    with pytest.raises(Uni4DError) as caught:
        tiny.encode(points, colors)
    assert caught.value.code == "cloud-invalid"


def test_too_few_points_are_refused(tiny: Uni3D) -> None:
    points, colors = coloured_clouds(1, 300)
    with pytest.raises(Uni4DError, match="512 centres") as caught:
        tiny.encode(points, colors)
    assert caught.value.code == "points-too-few"
