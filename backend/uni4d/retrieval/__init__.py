"""Free words in, the right mesh first.

:mod:`~uni4d.retrieval.query` takes a prompt apart, :mod:`~uni4d.retrieval.search` finds assets,
:mod:`~uni4d.retrieval.atms` is the model of the joint space of texts, assets and pictures (trained in
:mod:`uni4d.training`), and :mod:`~uni4d.retrieval.embedding` puts values into it.
"""
