"""Files that models come from and go to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import arguments
from ..errors import ArgumentError, FileFormatError, MissingExtraError
from ..layers.base import Layer
from ..limits import of_files
from ..model import Model
from .pytorch import from_torch, load_torch, to_torch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["export_onnx", "from_torch", "load", "load_torch", "to_torch"]


def load(
    path: str | os.PathLike[str],
    input_shape: Sequence[Any] | None = None,
    *,
    custom: Sequence[type[Layer]] = (),
    memory: float | str | None = None,
    work: float | str | None = None,
    allow_links: bool = False,
    constants: Mapping[str, ArrayLike] | None = None,
) -> Model:
    """The model in a file: one that :meth:`Model.save` wrote, or ONNX.

    Args:
        path: A safetensors file, one whose name ends in `.onnx`, or the folder of a training run.
        input_shape: One image's, (c, h, w), or one of each input, that the model is built for; by default what the
            file says. Sizes that an ONNX file leaves open are taken from each batch otherwise.
        custom: Layer classes of your own that the model uses. Nothing in the file can name any other code.
        memory: The most bytes that the model may take, or text such as "2G". By default what the environment variable
            COLONNADE_MEMORY says, or else all the memory of this machine, container or process.
        work: The most work of one image, in multiplications (see :meth:`colonnade.Layer.work`). By default what
            COLONNADE_WORK says, or else 5e12: some minutes of one core.
        allow_links: Whether data of an ONNX file that lies in files beside it may lie behind links, as it does in the
            cache of a download. Ask for it only where you know who made the links.
        constants: Inputs of an ONNX file that are the same at every call, by name, such as a sampling rate: the model
            has them no more.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no model, is damaged, or was written by a newer version.
        LimitError: A model that takes more memory or work than it may. One whose input's size is not known yet raises
            it when it is.
        ShapeError: An input shape that the model does not fit.
        ArgumentError: A limit that is no positive number, or no path; constants that are none of an ONNX file's inputs,
            or of another shape.
    """
    arguments.path("load", "path", path)
    if os.path.isdir(path):  # noqa: PTH112 - pathlib is slow to import
        from ..runs import model_file

        path = model_file(path)
    limits, allow_links = of_files(memory, work), arguments.flag("load", "allow_links", allow_links)
    if os.fspath(path).lower().endswith(".onnx"):
        from . import onnx  # and with it a package that most do without

        model = onnx.load(path, input_shape=input_shape, limits=limits, allow_links=allow_links, constants=constants)
    else:
        from . import native  # and with it what only those need who read files

        if constants:
            raise ArgumentError("load: constants are inputs of an ONNX file, and this is none.")
        try:
            model = native.load(path, custom=custom, limits=limits)
        except FileFormatError:
            _require_no_torch(path)
            raise
    return model if input_shape is None else model.build(input_shape)


def _require_no_torch(path: str | os.PathLike[str]) -> None:
    """Raise FileFormatError for what PyTorch wrote: its file holds weights, and the network is in a program."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        start = file.read(4)
    if start == b"PK\x03\x04" or start[:2] in (b"\x80\x02", b"\x80\x04"):
        raise FileFormatError(
            f"{os.fspath(path)}: written by torch.save, which keeps weights and no network: "
            "make the model, of layers or by from_torch(module), then load_torch(path, into=model)."
        )


def export_onnx(
    model: Model,
    path: str | os.PathLike[str],
    *,
    opset: int = 18,
    normalization: bool = False,
    custom: Mapping[type[Layer], Callable[..., str]] | None = None,
) -> None:
    """Write a model as an ONNX file, to be run elsewhere, for batches of any size.

    Inputs and outputs are called as in :attr:`Model.inputs` and :attr:`Model.outputs`, by default "input" and "output",
    with a number behind what is taken in the file: an output called as an input is, say. Both are in the paper's order,
    (n, c, h, w). Numbers that an :class:`~colonnade.Embedding` looks up come as int64. Parameters have
    the names of the state dict, nodes those of the layers. The names of the classes, and the normalisation if it is
    not part of the graph, are in the file's metadata, as JSON under `classes` and `normalization`. What only training
    needs is left out of the graph; :func:`load` finds it under `colonnade`, if the graph is still the one written. Of a
    model that is `mirrored` the graph puts out the mean of the outputs for an image and for its mirror image. The file
    is checked, written beside its place and renamed over it.

    Args:
        model: Its input's size must be known; it is fixed in the file, all but the number of images.
        path: Its name ends in `.onnx`.
        opset: The version of ONNX's operators, 13 or higher.
        normalization: Begin with the model's own, (x − mean) / std: the graph then takes pixels divided by 255.
        custom: For each layer class of your own a function that says it in the operators of ONNX. It is called as
            `function(graph, layer, *inputs)`, with the names of the layer's inputs, and returns that of its output;
            `graph` is a :class:`~colonnade.formats.onnx.writer.GraphWriter`:
            `custom={Square: lambda graph, layer, x: graph.node("Mul", x, x)}`.

    Raises:
        MissingExtraError: The package onnx is not installed.
        ArgumentError: A model whose input's size is not known, a layer that ONNX can't express and `custom` does not,
            an opset that is too old or that the package onnx does not know, another ending of the file's name,
            weights of more than 2 GiB, a normalisation that the model has not.
        OSError: What the disk says.
    """
    arguments.path("export_onnx", "path", path)
    require_onnx("export_onnx")
    from .onnx.exporter import export

    export(model, path, opset=opset, normalization=normalization, custom=custom or {})


def require_onnx(who: str) -> None:
    """Raise MissingExtraError where the package onnx, which most do without, is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingExtraError(f'{who} needs the package onnx: pip install "colonnade[onnx]".') from None
