"""Frozen encoders behind three small protocols (:mod:`uni4d.encoders.protocols`).

:mod:`uni4d.encoders.local` holds the small models that packages carry: no GPU, no network.
"""
