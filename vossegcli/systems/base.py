"""Record of a system in the table, the protocols of predictors, and what all systems share to start from files.

Shape letters: B clips, T frames, K objects (background not counted), H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.layers.efficientnet_lite import EfficientNetLite, imagenet_names
from vossegcli.types import Task

Config = TypeVar("Config")
#: Objective by which a system for `propagate` adapts to given masks.
ADAPTATION = "adaptation"


class Segmentation(NamedTuple):
    """One segmented frame at its native size; K objects in the order of the predictor's `ids`.

    Attributes:
        label_map: (H,W) integer object ids, 0 = background.
        uncertainty: (K,) float32 mean uncertainty of each object's pixels in [0, 1]; 1 where it has none.
        agreement: (K,) float32 in [0, 1]: how much of each object's mask the annotated frames alone confirm; 1 where
            the system does not read them alone.
        peaks: (K,) float32 largest probability of each object, at the working size.
        object_probs: K functions that compute the probability of an object, (H,W) float32: of many objects on a large
            frame, all of them would take gigabytes.
    """

    label_map: Tensor
    uncertainty: Tensor
    agreement: Tensor
    peaks: Tensor
    object_probs: tuple[Callable[[], Tensor], ...]

    @property
    def probs(self) -> Tensor:
        """Probability of each object, (K,H,W) float32."""
        return torch.stack([of_object() for of_object in self.object_probs])


class VideoPredictor(Protocol):
    """Segments a video frame by frame from given masks; frames are (3,H,W) RGB, float in [0, 1] or uint8."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Object ids that are followed, in the order of `Segmentation.probs`."""

    @property
    def short_side(self) -> int | None:
        """Short side at which it works at most; None = native."""

    @property
    def device(self) -> torch.device:
        """Device that it works on."""

    def with_network(self, network: Any) -> VideoPredictor:  # noqa: ANN401 - of the system
        """Build a predictor with the same settings around other weights; it remembers nothing yet."""

    def encode(self, frame: Tensor, before: Any = None) -> Any:  # noqa: ANN401 - of the system
        """Compute what does not depend on masks; `start`, `step` and `add_objects` take it in place of the frame.

        It changes nothing, so that another thread can do it ahead; `before` is what it gave for the frame before.
        """

    def prepare(self, frame: Any) -> None:  # noqa: ANN401 - of the system
        """Compute more of what a step needs, in the thread that has encoded the frame, until that step begins."""

    def clear(self) -> None:
        """Forget the video, and free its memory."""

    def start(self, frame: Any, label_map: Tensor) -> None:  # noqa: ANN401
        """Forget everything and begin with an annotated frame; label_map is (H,W) of integer ids."""

    def step(self, frame: Any) -> Segmentation:  # noqa: ANN401
        """Segment the next frame."""

    def add_objects(self, frame: Any, label_map: Tensor) -> None:  # noqa: ANN401
        """Add or correct objects on the frame of the last step; the other objects' memory stays."""

    def state(self) -> dict[str, Tensor]:
        """Return the memory as named tensors."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""


class ClassSegmentation(NamedTuple):
    """One image with the classes that were found in it, at its native size; L classes in the order they were fitted.

    Attributes:
        label_map: (H,W) int32, 0 = background, l = the l-th class.
        probs: (L,H,W) float32 probability of each class.
        confidence: (L,) float32 in [0, 1]: how sure it is that the class is in the image.
    """

    label_map: Tensor
    probs: Tensor
    confidence: Tensor


class FewshotPredictor(Protocol):
    """Segments classes that a few annotated images show; images are RGB, float in [0, 1] or uint8."""

    def fit(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
        """Learn one more class from images (3,H,W) and masks (H,W); return the IoU of its own supports."""

    def predict(self, images: Tensor) -> list[ClassSegmentation]:
        """Segment all fitted classes in images (B,3,H,W)."""

    def clear(self) -> None:
        """Forget all classes."""


class Instances(NamedTuple):
    """The instances of one image, best first; R is the side of a mask inside its region.

    Attributes:
        boxes: (N,4) float32 (x1, y1, x2, y2) in pixels of the image.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64 number of the class, from 0.
        masks: (N,R,R) float32 probabilities inside the regions; `ops.masks.paste_mask` brings them into the image.
        regions: (N,4) float32 the part of the image that each mask covers: the box, or a larger one.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    regions: Tensor


class InstancePredictor(Protocol):
    """Finds instances in images; images are RGB, float in [0, 1] or uint8."""

    def predict(self, images: Tensor) -> list[Instances]:
        """Find the instances of images (B,3,H,W)."""


