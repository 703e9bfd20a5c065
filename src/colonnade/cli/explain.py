"""`colonnade explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    AllowLinks,
    AsJson,
    Compiled,
    Image,
    ModelFile,
    Threads,
    image_shape,
    say,
    set_compiled,
    set_threads,
)

if TYPE_CHECKING:
    from ..model import Model

SMALL = 32  # pixels of a side: photographs of no more are enlarged, all others stay as large as they are
SIDE = 224  # to which they are
SHOWN = 64  # of a layer's maps
LONGEST_TITLE = 24
LISTED = 100  # classes


def explain(
    model: ModelFile,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False, help="An image file.")],
    of_class: Annotated[
        str | None,
        typer.Option("--class", metavar="N|NAME", help="The class to explain; by default the likeliest."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", metavar="NAME", help="The layer to look from; by default the last with maps but pools."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the pictures go.")] = Path("explained"),
    size: Image = None,
    allow_links: AllowLinks = False,
    threads: Threads = None,
    compiled: Compiled = None,
    as_json: AsJson = False,
) -> None:
    """Show in pictures where a model looks: Grad-CAM, occlusion, and a layer's feature maps.

    The first two are laid over the photograph at its own size, and one picture has all of them side by side. Prints
    the class, the layer and the files.
    """
    import numpy as np

    from .. import explain as explaining, pictures, storage
    from ..data.images import read_image, read_images
    from ..errors import ArgumentError
    from ..formats import load
    from ..printable import printable

    set_threads(threads)
    set_compiled(compiled)
    net = load(model, image_shape(size), allow_links=allow_links)
    if (shape := net.input_shape or net.open_shape) is None:
        raise ArgumentError(f"{model}: the model has never seen an image: say with --input how large they are.")
    batch = read_images([image], shape)
    pixels, probabilities = batch[0], net.predict_proba(batch)[0]
    names = net.classes or [str(number) for number in range(len(probabilities))]
    number = int(probabilities.argmax()) if of_class is None else class_number(net, of_class)
    layer = explaining.default_layer(net) if layer is None else layer
    explaining.find_maps("--layer", net, layer)
    lost = explaining.occlusion(net, pixels, number)
    lost = np.maximum(lost, 0) / (lost.max() if lost.max() > 0 else 1.0)
    heat = explaining.grad_cam(net, pixels, number, layer)
    maps = explaining.feature_maps(net, pixels, layer)[:SHOWN]
    photograph = read_image(image)
    side = SIDE if min(photograph.shape[1:]) <= SMALL else 0
    made = {
        "image": pictures.enlarged(pictures.picture(photograph), side),
        "grad-cam": pictures.laid_over(heat, photograph, side),
        "occlusion": pictures.laid_over(lost, photograph, side),
        "features": pictures.enlarged(pictures.sheet(np.stack([pictures.picture(each) for each in maps])), SIDE),
    }
    titled = f"{printable(names[number], LONGEST_TITLE)} {probabilities[number]:.2f}"
    titles = (titled, "Grad-CAM", "occlusion", f"layer {layer}")
    made["combined"] = pictures.side_by_side([*made.values()], titles)
    folder = storage.check_writable(out)
    files = {name: folder / f"{image.stem}-{name}.png" for name in made}
    for name, picture in made.items():
        storage.replace(files[name], pictures.png(picture))
    if as_json:
        answer = {"class": names[number], "number": number, "probability": float(probabilities[number]), "layer": layer}
        typer.echo(json.dumps(answer | {"files": {name: str(file) for name, file in files.items()}}))
        return
    say(f"class {printable(names[number])} {probabilities[number]:.4f}")
    say(f"layer {layer}")
    for file in files.values():
        say(file)


def class_number(net: Model, wanted: str) -> int:
    """The number of a class given by its name, or by the number itself.

    Raises:
        ArgumentError: There is no such class; the message has the nearest name.
    """
    import difflib

    from ..data.pairing import listed
    from ..errors import ArgumentError

    names, count = net.classes or [], int(net.output_shape[0])
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < count:
        return int(wanted)
    near = [] if wanted.isdecimal() else difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected a name, or a number from 0 to {count - 1}."
    known = f" The classes are {listed(names, LISTED)}." if names else ""
    raise ArgumentError(f"There is no class {wanted!r}: {hint}{known}")
