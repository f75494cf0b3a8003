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
    options = {"score_threshold": 0.0, "weakest": 0.0}  # noqa: RUF012 - of the class
