from tests.systems.contracts.fewshot import FewshotContract
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.config import FWBConfig


class TestCompact(FewshotContract):
    system = SYSTEM
    config = FWBConfig("compact", stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), head_channels=16)
    rate = 5e-3
