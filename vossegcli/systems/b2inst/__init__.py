"""B2Inst: instance segmentation by bases, one of which is the image's boundary map.

Kim, Woo, Kim, Kweon: The Devil is in the Boundary. WACV 2021.
"""

from __future__ import annotations

from functools import partial

from vossegcli.systems.b2inst.backbone import BACKBONE
from vossegcli.systems.b2inst.config import CONFIGS, B2InstConfig
from vossegcli.systems.b2inst.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import B2InstPredictor
from vossegcli.systems.b2inst.train import LossWeights, instance_objective
from vossegcli.systems.base import System

SYSTEM = System(
    name="b2inst",
    task="instance",
    configs=CONFIGS,
    parse_config=B2InstConfig.from_dict,
    build=B2Inst,
    predictors={"instance": B2InstPredictor},
    convert=convert_published,
    imagenet_backbone=imagenet_backbone,
    starts={"imagenet": load_imagenet},
    backbone=BACKBONE,
    objectives={"instances": partial(instance_objective, weights=LossWeights())},
    class_layers=("box_head.cls_logits.", "basis_head.seg_head.2."),
)
