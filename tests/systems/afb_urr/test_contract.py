"""Contract.

Covers: systems.afb_urr.config, systems.afb_urr.encoded_frame, systems.afb_urr.model, systems.afb_urr.train
"""

from dataclasses import replace

from tests.systems.contracts.video import VideoContract
from vossegcli.systems.afb_urr import SYSTEM
from vossegcli.systems.afb_urr.config import COMPACT, PUBLISHED, TrunkConfig

TINY_TRUNK = TrunkConfig("basic", 8, (8, 16, 16), (1, 1, 1))
WIDTHS = {
    "key_channels": 8,
    "value_channels": 16,
    "decoder_channels": 16,
    "local_channels": 8,
}


class TestCompact(VideoContract):
    system = SYSTEM
    config = replace(COMPACT, **WIDTHS)


class TestPublished(VideoContract):
    system = SYSTEM
    config = replace(PUBLISHED, query_trunk=TINY_TRUNK, memory_trunk=TINY_TRUNK, **WIDTHS)
