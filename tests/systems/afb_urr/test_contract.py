from dataclasses import replace

from tests.systems.contract import VideoSystemContract
from vossegcli.systems.afb_urr import SYSTEM
from vossegcli.systems.afb_urr.config import COMPACT, PUBLISHED, TrunkConfig

TINY_TRUNK = TrunkConfig("basic", 8, (8, 16, 16), (1, 1, 1))
WIDTHS = {
    "key_channels": 8,
    "value_channels": 16,
    "decoder_channels": 16,
    "local_channels": 8,
}


class TestCompact(VideoSystemContract):
    system = SYSTEM
    config = replace(COMPACT, **WIDTHS)


class TestPublished(VideoSystemContract):
    system = SYSTEM
    config = replace(PUBLISHED, query_trunk=TINY_TRUNK, memory_trunk=TINY_TRUNK, **WIDTHS)
