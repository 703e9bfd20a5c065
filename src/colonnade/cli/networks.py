"""The networks of the zoo by the names that a person types."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError

if TYPE_CHECKING:
    from ..model import Model

FILES = (".safetensors", ".onnx", ".pt", ".pth")  # what names of files end in, and none of a repository's
Maker = Callable[..., "Model"]


def networks() -> dict[str, Maker]:
    """The networks of :mod:`colonnade.zoo` by name."""
    from .. import zoo

    return {name: getattr(zoo, name) for name in zoo.__all__}


def network(name: str) -> Maker:
    """The one called `name`.

    Raises:
        ArgumentError: There is none; the message has the nearest name.
    """
    known = networks()
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join(known)}."
    raise ArgumentError(f"There is no model {name!r}: {hint}")


def is_pretrained(name: str) -> bool:
    """Whether a name is none of the zoo's, but of a file, a folder or a repository of the Hub."""
    path = Path(name)
    return name not in networks() and ("/" in name or path.suffix.lower() in FILES or path.exists())


def called(name: str) -> str:
    """What a run of the network of that name is called by: its last part, without what files end in."""
    path = Path(name)
    return path.stem if path.suffix.lower() in FILES else path.name


def pretrained(name: str) -> Model:
    """The trained model in a file or the folder of a run, or in a repository or a folder of its layout.

    Raises:
        ArgumentError: The name of a file that is not there: nobody on the Hub is asked for it.
    """
    from ..formats import load
    from ..hub import CONFIG, load as load_from_hub

    path = Path(name)
    if path.suffix.lower() in FILES and not path.exists():
        raise ArgumentError(f"There is no file {name!r}.")
    return load(path) if path.exists() and not (path / CONFIG).exists() else load_from_hub(name)


def model_or_network(name: str, input_shape: tuple[int, ...] | None, allow_links: bool = False) -> Model:
    """The model in a file of that name, or else the network of the zoo, made for images of that shape.

    Data of an ONNX file may lie behind links with `allow_links` alone.

    Raises:
        ArgumentError: There is neither.
    """
    from ..formats import load

    if name not in networks() and Path(name).exists():
        return load(name, input_shape, allow_links=allow_links)
    return network(name)(**({} if input_shape is None else {"input_shape": input_shape}))
