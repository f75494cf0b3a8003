"""AFB-URR: video object segmentation with an adaptive feature bank and uncertain-region refinement.

Liang, Li, Jafari, Chen. NeurIPS 2020.
"""

from __future__ import annotations

from functools import partial

from vossegcli.systems.afb_urr.config import CONFIGS, AFBURRConfig
from vossegcli.systems.afb_urr.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.afb_urr.train import (
    LossWeights,
    correspondence_objective,
    segmentation_objective,
)
from vossegcli.systems.base import ADAPTATION, System

#: Names that ImageNet's weights start: of EfficientNet-Lite, and of ResNets; the masks' part of the stem is not.
BACKBONE = tuple(
    f"encoder_{encoder}.{part}"
    for encoder in "qm"
    for part in ("backbone.", "conv1.", "bn1.", "res2.", "res3.", "res4.")
)

SYSTEM = System(
    name="afb-urr",
    task="propagate",
    configs=CONFIGS,
    parse_config=AFBURRConfig.from_dict,
    build=AFBURR,
    predictors={"propagate": AFBURRPredictor},
    convert=convert_published,
    imagenet_backbone=imagenet_backbone,
    starts={"imagenet": load_imagenet},
    backbone=BACKBONE,
    objectives={
        "correspondence": correspondence_objective,
        "segmentation": partial(segmentation_objective, weights=LossWeights()),
        ADAPTATION: partial(segmentation_objective, weights=LossWeights(correspondence=0.0, fine_correspondence=0.0)),
    },
)
