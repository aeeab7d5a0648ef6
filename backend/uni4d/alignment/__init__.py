"""How well text, 3D asset and photographs agree, and which photograph shows best what the text says.

:mod:`uni4d.alignment.three_level` holds the paper's three-level loss and score (§3.4). The value that
it makes, :class:`uni4d_shared.types.Alignment`, travels with the chain to the clip and to the 4D fit.
"""

from uni4d.alignment.three_level import align

__all__ = ["align"]
