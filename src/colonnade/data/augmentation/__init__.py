"""Augmentation: random changes of training images, for the whole batch at once.

    augmentation = Compose([RandomCrop(padding=4), RandomHorizontalFlip()])
    x, targets = augmentation(x, targets, draws)

Names, arguments and defaults are those of torchvision.transforms.v2 where it has them. Pixels are in [0, 1]:
normalisation comes after. What happens to an image depends on the seed, the epoch and its position in the data set
alone (:class:`~colonnade.data.draws.Draws`), never on its batch or on the number of workers, except that MixUp and
CutMix take another image of the batch as partner.
"""

from .base import Augmentation, Compose
from .color import ColorJitter
from .erasing import Cutout, RandomErasing
from .geometry import (
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
)
from .mixing import CutMix, MixUp
from .policy import RandAugment
from .presets import PRESETS, from_config, mirrors, preset

__all__ = [
    "PRESETS",
    "Augmentation",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "MixUp",
    "RandAugment",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "from_config",
    "mirrors",
    "preset",
]
