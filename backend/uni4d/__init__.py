"""Uni4D's backend: library, retrieval, alignment, video, splatting, 4D fit, server and command line."""

__all__ = ["__version__"]

__version__ = "0.1.0"
