"""The asset library: sources, their conversion to normalised GLB, the catalog and its files.

:mod:`~uni4d.library.geometry` is the mesh in memory, :mod:`~uni4d.library.build` makes and opens a
library, :mod:`~uni4d.library.catalog` is its table, :mod:`~uni4d.library.sources` are the places that
assets come from.
"""
