"""Free words in, the right mesh first.

:mod:`~uni4d.retrieval.query` takes a prompt apart, :mod:`~uni4d.retrieval.search` finds assets,
:mod:`~uni4d.retrieval.space` learns the joint space of texts, assets and pictures, and
:mod:`~uni4d.retrieval.embedding` puts values into it.
"""
