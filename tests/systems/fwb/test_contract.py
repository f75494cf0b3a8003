from tests.systems.contracts.fewshot import FewshotContract
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.config import FWBConfig


class TestCompact(FewshotContract):
    system = SYSTEM
    config = FWBConfig(
        "efficientnet_lite0", projected=8, head_channels=16, prototypes=2, refine_channels=8, steps=3, short_side=64
    )
    rate = 5e-3
