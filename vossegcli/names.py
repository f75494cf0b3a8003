"""Names that users type and a default, for help texts that must not import torch. Standard library only."""

from typing import Final

AFB_URR: Final = "afb-urr"
FWB: Final = "fwb"
B2INST: Final = "b2inst"
MOBILEINST: Final = "mobileinst"

#: All systems, for help texts that must not import torch.
SYSTEM_NAMES: Final = (AFB_URR, FWB, B2INST, MOBILEINST)

#: Pixels of a picture: larger ones are refused before they are decoded, where nothing else is said.
MAX_PIXELS: Final = 200_000_000
