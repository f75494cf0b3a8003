"""Contract.

Covers: systems.b2inst.backbone, systems.b2inst.basis_head, systems.b2inst.box_head, systems.b2inst.config,
systems.b2inst.model, systems.b2inst.train
"""

from tests.systems.b2inst.test_predict import TINY
from tests.systems.contracts.instances import InstanceContract
from vossegcli.systems.b2inst import SYSTEM


class TestInstances(InstanceContract):
    system = SYSTEM
    config = TINY
    rate = 5e-3
