"""Functions of parameters alone, whose result is the same for every image.

Colonnade calculates it for each image, (n, ...), so that the gradients add up over the batch. What PyTorch calls axis 0
is axis 1 here.
"""

from __future__ import annotations

import inspect
import string
from typing import TYPE_CHECKING, Any

from ... import layers
from .functions.arithmetic import add, affine, join, mul, rsqrt, square
from .functions.axes import expand, permute, reshape
from .functions.indexing import getitem
from .values import BATCH, Array, Convert, Fixed, Tensor, Turned, Unconvertible, Value

if TYPE_CHECKING:
    from .importer import Importer

# Arguments that name axes.
AXES = ("dim", "dim0", "dim1", "dims", "start_dim", "end_dim", "source", "destination")
# Functions whose arguments are the sizes or places of all axes, and what they have for the batch.
SIZES: dict[str, Any] = {"expand": BATCH, "permute": 0, "repeat": 1, "reshape": BATCH, "tile": 1, "view": BATCH}
# Functions that take axes in another way, or the first axis for the batch's.
OTHERWISE = {"cosine_similarity", "group_norm", "instance_norm", "pairwise_distance", "unfold"}


def fixed(graph: Importer, x: Any) -> Any:
    """An array as a tensor that calculations can begin with; anything else as it is."""
    if isinstance(x, tuple | list):
        return tuple(fixed(graph, each) for each in x)
    if not isinstance(x, Array):
        return x
    return Fixed(graph.constant(x, x.tensor.ndim + 1))


def call(graph: Importer, name: str, convert: Convert, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function makes of tensors that are the same for every image, and of nothing else."""
    if name == "einsum":
        return closed(graph, _einsum(graph, convert, *args, **kwargs))
    if name in OTHERWISE:
        raise Unconvertible("it is not known for parameters alone")
    first = next((number for number, each in enumerate(args) if isinstance(each, Array | Fixed | list | tuple)), 0)
    x, *rest = (opened(fixed(graph, each) if number == first else each) for number, each in enumerate(args))
    if name == "t":
        return closed(graph, permute(graph, x, 0, 2, 1) if x.rank == 3 else x)
    if name in ("expand_as", "reshape_as", "view_as"):
        name = name.removesuffix("_as")
        convert = expand if name == "expand" else reshape
        rest = list(rest[0].known if isinstance(rest[0], Value) else rest[0].tensor.shape)
    if name == "batch_norm":
        return closed(graph, _batch_norm(graph, x, *rest, **{key: opened(each) for key, each in kwargs.items()}))
    if name == "getitem":
        return closed(graph, _getitem(graph, x, *rest))
    if name in SIZES:
        sizes = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
        sizes = [_next(size, x.rank - 1) for size in sizes] if name == "permute" else sizes
        if name == "expand" and len(sizes) > x.rank - 1:
            x = reshape(graph, x, BATCH, *[1] * (len(sizes) - x.rank + 1), *x.known)
        return closed(graph, convert(graph, x, SIZES[name], *sizes))
    given = inspect.signature(convert).bind(graph, x, *rest, **{key: opened(each) for key, each in kwargs.items()})
    given.apply_defaults()
    for key, value in given.arguments.items():
        if key in AXES:
            given.arguments[key] = _next_of_all(value)
        if key == "other" and isinstance(value, Value):
            given.arguments[key], given.arguments["input"] = _alike(graph, value, given.arguments["input"])
    return closed(graph, convert(*given.args, **given.kwargs))


def opened(x: Any) -> Any:
    """What is the same for every image, as a tensor of the batch; a list of such too."""
    if isinstance(x, tuple | list):
        return type(x)(opened(each) for each in x)
    return x.value if isinstance(x, Fixed) else x


def closed(graph: Importer, x: Any) -> Any:
    """The other way."""
    if isinstance(x, tuple | list):
        return tuple(closed(graph, each) for each in x)
    x = graph.value(x) if isinstance(x, Turned) else x
    if isinstance(x, Value):
        if x.windows:
            raise Unconvertible("what is made of parameters can't be moved into the axis of the batch")
        return Fixed(x)
    return x


def _batch_norm(
    graph: Importer, x: Value, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Of (1, channels, ...), as weights are standardised: each channel with its own mean and variance."""
    if running_mean is not None or not training:
        raise Unconvertible("what is made of parameters has no running statistics")
    axes = (1, *range(3, x.rank))
    centred = join(layers.Sub)(graph, x, graph.put(layers.Mean(axes, True), x))
    variance = graph.put(layers.Mean(axes, True), square(graph, centred))
    y = mul(graph, centred, rsqrt(graph, affine(graph, variance, 1, eps)))
    for function, each in ((mul, weight), (add, bias)):
        if each is not None:
            array = graph.constant(each, 2) if isinstance(each, Array) else each
            y = function(graph, y, reshape(graph, array, BATCH, 1, -1, *[1] * (x.rank - 3)))
    return y


def _einsum(graph: Importer, convert: Convert, equation: str, *operands: Any, path: Any = None) -> Tensor:
    """With a letter for the axis along which each image has the same."""
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    first, *others = tensors
    left, arrow, result = equation.replace(" ", "").partition("->")
    letter = next(each for each in string.ascii_letters if each not in equation)
    given = [opened(fixed(graph, first)), *(opened(each) for each in others)]
    terms = [
        letter + term if isinstance(each, Value) else term for each, term in zip(given, left.split(","), strict=True)
    ]
    if not arrow:
        raise Unconvertible(f"the equation {equation!r} must say what its result is")
    return convert(graph, f"{','.join(terms)}->{letter}{result}", given)  # type: ignore[no-any-return]


def _next(dim: int, rank: int) -> int:
    return dim % rank + 1


def _next_of_all(dim: Any) -> Any:
    if isinstance(dim, int):
        return dim + 1 if dim >= 0 else dim
    return [_next_of_all(each) for each in dim] if isinstance(dim, tuple | list) else dim


def _alike(graph: Importer, left: Value, right: Any) -> tuple[Any, Any]:
    """Two tensors with as many axes each."""
    if not isinstance(right, Value) or left.rank == right.rank:
        return left, right
    rank = max(left.rank, right.rank)
    return graph.constant(Fixed(left), rank), graph.constant(Fixed(right), rank)


def _getitem(graph: Importer, x: Value, index: Any) -> Tensor:
    """x[...]; arrays of places along one axis may have any shape."""
    places = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in places:
        places.append(Ellipsis)
    gap = places.index(Ellipsis)
    missing = x.rank - 1 - sum(place is not None for place in places) + 1
    places[gap : gap + 1] = [slice(None)] * missing
    tables = [number for number, place in enumerate(places) if isinstance(place, Array)]
    if not tables:
        return getitem(graph, x, (slice(None), *places))  # type: ignore[no-any-return]
    if len(tables) > 1 or None in places:
        raise Unconvertible("only one axis can be looked up with an array of places")
    axis, tensor = tables[0], places[tables[0]].tensor
    if tensor.is_floating_point():
        raise Unconvertible("places must be whole numbers")
    if str(tensor.dtype) == "torch.bool":
        raise Unconvertible("places must be numbers, not a mask")
    sizes = list(x.known)
    x = graph.value(graph.put(layers.IndexSelect(axis + 1, tensor.reshape(-1).tolist()), x))
    x = graph.value(reshape(graph, x, BATCH, *sizes[:axis], *tensor.shape, *sizes[axis + 1 :]))
    left = [*places[:axis], *[slice(None)] * tensor.ndim, *places[axis + 1 :]]
    return getitem(graph, x, (slice(None), *left))  # type: ignore[no-any-return]
