"""Motion between keyframes: exact at them, smooth between, honest about what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uni4d_shared.trajectories import deviation_at, state_at, weights_at
from uni4d_shared.types import NodeMotion

FRAMES = 12


def spinning(deviation: float = 0.0) -> NodeMotion:
    """A node on a circle of one metre, a turn in 24 frames; another that keeps still."""
    angle = 2.0 * np.pi * np.arange(FRAMES) / 24
    rotations = np.zeros((FRAMES, 2, 4), np.float32)
    rotations[:, 0, 0], rotations[:, 0, 3], rotations[:, 1, 0] = np.cos(angle / 2), np.sin(angle / 2), 1.0
    translations = np.zeros((FRAMES, 2, 3), np.float32)
    translations[:, 0, 0], translations[:, 0, 1] = np.cos(angle) - 1.0, np.sin(angle)
    return NodeMotion(
        nodes=np.array([[1.0, 0, 0], [0, 0, 1.0]]),
        rotations=rotations,
        translations=translations,
        vertex_nodes=np.zeros((1, 1), np.int32),
        vertex_weights=np.ones((1, 1), np.float32),
        deviations=np.full((FRAMES, 2), deviation, np.float32),
    )


@given(st.floats(0.0, FRAMES - 1.0))
def test_between_frames_a_node_stays_on_its_circle(time: float) -> None:
    rotations, translations = state_at(spinning(), time)
    angle = 2.0 * np.pi * time / 24
    np.testing.assert_allclose(translations[0], [np.cos(angle) - 1.0, np.sin(angle), 0.0], atol=1e-2)
    np.testing.assert_allclose(rotations[0], [np.cos(angle / 2), 0, 0, np.sin(angle / 2)], atol=1e-2)
    np.testing.assert_allclose(translations[1], 0.0, atol=1e-6)


@given(st.integers(1, 30), st.floats(0.5, 10.0), st.floats(-5.0, 40.0))
def test_weights_sum_to_one_and_are_exact_at_keyframes(frames: int, length_scale: float, time: float) -> None:
    weights = weights_at(frames, time, length_scale)
    assert weights.sum() == pytest.approx(1.0)
    for frame in range(frames):
        np.testing.assert_array_equal(weights_at(frames, frame, length_scale), np.eye(frames)[frame])


def test_the_deviation_grows_between_frames_and_with_the_motion() -> None:
    still = deviation_at(spinning(), 3.0)
    np.testing.assert_allclose(still, 0.0, atol=1e-6)
    between = deviation_at(spinning(), 3.5)
    assert between[0] > 1e-3 and between[1] == pytest.approx(0.0, abs=1e-6)
    assert deviation_at(spinning(0.01), 3.0) == pytest.approx(0.01, abs=1e-4)
    assert deviation_at(spinning(0.01), 3.5)[0] > between[0]


def test_impossible_motions_are_refused() -> None:
    motion = spinning()
    with pytest.raises(ValueError, match="length_scale is 0"):
        NodeMotion(
            *(motion.nodes, motion.rotations, motion.translations),
            *(motion.vertex_nodes, motion.vertex_weights, 0.0),
        )
    with pytest.raises(ValueError, match="deviations are for"):
        NodeMotion(
            *(motion.nodes, motion.rotations, motion.translations),
            *(motion.vertex_nodes, motion.vertex_weights, 3.0, np.zeros((3, 1))),
        )
