"""What help texts say without importing torch: the names that users type, a default. Standard library only."""

from typing import Final

AFB_URR: Final = "afb-urr"
FWB: Final = "fwb"
B2INST: Final = "b2inst"
MOBILEINST: Final = "mobileinst"

#: System name -> what it does, for help texts that must not import torch.
SYSTEM_SUMMARIES: Final[dict[str, str]] = {
    AFB_URR: "one annotated frame, the whole video segmented (AFB-URR, NeurIPS 2020)",
    FWB: "a few annotated images, the same classes in others (FWB, ICCV 2019)",
    B2INST: "instances in images (B2Inst, WACV 2021)",
    MOBILEINST: "instances in videos, with identities (MobileInst, AAAI 2024)",
}

#: Pixels of a picture: larger ones are refused before they are decoded, where nothing else is said.
MAX_PIXELS: Final = 200_000_000
