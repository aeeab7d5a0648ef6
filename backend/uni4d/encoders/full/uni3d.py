"""Uni3D as a frozen point encoder: its configuration, its weights, batches in and out."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from uni4d.encoders.full.devices import PRECISIONS, place
from uni4d.encoders.full.hub import first_line, hub_file
from uni4d.encoders.full.uni3d_network import DIMENSIONS, GROUPS, SIZES, UNUSED, Uni3DNetwork
from uni4d.encoders.protocols import Encoded
from uni4d_shared.errors import Uni4DError

__all__ = ["Uni3D", "Uni3DConfig", "load_checkpoint", "read_checkpoint"]

_REPOSITORY = "BAAI/Uni3D"


@frozen
class Uni3DConfig:
    """Which Uni3D, and where it runs."""

    size: str = field(default="g", validator=validators.in_(SIZES))
    """``ti``, ``s``, ``b``, ``l`` or ``g``."""
    weights: str = ""
    """A file ``model.pt`` or ``.safetensors``; empty: the published one, from the Hugging Face hub."""
    device: str = "cuda"
    precision: str = field(default="bf16", validator=validators.in_(PRECISIONS))
    """``fp32``, ``bf16`` or (on CUDA) ``fp16``."""
    batch: int = field(default=8, validator=[validators.ge(1), validators.le(1_024)])
    """Clouds at once."""


class Uni3D:
    """The point encoder of the ``gpu`` profile; tokens are the ``cls`` token and 512 patches."""

    dimensions = DIMENSIONS

    def __init__(self, config: Uni3DConfig) -> None:
        self._device, precision = place(config.device, config.precision)
        self.name = f"uni3d-{config.size}"
        self._batch = config.batch
        path = _weights_path(config)
        state = read_checkpoint(path)
        with torch.device("meta"):
            network = Uni3DNetwork(SIZES[config.size])
        load_checkpoint(network, state, path, config.size)
        self._network = network.to(self._device, precision).eval().requires_grad_(False)

    @torch.inference_mode()
    def encode(self, points: NDArray[Any], colors: NDArray[Any]) -> Encoded:
        """Clouds ``[B, N, 3]`` to tokens ``[B, 513, 1024]`` and unit vectors ``[B, 1024]``.

        ``points`` Y-up in the unit ball, ``colors`` sRGB in [0, 1]; N at least 512, 10,000 in training.
        """
        clouds, paint = (torch.tensor(np.asarray(a), dtype=torch.float32) for a in (points, colors))
        _check(clouds, paint)
        parts = [
            self._network(
                clouds[start : start + self._batch].to(self._device),
                paint[start : start + self._batch].to(self._device),
            )
            .float()
            .cpu()
            for start in range(0, len(clouds), self._batch)
        ]
        tokens = torch.cat(parts) if parts else torch.zeros(0, GROUPS + 1, DIMENSIONS)
        pooled = functional.normalize(tokens[:, 0], dim=1)
        return Encoded(pooled.numpy(), tokens.numpy(), np.ones(tokens.shape[:2], dtype=bool))


def _check(points: Tensor, colors: Tensor) -> None:
    if points.ndim != 3 or points.shape[2] != 3 or colors.shape != points.shape:
        raise ValueError(f"points and colors are both [B, N, 3], not {points.shape} and {colors.shape}")
    if not (points.isfinite().all() and colors.isfinite().all()):
        raise Uni4DError(
            "cloud-invalid", "A point cloud holds numbers that are not finite.", "Sample it again."
        )
    farthest = float(points.norm(dim=2).amax()) if points.numel() else 0.0
    if farthest > 1.01 or (colors.numel() and not 0.0 <= float(colors.amin()) <= float(colors.amax()) <= 1.0):
        raise Uni4DError(
            "cloud-invalid",
            f"Uni3D takes points in the unit ball and colours in [0, 1]; here a point is {farthest:.3g} from "
            f"the origin, and colours lie in [{float(colors.amin()):.3g}, {float(colors.amax()):.3g}].",
            "Convert with uni4d_shared.conventions.uni3d_cloud_from_world, and divide bytes by 255.",
        )


def _weights_path(config: Uni3DConfig) -> Path:
    if not config.weights:
        return hub_file(_REPOSITORY, f"modelzoo/uni3d-{config.size}/model.pt")
    path = Path(config.weights).expanduser()
    if not path.is_file():
        raise Uni4DError(
            "weights-missing",
            f"There is no file {path}.",
            f"Fetch modelzoo/uni3d-{config.size}/model.pt of the hub repository {_REPOSITORY}, and set the "
            "encoder's weights to its path.",
        )
    return path


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The parameters in a file by name. Nothing but tensors is ever unpickled."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own; all mean the same here
        raise _unreadable(path, error) from error
    for wrapper in ("module", "state_dict"):  # DeepSpeed's and a plain training loop's
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise Uni4DError(
            "weights-unreadable",
            f"{path} holds no parameters by name.",
            "Name Uni3D's model.pt: a dictionary whose entry 'module' holds them.",
        )
    return {name.removeprefix("module."): value for name, value in state.items()}


def _unreadable(path: Path, error: Exception) -> Uni4DError:
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
        return Uni4DError(
            "weights-unreadable",
            f"{path} holds Python objects beside its tensors, and those are never loaded.",
            'If you trust the file, keep only its parameters: python -c "import torch; '
            "torch.save({'module': torch.load('OLD.pt', weights_only=False)['module']}, 'NEW.pt')\"",
        )
    return Uni4DError(
        "weights-unreadable",
        f"{path} is damaged or no checkpoint: {first_line(error)}.",
        "Fetch the file again.",
    )


def load_checkpoint(network: Uni3DNetwork, state: dict[str, Tensor], path: Path, size: str) -> None:
    """Give ``network`` the parameters of a file; every name and shape must fit, except :data:`UNUSED`."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    used = {name: value for name, value in state.items() if name not in UNUSED}
    found = {name: tuple(value.shape) for name, value in used.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]}, not {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise Uni4DError(
            "weights-unreadable",
            f"{path} is no checkpoint of Uni3D's size {size!r}: {'; '.join(problems[:3])}{more}.",
            f"Choose the size that the file has ({', '.join(SIZES)}), or another file.",
        )
    network.load_state_dict(used, assign=True)
