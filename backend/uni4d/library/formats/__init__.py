"""Mesh file formats: bytes to :class:`~uni4d.library.geometry.TexturedMesh`, and that to GLB."""
