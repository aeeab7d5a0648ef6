"""Where the large encoders run, and in which precision."""

from __future__ import annotations

import torch

from uni4d_shared.errors import Uni4DError

__all__ = ["PRECISIONS", "place"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def place(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """The device and the type of numbers that a configuration names, when both are to be had here."""
    if precision not in PRECISIONS:
        raise Uni4DError(
            "bad-setting", f"There is no precision {precision!r}.", f"Known: {', '.join(PRECISIONS)}."
        )
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise Uni4DError("bad-setting", f"There is no device {device!r}.", 'Use "cpu" or "cuda".') from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise Uni4DError(
            "gpu-missing",
            f"The device {device!r} needs CUDA, and this PyTorch ({torch.__version__}) finds no such device.",
            "Install a CUDA build of PyTorch on a machine with an NVIDIA GPU, or set the encoder's device "
            'to "cpu".',
        )
    if chosen.type == "cpu" and precision == "fp16":
        raise Uni4DError(
            "bad-setting",
            "Half precision (fp16) is slow and inexact on a CPU.",
            'Set the encoder\'s precision to "bf16" or "fp32".',
        )
    return chosen, PRECISIONS[precision]
