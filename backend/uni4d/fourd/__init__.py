"""The 4D fit: control nodes on a mesh whose motion is found from the frames of a clip."""

from uni4d.fourd.fit import fit
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.nodes import NodeGraph, build_node_graph

__all__ = ["NodeGraph", "build_node_graph", "fit", "foreground_psnr"]
