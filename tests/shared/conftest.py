"""Hypothesis without a deadline: a busy machine is not a failure."""

from hypothesis import settings

settings.register_profile("shared", deadline=None, max_examples=50)
settings.load_profile("shared")
