"""From aligned photographs and a motion text to a clip.

``kinematic`` is the offline default: motion text → motion program → moved mesh → splats → frames.

=================  =============================================================================
``verbs``          what each verb means: its words, period, amplitude, axis
``lexicon``        words of a sentence → verbs and modifiers
``interpret``      a query → a :class:`~uni4d.video.program.MotionProgram`
``program``        the typed, serialisable program: tracks over time
``body``/``parts`` what a motion needs to know of a mesh: extents, legs, wings, head, tail
``motions``        the program's tracks → vertices and colours at any time
``framing``        keeps the motion inside the camera's frame
``kinematic``      the stage: mesh, views, query → clip
=================  =============================================================================
"""

from uni4d.video.kinematic import animate
from uni4d.video.program import MotionProgram, Track

__all__ = ["MotionProgram", "Track", "animate"]
