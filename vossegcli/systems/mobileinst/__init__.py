"""MobileInst: instances in videos with identities, by kernels that queries make for light mask features.

Zhang, Cheng et al.: MobileInst: Video Instance Segmentation on the Mobile. AAAI 2024.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from vossegcli.systems.base import System
from vossegcli.systems.mobileinst.backbone import BACKBONE, STRIDE
from vossegcli.systems.mobileinst.config import CONFIGS, MobileInstConfig
from vossegcli.systems.mobileinst.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.mobileinst.export import graphs
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.systems.mobileinst.predict import MobileInstPredictor, MobileInstTracker
from vossegcli.systems.mobileinst.train import LossWeights, clip_objective, dense_objective, instance_objective

_WEIGHTS = LossWeights()

SYSTEM = System(
    name="mobileinst",
    task="track",
    configs=CONFIGS,
    parse_config=MobileInstConfig.from_dict,
    build=MobileInst,
    predictors={"track": MobileInstTracker, "instance": MobileInstPredictor},
    convert=convert_published,
    imagenet_backbone=imagenet_backbone,
    starts={"imagenet": load_imagenet},
    backbone=BACKBONE,
    objectives={
        "dense": partial(dense_objective, weights=_WEIGHTS),
        "instances": partial(instance_objective, weights=_WEIGHTS),
        "clips": partial(clip_objective, weights=_WEIGHTS),
        # The same frames, each by itself: what query passing is measured against.
        "frames": partial(clip_objective, weights=replace(_WEIGHTS, passed=0.0, reused=0.0)),
    },
    class_layers=("instance_decoder.cls_score.",),
    frames={"dense": 1, "instances": 1, "clips": 2, "frames": 2},
    multiple=STRIDE,
    graphs=graphs,
)
