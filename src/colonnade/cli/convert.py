"""`colonnade export` and `colonnade import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowLinks, Image, Mirrored, ModelFile, image_shape, say, set_mirrored


def export(
    model: ModelFile,
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", show_default=False, help="The file to write.")],
    image: Image = None,
    allow_links: AllowLinks = False,
    opset: Annotated[int, typer.Option("--opset", metavar="N", help="The version of ONNX's operators.")] = 18,
    normalization: Annotated[
        bool, typer.Option("--normalization", help="Let the graph normalise: it then takes pixels divided by 255.")
    ] = False,
    mirrored: Mirrored = None,
) -> None:
    """Write a model as an ONNX file, for batches of any size."""
    from ..errors import ArgumentError
    from ..formats import export_onnx, load

    net = load(model, image_shape(image), allow_links=allow_links)
    set_mirrored(net, mirrored)
    if net.input_shape is None:
        raise ArgumentError(f"{model}: the model has never seen an image: say with --input how large they are.")
    export_onnx(net, out, opset=opset, normalization=normalization)
    say(f"wrote {out}")


def import_(
    source: Annotated[Path, typer.Argument(metavar="IN.onnx", show_default=False, help="An ONNX file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.safetensors", show_default=False, help="The file to write.")],
    image: Image = None,
    allow_links: AllowLinks = False,
) -> None:
    """Write the network of an ONNX file as a model of ours, which needs no ONNX any more."""
    from ..errors import ArgumentError
    from ..formats.onnx import load

    if out.suffix.lower() != ".safetensors":
        raise ArgumentError(f"{out}: the name of a model must end in .safetensors.")
    net = load(source, input_shape=image_shape(image), allow_links=allow_links)
    if net.input_shape is None:
        raise ArgumentError(f"{source}: the file leaves sizes open: say how large an image is, --input C,H,W.")
    net.save(out)
    say(f"wrote {out}")
