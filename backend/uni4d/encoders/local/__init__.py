"""Small real encoders: all-MiniLM-L6-v2 and EfficientNet-Lite2, whose weights come inside Python packages,
and our own point encoder, whose weights come with this one."""

from uni4d.encoders.local.efficientnet import EfficientNetLite2
from uni4d.encoders.local.minilm import MiniLM
from uni4d.encoders.local.points import LocalPoints

__all__ = ["EfficientNetLite2", "LocalPoints", "MiniLM"]
