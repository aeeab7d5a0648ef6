"""How well text, 3D asset and photographs agree, and which photograph shows best what the text says.

``crossma``      cross-attention of a text to photographs, with its weights (``weights``, ``crossma.md``)
``three_level``  the paper's three-level loss and score (§3.4)
``aligner``      both at work, from values to :class:`uni4d_shared.types.Alignment`, which travels with the
                 chain to the clip and to the 4D fit
``guidance``     what it changes there: how much each photograph counts
"""

from uni4d.alignment.three_level import align

__all__ = ["align"]
