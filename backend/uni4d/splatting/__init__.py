"""Gaussian splats: the model, their place on a mesh, and a differentiable rasteriser."""

from uni4d.splatting.binding import BoundSplats, Carried
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import Implementation, Rendered, rasterise, render
from uni4d.splatting.scene import CameraTensors
from uni4d.splatting.surface import splats_from_mesh

__all__ = [
    "BoundSplats",
    "CameraTensors",
    "Carried",
    "Implementation",
    "Rendered",
    "SplatParameters",
    "rasterise",
    "render",
    "splats_from_mesh",
]
