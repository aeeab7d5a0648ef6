"""Small real encoders whose weights come inside Python packages: all-MiniLM-L6-v2, EfficientNet-Lite2."""

from uni4d.encoders.local.efficientnet import EfficientNetLite2
from uni4d.encoders.local.minilm import MiniLM

__all__ = ["EfficientNetLite2", "MiniLM"]