class TrackedInstances(NamedTuple):
    """The instances of one frame of a video, each with its identity; R is the side of a mask inside its box.

    Attributes:
        ids: (N,) int64 identity, from 1 on; each is there once.
        boxes: (N,4) float32 (x1, y1, x2, y2) in pixels of the frame.
        scores: (N,) float32 in [0, 1], mean over the identity's life so far.
        labels: (N,) int64 number of the class, from 0, likewise.
        masks: (N,R,R) float32 probabilities inside the boxes; `ops.masks.paste_mask` brings them into the frame.
    """

    ids: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor


class TrackPredictor(Protocol):
    """Follows instances through a video frame by frame; frames are (3,H,W) RGB, float in [0, 1] or uint8."""

    def start(self) -> None:
        """Forget everything and begin a video."""

    def step(self, frame: Tensor) -> TrackedInstances:
        """Find the instances of the next frame."""

    def state(self) -> dict[str, Tensor]:
        """Return the memory as named tensors."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""


class Imported(NamedTuple):
    """Published weights under our names.

    Attributes:
        config: of the network that they are for.
        labels: names of its classes, if it knows any.
        tensors: all weights under our names.
        dropped: entries that were left behind, with reasons.
        fresh: weights that the publication lacks and that were drawn anew, with reasons.
    """

    config: Any
    labels: tuple[str, ...]
    tensors: dict[str, Tensor]
    dropped: dict[str, str]
    fresh: dict[str, str]


class Graph(NamedTuple):
    """A part of a network for another runtime.

    Attributes:
        name: what it is for.
        module: from the inputs to the outputs, all tensors.
        inputs: examples by their names.
        outputs: names.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class System:
    """One row of the table of systems.

    Attributes:
        name: as typed by users.
        task: the command that it is made for; says what it is trained on.
        configs: named configurations.
        parse_config: from a checkpoint header's values.
        build: a network with fresh weights.
        predictors: by the commands that it works for, what each asks for around a network in eval mode; keywords
            override the config's defaults.
        convert: a published checkpoint to ours.
        imagenet_backbone: torchvision backbone that a configuration can start from; raises where there is none.
        starts: what a network's backbone can start from, by name: `imagenet`, or another system whose checkpoints hold
            a backbone that fits; each takes the network and weights and works in place.
        objectives: training objectives by name; what they take depends on the task.
        backbone: how the names of the weights begin that `imagenet` starts; they may be trained at a lower rate.
        class_layers: how the names of the weights begin whose shape depends on the classes; they start fresh when
            training starts from a checkpoint for others.
        frames: frames of the samples of those objectives that take no other number (1 = images).
        multiple: what the sides of training samples must be multiples of.
        graphs: a network as graphs for other runtimes, for images of a size (H,W); None = it has none.
    """

    name: str
    task: Task
    configs: Mapping[str, Any]
    parse_config: Callable[[dict[str, Any]], Any]
    build: Callable[[Any], nn.Module]
    predictors: Mapping[Task, Callable[..., Any]]
    convert: Callable[[Mapping[str, object]], Imported]
    imagenet_backbone: Callable[[Any], str]
    starts: Mapping[str, Callable[[Any, Mapping[str, Tensor]], None]]
    objectives: Mapping[str, Callable[[Any, Any], dict[str, Tensor]]]
    backbone: tuple[str, ...] = ()
    class_layers: tuple[str, ...] = ()
    frames: Mapping[str, int] = field(default_factory=dict)
    multiple: int = 16
    graphs: Callable[[Any, tuple[int, int]], list[Graph]] | None = None


def config_from_dict(cls: type[Config], values: Mapping[str, Any], what: str) -> Config:
    """Rebuild a system's configuration from plain values (lists stand for tuples after JSON).

    Raises:
        ConfigError: a field is unknown, missing or out of range.
    """
    try:
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not {what} ({error})") from error


def load_efficientnet(backbone: EfficientNetLite, weights: Mapping[str, Tensor]) -> None:
    """Start a backbone from a published EfficientNet-Lite of its variant, in place.

    Args:
        backbone: the network, or its first stages.
        weights: by their published names; what the backbone does not have is left out.

    Raises:
        CheckpointError: a weight is missing.
    """
    names = imagenet_names(backbone)
    missing = sorted(set(names.values()) - set(weights))
    if missing:
        raise CheckpointError(f"missing key '{missing[0]}'", fix="give weights of the same EfficientNet-Lite")
    backbone.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()})
