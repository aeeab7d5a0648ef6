"""From aligned photographs and a motion text to a clip.

``kinematic`` is the offline default: motion text → motion program → moved mesh → splats → frames. The other
models paint frames from the photograph of the key view.

=================  =============================================================================
``verbs``          what each verb means: its words, period, amplitude, axis
``thesaurus``      more words for them
``modifiers``      what *slowly*, *twice*, *clockwise* do
``lexicon``        words of a sentence → verbs and modifiers
``clauses``        which of them belong together, and in what order they happen
``interpret``      a query → a :class:`~uni4d.video.program.MotionProgram`
``program``        the typed, serialisable program: tracks over time
``body``/``parts`` what a motion needs to know of a mesh: extents, legs, wings, head, tail
``pieces``         its connected components: wheels, blades
``panels``         and doors, drawers, lids with their hinges
``motions``        the program's tracks → vertices and colours at any time
``framing``        keeps the motion inside the camera's frame
``kinematic``      the stage: mesh, views, query → clip
``contact_sheet``  verbs on objects, on one picture to look at
``models``         all video models behind one protocol, and which one a name stands for
``photograph``     the key view as the first frame of a video, and its camera
``diffusers``      CogVideoX, Wan 2.2 and LTX-Video, run here
``remote``         a service over HTTP
=================  =============================================================================
"""

from uni4d.video.kinematic import animate
from uni4d.video.program import MotionProgram, Track

__all__ = ["MotionProgram", "Track", "animate"]
