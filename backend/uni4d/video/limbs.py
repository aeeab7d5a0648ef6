"""Limbs by distance *along* the surface: an arm that hangs beside a hip is far from it on the body.

The surface is a graph of its samples, each linked to its nearest neighbours. From the tip of a limb,
geodesic distance grows along it; the rings of equal distance stay narrow up to the joint and then widen.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from uni4d.video.timing import ramp

__all__ = ["Limb", "SurfaceGraph"]

Array = NDArray[np.float64]

_NEIGHBOURS = 8
_JOINT = 0.5
"""The first ring with this share of the widest ring's width is where a limb meets the trunk."""
_SHORTEST, _LONGEST = 0.08, 0.5
"""Lengths between which a limb ends, in diagonals of the bounding box."""


@frozen(eq=False)
class Limb:
    """Something that turns about a joint."""

    joint: Array
    """``[3]`` middle of the ring where it meets the trunk."""
    slenderness: float
    """Its length in widths; an arm has several, a corner of a box hardly one."""
    tip: Array
    """``[3]``"""
    _tree: cKDTree = field(repr=False)
    _weights: Array = field(repr=False)

    def weight(self, points: Array) -> Array:
        """``[N]`` how much the limb carries each point: 1 along it, 0 on the trunk, soft about the joint.

        Interpolated from the nearest samples by inverse squared distance.
        """
        distance, index = self._tree.query(points, k=4)
        share = 1.0 / (distance**2 + 1e-18)
        return (share * self._weights[index]).sum(axis=1) / share.sum(axis=1)


class SurfaceGraph:
    """Samples of a surface ``[S, 3]`` and the paths between them."""

    def __init__(self, samples: Array) -> None:
        self.samples = samples
        self.tree = cKDTree(samples)
        distance, index = self.tree.query(samples, k=_NEIGHBOURS + 1)
        self.spacing = float(np.median(distance[:, 1]))
        near = distance[:, 1:] < 6.0 * self.spacing
        rows = np.repeat(np.arange(len(samples)), _NEIGHBOURS)[near.ravel()]
        self._links = coo_matrix(
            (distance[:, 1:][near], (rows, index[:, 1:][near])), shape=(len(samples), len(samples))
        ).tocsr()

    def limb(self, tip: int) -> Limb:
        """The limb that ends at sample ``tip``: from there to where its rings widen."""
        along = dijkstra(self._links, directed=False, indices=tip)
        diagonal = float(np.linalg.norm(np.ptp(self.samples, axis=0)))
        step = 4.0 * self.spacing
        lengths = np.arange(_SHORTEST * diagonal, _LONGEST * diagonal, step)
        rings = [self.samples[np.abs(along - length) < step] for length in lengths]
        widths = np.array([_width(ring) for ring in rings])
        # Hands are wider than fingers, but the trunk is wider than both: the joint is where half of its
        # width is reached.
        length = float(lengths[np.argmax(widths >= _JOINT * widths.max())])
        ring = self.samples[np.abs(along - length) < step]
        joint = ring.mean(axis=0) if len(ring) else self.samples[tip]
        # Samples that no path reaches lie on other pieces: they stay where they are.
        weights = 1.0 - ramp(
            np.where(np.isfinite(along), along, 10.0 * diagonal), 0.7 * length, 1.15 * length
        )
        reached = widths[lengths <= length]
        slenderness = length / max(float(np.median(reached)), 1e-9)
        return Limb(joint, slenderness, self.samples[tip], self.tree, weights)


def _width(ring: Array) -> float:
    """Root mean square distance of ``[N, 3]`` points from their middle; 0 for none."""
    return float(np.sqrt(((ring - ring.mean(axis=0)) ** 2).sum(axis=1).mean())) if len(ring) else 0.0
