"""What the Blender add-on and the backend agree on: values, conventions, cameras, messages, file formats.

Pure Python and numpy; imports neither ``bpy`` nor ``torch``.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
