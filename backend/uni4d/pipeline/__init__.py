"""The order of the stages: each alone on values (:mod:`.stages`), and all of them for one prompt,
with a real Blender in the middle (:mod:`.generate`)."""

from uni4d.pipeline.stages import Stages

__all__ = ["Stages"]
