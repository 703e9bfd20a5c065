"""Losses, optimizers, schedules and whole settings by name: what suits the zoo and the data sets known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from typing import Any, NamedTuple

from ..arguments import shown
from ..data.augmentation import mirrors, preset
from ..errors import ArgumentError
from ..losses import (
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    CTCLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
    TripletMarginLoss,
)
from ..optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from ..optimizers.base import Optimizer, Params
from ..schedules import CosineAnnealingLR, LinearLR, OneCycleLR, Schedule, SequentialLR
from ..tensor import Shape

OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, float]]] = {
    "sgd": (SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}),
    "adam": (Adam, {"lr": 1e-3}),
    "adamw": (AdamW, {"lr": 1e-3}),
    "nadam": (NAdam, {"lr": 2e-3}),
    "rmsprop": (RMSprop, {"lr": 1e-3}),
    "adagrad": (Adagrad, {"lr": 1e-2}),
    "adadelta": (Adadelta, {"lr": 1.0}),
    "adamax": (Adamax, {"lr": 2e-3}),
    "radam": (RAdam, {"lr": 1e-3}),
    "lion": (Lion, {"lr": 1e-4}),
}
LOSSES: dict[str, Callable[[], Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "nll": NLLLoss,
    "bce_with_logits": BCEWithLogitsLoss,
    "mse": MSELoss,
    "l1": L1Loss,
    "smooth_l1": SmoothL1Loss,
    "huber": HuberLoss,
    "kl_div": KLDivLoss,
    "gaussian_nll": GaussianNLLLoss,
    "triplet_margin": TripletMarginLoss,
    "cosine_embedding": CosineEmbeddingLoss,
    "ctc": partial(CTCLoss, batch_first=True),
}
WARM_UP = 0.05  # share of the steps in which the rate of "cosine" rises
RISE = 0.2  # the same of "one-cycle"
# What tells the settings for images.
PHOTOGRAPH = (3, 64, 64)  # the shape of one, unless they are small
TINY = 16  # pixels of a side, from which on networks halve images four times
SMALL = 48  # from that side down images are small
MANY = 2_000  # images that a network of some hundred thousand weights learns from
SEEN = {"resnet9": 430e6, "photo_cnn": 1600e6}  # images · h · w · epochs: half an hour of two cores
FEWEST_EPOCHS, MOST_EPOCHS = 4, 100
BATCHES_OF_128 = 10_000  # images from which on a step takes 128


def known(what: str, name: str, names: Iterable[str]) -> str:
    """One of some names, by which it is known; "Adam" is "adam", and "one_cycle" is "one-cycle".

    Raises:
        ArgumentError: Another name; the error lists them.
    """
    plain = {_plain(each): each for each in names}
    if not isinstance(name, str) or _plain(name) not in plain:
        raise ArgumentError(f"{what}: expected one of {', '.join(plain.values())}, got {shown(name)}.")
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def loss(name: str) -> Loss:
    """A loss by name, with PyTorch's defaults, but batches first: `cross_entropy`, `mse` and the others of `LOSSES`.

    Raises:
        ArgumentError: Another name.
    """
    return LOSSES[known("loss", name, LOSSES)]()


def optimizer(name: str, parameters: Params, lr: float | None = None) -> Optimizer:
    """An optimizer by name, with settings that suit the networks of the zoo.

    Args:
        name: `sgd` (momentum 0.9, weight decay 5e-4), `adam`, `adamw` and the others of `OPTIMIZERS`.
        parameters: What it learns, or groups of them.
        lr: The learning rate; by default what `OPTIMIZERS` says: 0.05 for sgd, 0.001 for adam and adamw.

    Raises:
        ArgumentError: Another name, or a negative learning rate.
    """
    kind, settings = OPTIMIZERS[known("optimizer", name, OPTIMIZERS)]
    return kind(parameters, **(settings if lr is None else settings | {"lr": lr}))  # type: ignore[arg-type]


def _one_cycle(optimizer: Any, steps: int) -> Schedule:
    return OneCycleLR(optimizer, optimizer.lr, steps, pct_start=RISE, cycle_momentum=False)


def _cosine(optimizer: Any, steps: int) -> Schedule:
    warm_up = max(1, round(WARM_UP * steps))
    rise = LinearLR(optimizer, 0.1, 1.0, warm_up)
    fall = CosineAnnealingLR(optimizer, max(1, steps - warm_up))
    return SequentialLR(optimizer, [rise, fall], [warm_up])


SCHEDULES: dict[str, Callable[[Any, int], Schedule] | None] = {
    "constant": None,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
}


def schedule(name: str) -> Callable[[Any, int], Schedule] | None:
    """A schedule by name, as `fit` takes it: made once the optimizer and the number of steps are known.

    Args:
        name: `constant`; `cosine`, which rises for a twentieth of the steps and falls to zero along half a wave;
            `one-cycle`, which rises from a twenty-fifth for a fifth of the steps and falls to nearly nothing.

    Raises:
        ArgumentError: Another name.
    """
    return SCHEDULES[known("schedule", name, SCHEDULES)]


class Recipe(NamedTuple):
    """Settings that train well from nothing, found by trying.

    Attributes:
        model: A network of the zoo.
        epochs: Times through all images.
        batch_size: Images in a step.
        optimizer: By name.
        lr: The greatest learning rate.
        schedule: By name.
        augmentation: A preset of `colonnade.data.augmentation`.
        average: The decay of the exponential moving average of the weights; 0 for none.
        label_smoothing: Of `CrossEntropyLoss`.
    """

    model: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    schedule: str
    augmentation: str
    average: float
    label_smoothing: float

    @property
    def mirrored(self) -> bool:
        """Whether the model answers by the mean over an image and its mirror image: where training mirrors, too."""
        return mirrors(preset(self.augmentation))


class Known(NamedTuple):
    """What is known of a data set by its name.

    Attributes:
        images: To learn from.
        shape: Of an image, (c, h, w).
        mirrored: Whether the mirror image of any is one of the same class.
    """

    images: int
    shape: Shape
    mirrored: bool


KNOWN: dict[str, Known] = {
    "digits": Known(1_442, (1, 8, 8), mirrored=False),
    "mnist": Known(60_000, (1, 28, 28), mirrored=False),
    "kmnist": Known(60_000, (1, 28, 28), mirrored=False),
    "fashion-mnist": Known(60_000, (1, 28, 28), mirrored=True),
    "cifar10": Known(50_000, (3, 32, 32), mirrored=True),
    "cifar100": Known(50_000, (3, 32, 32), mirrored=True),
}


def recipe(data: str | None = None, images: int = 0, shape: Shape = PHOTOGRAPH) -> Recipe:
    """The settings for images: from how many there are to learn from, how large they are, and in how many channels.

    | images | network | optimizer | augmentation |
    | --- | --- | --- | --- |
    | of less than 16 pixels a side | `cnn` | AdamW, up to 0.005 | `flip` |
    | up to 48 pixels a side, 2,000 or more | `resnet9` | SGD, up to 0.05 | `light` |
    | others | `photo_cnn` | AdamW, up to 0.003 | `photographs` |

    The latter two have smoothed labels and the average of their weights. All go through one cycle of the rate. Epochs
    are 20 for the first, and for the others

        pixels / (images · h · w), pixels = 430 million for `resnet9` and 1,600 million for `photo_cnn`,

    from 4 to 100, so that training on many images takes about half an hour of two cores, however many and large they
    are, and on few ones less.

    In colour the mirror image of anything is taken for one of the same class: training mirrors half of the images, and
    the model answers by an image and its mirror image. Grey images may be characters, or radiographs, which know left
    from right: they are turned, moved and scaled a little (`characters`) and never mirrored. Whether a data set in grey
    may be mirrored can't be seen in it; of those that are known by name it is known.

    Args:
        data: The name of a data set of which all this is known: digits, mnist, kmnist, fashion-mnist, cifar10 or
            cifar100. Any other stands for images of which the other arguments tell.
        images: To learn from; 0 where that is not known.
        shape: Of an image, (c, h, w).
    """
    images, shape, mirrored = KNOWN.get(data or "", Known(images, shape, shape[0] > 1))
    side = min(shape[1:])
    if side < TINY:
        augmentation = "flip" if mirrored else "characters"
        return Recipe("cnn", 20, 64, "adamw", 0.005, "one-cycle", augmentation, 0.0, 0.0)
    model = "resnet9" if side <= SMALL and images >= MANY else "photo_cnn"
    epochs = min(max(round(SEEN[model] / max(images * prod(shape[1:]), 1)), FEWEST_EPOCHS), MOST_EPOCHS)
    if model == "resnet9":
        augmentation = "light" if mirrored else "characters"
        return Recipe(model, epochs, 128, "sgd", 0.05, "one-cycle", augmentation, 0.99, 0.1)
    augmentation = "photographs" if mirrored else "characters"
    batch = 32 if images < BATCHES_OF_128 else 128
    return Recipe(model, epochs, batch, "adamw", 0.003, "one-cycle", augmentation, 0.99, 0.1)
