"""Large encoders with weights of their own: OpenCLIP for text and pictures, Uni3D for points.

Importing this package imports neither ``open_clip`` nor ``timm`` nor ``torchvision``; OpenCLIP's two encoders
do when they are made, and need the extra: ``pip install 'uni4d[full]'``. Uni3D needs PyTorch alone.
"""

from uni4d.encoders.full.openclip import OpenClipConfig, OpenClipImages, OpenClipText
from uni4d.encoders.full.uni3d import Uni3D, Uni3DConfig

__all__ = ["OpenClipConfig", "OpenClipImages", "OpenClipText", "Uni3D", "Uni3DConfig"]
