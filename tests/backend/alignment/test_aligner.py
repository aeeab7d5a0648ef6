"""Alignment with the weights that ship, on pictures of things that nobody could mistake."""

from __future__ import annotations

from uni4d.alignment.weights import load_crossma
from uni4d.encoders.local import MiniLM
from uni4d.retrieval.encoder import AtmsEncoder


def test_the_weights_that_ship_fit_the_retrieval_weights_that_ship() -> None:
    weights = load_crossma()
    encoder = MiniLM()
    assert weights.model.config.joint == AtmsEncoder.load(encoder).dimensions
    assert weights.model.config.text_width == encoder.dimensions
    assert 0.0 < weights.mismatched[0] < weights.mismatched[-1] <= 6.0
