"""The MobileInst network.

Shape letters: B images, N queries, C channels, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.layers.efficientnet_lite import NORMALISATION
from vossegcli.layers.normalise import IMAGENET_MEAN, IMAGENET_STD, NormalisedInput
from vossegcli.systems.mobileinst.backbone import make_backbone
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.instance_decoder import InstanceDecoder, Predictions
from vossegcli.systems.mobileinst.mask_decoder import FEATURE_STRIDE, DenseOutput, MaskDecoder, predicted_centres
from vossegcli.systems.mobileinst.positions import encode_points


class Encoded(NamedTuple):
    """Features of a frame, whether its kernels are its own or not.

    Attributes:
        context: X6 (B,C',H/64,W/64).
        features: X_mask (B,C,h,w), without the centres.
        embedded: (B,K,h,w), what kernels are multiplied with.
        dense: what the cells say of themselves.
        centres: encodings (B,h,w,C) of the centres that cells point to; None = without reference points.
        origin: (2,) point (x, y) of the upper left corner, in pixels.
    """

    context: Tensor
    features: Tensor
    embedded: Tensor
    dense: DenseOutput
    centres: Tensor | None
    origin: Tensor


class MobileInst(NormalisedInput):
    """Backbone, mask decoder and instance decoder."""

    def __init__(self, config: MobileInstConfig) -> None:
        super().__init__(*((IMAGENET_MEAN, IMAGENET_STD) if config.backbone == "token_pyramid" else NORMALISATION))
        self.config = config
        self.backbone = make_backbone(config)
        self.mask_decoder = MaskDecoder(config, self.backbone.context_channels)
        self.instance_decoder = InstanceDecoder(config, self.backbone.context_channels)

    def forward(self, images: Tensor, origin: Tensor | None = None) -> Encoded:
        """Encode images (B,3,H,W) in [0, 1], sides multiples of 64, that lie at an origin (2,) or at zero."""
        if origin is None:
            origin = torch.zeros(2, device=images.device)
        local, context = self.backbone(self.normalise(images))
        features, dense = self.mask_decoder(local, context)
        points, projection = self.instance_decoder.point_embedding, self.mask_decoder.point_projection
        if points is None or projection is None:
            return Encoded(context, features, self.mask_decoder.branch(features), dense, None, origin)
        centres = encode_points(predicted_centres(dense, origin), features.shape[1]).to(features.dtype)
        embedded = points.features(features, centres, self.mask_decoder.branch, projection)
        return Encoded(context, features, embedded, dense, centres, origin)

    def local_features(self, encoded: Encoded) -> Tensor:
        """Features (B,C,h,w) of encoded images for the local decoder."""
        return self.mask_decoder.with_centres(encoded.features, encoded.centres)

    def detect(self, encoded: Encoded) -> Predictions:
        """Predict the instances of encoded images."""
        queries = self.instance_decoder.decode_global(encoded.context, encoded.origin)
        seen = self.instance_decoder.decode_local(queries, self.local_features(encoded), encoded.origin)
        return self.predict(seen, encoded)

    def predict(self, queries: Tensor, encoded: Encoded) -> Predictions:
        """Predict from queries (B,N,C) that have attended to encoded images."""
        height, width = encoded.features.shape[2:]
        return self.instance_decoder.predict(queries, (height * FEATURE_STRIDE, width * FEATURE_STRIDE), encoded.origin)
