"""The optical flow between two frames, and what the nodes make of it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, shift

from uni4d.fourd.flow import flow_between


def test_a_shifted_pattern_is_followed_and_what_vanishes_is_not_trusted() -> None:
    noise = np.random.default_rng(0).random((96, 128))
    pattern = gaussian_filter(noise, 2.0)
    pattern = (pattern - pattern.min()) / np.ptp(pattern)
    moved = shift(pattern, (-4.0, 7.0), mode="wrap")
    moved[30:60, 40:80] = np.random.default_rng(1).random((30, 40))
    here, there = (torch.from_numpy(np.repeat(p[..., None], 3, axis=2)).float() for p in (pattern, moved))
    flow, trusted = flow_between(here, there)
    assert flow.shape == (96, 128, 2) and trusted.shape == (96, 128)
    kept = torch.zeros(96, 128, dtype=torch.bool)
    kept[66:90, 12:100] = True
    assert float(trusted[kept].float().mean()) > 0.9
    error = (flow[kept & trusted] - torch.tensor([7.0, -4.0])).norm(dim=1)
    assert float(error.quantile(0.9)) < 0.5
    lost = torch.zeros(96, 128, dtype=torch.bool)
    lost[40:58, 40:66] = True  # of the patch, where it came from
    assert float(trusted[lost].float().mean()) < 0.5
