"""FWB: few-shot segmentation with feature weighting and feature boosting.

Nguyen, Todorovic. ICCV 2019.
"""

from __future__ import annotations

from functools import partial

from vossegcli.systems.base import System
from vossegcli.systems.fwb.config import CONFIGS, FWBConfig
from vossegcli.systems.fwb.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.train import LossWeights, episode_objective

SYSTEM = System(
    name="fwb",
    task="fewshot",
    configs=CONFIGS,
    parse_config=FWBConfig.from_dict,
    build=FWB,
    predictors={"fewshot": FWBPredictor},
    convert=convert_published,
    imagenet_backbone=imagenet_backbone,
    starts={"imagenet": load_imagenet},
    backbone=("backbone.trunk.",),
    objectives={"episodes": partial(episode_objective, weights=LossWeights())},
)
