"""Trained weights for networks of the zoo: what torchvision and timm have learned, in safetensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import arguments, storage
from ..composites import Graph
from ..errors import FileFormatError
from ..limits import of_files
from ..model import Model
from ..steps import Edge, Step
from ..storage import StrPath
from ..tensor import Shape

SHOWN = 3  # names of tensors in a message
PICKLED = (".bin", ".ckpt", ".pkl", ".pt", ".pth", ".tar")
Renaming = Sequence[tuple[str, str]]  # regular expressions of others' names, and what stands for them here

# torchvision's names are ours, but for arrays that are alone with their names there.
TORCHVISION: Renaming = [
    (r"(.*\.)?(layer_scale|class_token|pos_embedding)", r"\1\2.weight"),
    (r"(.*\.mlp)\.linear_1\.(\w+)", r"\1.0.\2"),  # of its vision transformers, before 0.14
    (r"(.*\.mlp)\.linear_2\.(\w+)", r"\1.3.\2"),
]


def made(
    who: str, net: Graph, input_shape: Shape, weights: StrPath | None, renaming: Renaming, options: dict[str, Any]
) -> Model:
    """The model of a network of the zoo, with the weights of a file, if one is named.

    Args:
        who: The network's name.
        net: Its layers.
        input_shape: One image's.
        weights: A safetensors file by our names, torchvision's or timm's; see `fitting`.
        renaming: What timm calls things, and what they are called here.
        options: `Model`'s.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: Another kind of file, or one of another network.
        LimitError: More memory or work than there may be.
    """
    if weights is None:
        return Model(net, **options).build(input_shape)
    weights = Path(arguments.path(who, "weights", weights))
    limits = of_files()
    names = fitting(who, net, weights, renaming)  # before anything is allocated
    model = Model(net, **options)
    model.limits = limits
    model.build(input_shape)
    tensors, _ = storage.read(weights)
    model.load_state_dict({own: tensors[name] for own, name in names.items()})
    return model


def fitting(who: str, net: Graph, weights: Path, renaming: Renaming) -> dict[str, str]:
    """For each array of a network the name of its own in a file, of whose shapes alone this is made.

    Axes of length 1 more or less are no difference.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: Another kind of file, or one of another network: the first arrays that are missing, left over
            or of another shape are named.
    """
    if weights.suffix.lower() in PICKLED:
        raise FileFormatError(
            f"{weights}: {who} reads safetensors alone, never pickle: in PyTorch, "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')."
        )
    shapes = storage.shapes(weights)
    needed, optional = _declared(net)
    own = needed | optional
    names = {_own_name(name, own, renaming): name for name in shapes}
    wrong = [
        f"{name} is {shapes[names[name]]} rather than {shape}"
        for name, shape in own.items()
        if name in names and not _same(shapes[names[name]], shape)
    ]
    faults = [
        _listed("lacks", [name for name in needed if name not in names]),
        _listed("left over are", [name for known, name in names.items() if known not in own]),
        _listed("", wrong),
    ]
    if len(names) < len(shapes):
        faults.append("two arrays have one name here")
    if found := "; ".join(fault for fault in faults if fault):
        raise FileFormatError(f"{weights}: not the weights of {who}: {found}.")
    return names


def _declared(net: Graph) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """The shapes of all that a network learns, and of what else its state may hold."""
    steps: list[Step] = []
    net.unroll([Edge() for _ in net.inputs], "", steps)
    needed: dict[str, Shape] = {}
    optional: dict[str, Shape] = {}
    for step in steps:
        needed |= {f"{step.name}.{name}": parameter.shape for name, parameter in step.layer.parameters()}
        for name in step.layer.buffers:
            (needed if name.startswith("running_") else optional)[f"{step.name}.{name}"] = getattr(
                step.layer, name
            ).shape
    return needed, optional


def _own_name(name: str, own: Mapping[str, Shape], renaming: Renaming) -> str:
    if name in own:
        return name
    for pattern, replacement in (*renaming, *TORCHVISION):
        if found := re.fullmatch(pattern, name):
            return found.expand(replacement)
    return name


def _same(held: Iterable[int], shape: Shape) -> bool:
    return [size for size in held if size != 1] == [size for size in shape if size != 1]


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return f"{what} {', '.join(names[:SHOWN])}{rest}".strip()
