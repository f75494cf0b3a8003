from torch import nn

from tests.systems.contracts.instances import InstanceContract
from tests.systems.contracts.tracks import TrackContract
from tests.systems.mobileinst.test_predict import TINY
from vossegcli.systems.mobileinst import SYSTEM


class TestInstances(InstanceContract):
    system = SYSTEM
    config = TINY


class TestTracks(TrackContract):
    system = SYSTEM
    config = TINY

    def network(self) -> nn.Module:
        """Sure of everything, so that tracks begin."""
        network = super().network()
        for head in (network.instance_decoder.cls_score, network.instance_decoder.objectness):
            nn.init.constant_(head.bias, 3.0)
        return network
