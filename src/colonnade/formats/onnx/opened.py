"""Files that leave sizes open: the graph is made for images of each shape, of one set of weights."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...composites import Graph
from ...errors import FileFormatError, LimitError, ShapeError
from ...limits import Limits
from ...model import Model
from ...tensor import Shape
from .importer import Importer
from .names import Names
from .reading import Port, Source

# What is tried, one after the other, to see of what layers a network is: sides of images, then lengths of sounds.
SIZES = (224, 64, 32, 28, 256, 128, 299, 384, 512, 16, 8, 4, 2, 1, 640, 1024, 4096, 16_384, 65_536)


def opened(source: Source, limits: Limits) -> Model:
    """The model of a file that leaves sizes open: it takes images of every shape that the graph can be made for.

    Raises:
        FileFormatError: Nothing that was tried fits.
    """
    reasons: Counter[str] = Counter()
    for size in SIZES:
        remake = Remake(source, limits)
        try:
            model = Importer(source, input_shape=remake.filled(size), limits=limits, names=remake.names).model()
        except (FileFormatError, LimitError) as error:
            reasons[str(error)] += 1
            if max(reasons.values()) > len(SIZES) / 2:  # another size would not help
                raise FileFormatError(str(error)) from None
            continue
        remake.inputs = model.inputs
        model.remake, model.input_shape = remake, None
        return model
    try:
        return Importer(source, limits=limits).model()  # which says what is open
    except FileFormatError as error:
        raise FileFormatError(f"{error} Of the sizes that were tried none fits: {next(iter(reasons))}") from None


class Remake:
    """Makes the graph of one file for images of each shape.

    Its nodes have the same names at every size, so that a model finds again what it has learned.

    Args:
        source: The file.
        limits: What the model may take.

    Attributes:
        inputs: The names of the model's inputs, once it is made.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.names = Names(source.constants)
        self.inputs: tuple[str, ...] = ()

    def __call__(self, shapes: tuple[Shape, ...]) -> Graph:
        """The graph for images of these shapes, one of each input; raises ShapeError where there is none."""
        given = dict(zip(self.inputs, shapes, strict=True))
        try:
            graph = Importer(self.source, input_shape=given, limits=self.limits, names=self.names).graph()
        except FileFormatError as error:
            raise ShapeError(f"Model: images of {', '.join(map(str, shapes))} don't fit: {error}") from None
        if graph.inputs != self.inputs:
            raise ShapeError(
                f"Model: images of {', '.join(map(str, shapes))} don't fit: of the inputs "
                f"{', '.join(self.inputs)} only {', '.join(graph.inputs)} would count."
            )
        return graph

    @property
    def open(self) -> tuple[tuple[int | None, ...], ...]:
        """One image's shape of each input, with None for the sizes that the file leaves open."""
        ports = {port.name: port for port in self.source.inputs}
        return tuple(_known(ports[name]) for name in self.inputs)

    def filled(self, size: int) -> dict[str, Shape]:
        """One image's shape of each input by name, with this for the sizes that the file leaves open."""
        return {
            port.name: tuple(size if each is None else each for each in _known(port)) for port in self.source.inputs
        }

    def __deepcopy__(self, memo: Any) -> Remake:
        """With names of its own, and the file in common: nobody changes that."""
        made = Remake(self.source, self.limits)
        made.names, made.inputs = self.names.copy(), self.inputs
        return made


def _known(port: Port) -> tuple[int | None, ...]:
    return tuple(each if isinstance(each, int) else None for each in (port.shape or ())[1:])
