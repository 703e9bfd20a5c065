"""Networks from PyTorch and back: `from_torch`, `load_torch`, `to_torch`. See docs/porting.md.

This module knows nothing of PyTorch, and so can be imported by those who do without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ... import arguments
from ...errors import MissingExtraError
from ...model import Model
from ...ops.layout import Array

if TYPE_CHECKING:
    import torch


def from_torch(module: torch.nn.Module, input_shape: Sequence[Any] | None = None) -> Model:
    """The model that computes what a module of PyTorch does, with a copy of its weights.

    A `torch.nn.Sequential` of known layers, nested or not, becomes a chain. Of any other module `torch.fx` follows
    the forward pass, or, where the code decides by shapes, `torch.export` (PyTorch 2.4 or later), and it becomes a
    :class:`~colonnade.Graph` whose nodes are called as the modules are, so that the names in the state dict are
    PyTorch's. A parameter that stands by itself, such as a class token, becomes a :class:`~colonnade.Constant`: its
    name ends in `.weight`, and the axis of the batch is gone from its shape.

    The module itself stays as it is. What it does only in training (an auxiliary output, say) is left out, with a
    warning. Parameters that require no gradient are frozen, as :meth:`Model.freeze` has it. The model is of float64 if
    a parameter is, otherwise of float32.

    Args:
        module: Of layers and functions that Colonnade has.
        input_shape: One image's, (c, h, w); a tuple of shapes for several inputs. Only needed where the module's
            code, or where it adds a parameter, depends on shapes: the error says so.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ArgumentError: No module, one that can't be followed, or something in it that has no counterpart: the
            message names its path, its type or function, and the reason.
        ShapeError: An input shape that does not fit.
    """
    _require_torch("from_torch")
    from .conversion import convert

    return convert(module, input_shape)


def load_torch(path: str | os.PathLike[str], into: Model | None = None) -> dict[str, Array]:
    """The weights in a file that PyTorch wrote, by their names; they are put into a model, if one is given.

    Args:
        path: A `.safetensors` file, for which PyTorch is not needed; any other is read by `torch.load` with
            `weights_only=True`, which makes tensors and executes nothing. It holds a state dict, by itself or under
            a name such as "state_dict" in a checkpoint.
        into: A model with parameters of the same names and shapes. A prefix that all names in the file share
            ("module.", "model.") is taken off. A :class:`~colonnade.Constant` "token.weight" takes a "token" too.
            Axes of length 1 more or less are no difference.

    Returns:
        Arrays by the names in the file. Of bfloat16, which NumPy does not know, they are float32.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no state dict, is damaged, or claims to hold more than it does.
        MissingExtraError: PyTorch is needed and not installed.
        ArgumentError: No path, or names that differ from the model's: the first of them are named.
        ShapeError: An array of another shape than the model's.
    """
    arguments.path("load_torch", "path", path)
    from .state import load

    return load(path, into)


def to_torch(model: Model) -> torch.nn.Module:
    """The module of PyTorch that computes what a model does, with a copy of its weights and the same state dict.

    A chain becomes a `torch.nn.Sequential`, and every layer that `torch.nn` has becomes that one. A Graph, a Residual
    and what else there is become small modules of :mod:`colonnade.formats.pytorch.counterparts`, which
    :func:`from_torch` knows. Frozen parameters require no gradient, fixed ones are buffers. What PyTorch has no place
    for (the seed, classes, normalisation, frozen layers) goes along in the attribute `colonnade`, for `from_torch`. So
    does that a model is `mirrored`: the module computes the outputs for the images that it is given, and no mean.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ArgumentError: A layer that has no counterpart: it is named.
    """
    _require_torch("to_torch")
    from .exporter import convert

    return convert(model)


def _require_torch(who: str) -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError(f"{who}: it needs PyTorch, which is not installed: pip install torch") from None
