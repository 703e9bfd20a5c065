"""Augmentations by name, and made again from their configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import ArgumentError
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

KNOWN: dict[str, type[Augmentation]] = {
    each.__name__: each
    for each in (
        *(RandomHorizontalFlip, RandomVerticalFlip, RandomCrop, RandomResizedCrop, RandomRotation, RandomAffine),
        *(ColorJitter, RandomErasing, Cutout, MixUp, CutMix, RandAugment),
    )
}
DEEPEST = 32  # a configuration nested further is refused, before Python's stack is at its end


def _flip() -> list[Augmentation]:
    return [RandomHorizontalFlip()]


def _light() -> list[Augmentation]:
    return [RandomCrop(padding=2, padding_mode="edge"), RandomHorizontalFlip()]


def _characters() -> list[Augmentation]:
    return [RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=10, interpolation="bilinear")]


def _objects() -> list[Augmentation]:
    return [RandomCrop(padding=4), RandomHorizontalFlip(), Cutout(8)]


def _photographs() -> list[Augmentation]:
    return [
        RandomResizedCrop(scale=(0.35, 1.0)),
        RandomHorizontalFlip(),
        ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
    ]


def _strong() -> list[Augmentation]:
    return [
        RandomResizedCrop(scale=(0.25, 1.0)),
        RandomHorizontalFlip(),
        RandAugment(interpolation="bilinear", fill=0.5),
        RandomErasing(p=0.25, value=0.5),
    ]


PRESETS: dict[str, Callable[[], list[Augmentation]]] = {
    "none": list,
    "flip": _flip,
    "light": _light,
    "characters": _characters,
    "objects": _objects,
    "photographs": _photographs,
    "strong": _strong,
}


def preset(name: str) -> Compose:
    """The augmentation of that name, for images of any size and channel count.

    Args:
        name: `"none"`; `"flip"`: left and right; `"light"`: moves by up to 2 pixels, and flips; `"characters"`, which
            know left from right: small turns, moves, scales and shears; `"objects"`, small pictures of 32×32 and
            about: moves by up to 4 pixels, flips, and a square of 8 cut out; `"photographs"`: resized crops, flips,
            brightness, contrast and saturation; `"strong"`: resized crops, flips, RandAugment and erasing, for long
            runs on few photographs.

    Raises:
        ArgumentError: An unknown name.
    """
    if name not in PRESETS:
        raise ArgumentError(f"There is no augmentation {name!r}: {_hint(name, PRESETS)}")
    return Compose(PRESETS[name]())


def mirrors(augmentation: Augmentation) -> bool:
    """Whether an augmentation exchanges left and right of some images, by `RandomHorizontalFlip`."""
    if isinstance(augmentation, Compose):
        return any(map(mirrors, augmentation.transforms))
    return isinstance(augmentation, RandomHorizontalFlip) and augmentation.p > 0


def from_config(config: Mapping[str, Any], custom: Iterable[type[Augmentation]] = ()) -> Augmentation:
    """The augmentation that `config()` described: a known class, called with the arguments given; nothing else.

    Args:
        config: As from :meth:`Augmentation.config`, also after a journey through JSON or TOML.
        custom: Classes of your own that it may name.

    Raises:
        ArgumentError: An unknown class, arguments that it does not take, or no description of one.
    """
    return _made(config, KNOWN | {each.__name__: each for each in custom}, depth=0)


def _made(config: Any, known: Mapping[str, type[Augmentation]], depth: int) -> Augmentation:
    if depth > DEEPEST:
        raise ArgumentError(f"augmentation: nested more than {DEEPEST} deep.")
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise ArgumentError(f"augmentation: expected a table with the entry 'type', got {config!r:.80}.")
    name, arguments = config["type"], {key: value for key, value in config.items() if key != "type"}
    if name == "Compose":
        transforms = arguments.pop("transforms", None)
        if not isinstance(transforms, list) or arguments:
            raise ArgumentError("Compose: expected a list of 'transforms' and nothing else.")
        return Compose(_made(each, known, depth + 1) for each in transforms)
    if name not in known:
        raise ArgumentError(f"There is no augmentation {name!r}: {_hint(name, [*known, 'Compose'])}")
    try:
        return known[name](**arguments)
    except TypeError as error:  # Python's word for an argument that is missing or unknown
        raise ArgumentError(f"{name}: {str(error).removeprefix(f'{name}.__init__() ')}.") from None


def _hint(name: object, known: Iterable[str]) -> str:
    import difflib  # few mistype a name

    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}."
