"""A fitted 4D asset in the formats of other programs: splat files, animated GLB, USD, a turntable.

:func:`~uni4d.exports.export.export` writes any of :data:`~uni4d.exports.export.FORMATS`;
``backend/docs/exports.md`` tells what each one holds and who reads it.
"""

__all__: list[str] = []
