"""What is known before any image comes: sizes, arrays of the module, and what PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from .values import BATCH, STEPS_FIRST, Array, Batch, Fixed, Merged, Nothing, Rows, Turned, Unconvertible, Value

if TYPE_CHECKING:
    from .building import Building


def of_any_batch(tensors: Sequence[Any]) -> bool:
    """Whether these are the number of images, and arrays that are not learned, made for each image."""
    return all(isinstance(each, Batch) or is_plain(each, True) for each in tensors) and not all(map(is_plain, tensors))


def is_plain(x: Any, images: bool = False) -> bool:
    """Whether something is an array that is not learned."""
    return isinstance(x, Array) and x.parameter is None and (images or not x.images)


def tensors_in(arguments: Any) -> Iterator[Any]:
    """Everything in nested arguments that stands for a tensor, or for the number of images."""
    if isinstance(arguments, Value | Array | Turned | Rows | Merged | Fixed | Batch | Nothing):
        yield arguments
    elif isinstance(arguments, slice):
        yield from tensors_in((arguments.start, arguments.stop, arguments.step))
    elif isinstance(arguments, dict):
        yield from tensors_in(list(arguments.values()))
    elif isinstance(arguments, tuple | list):
        for each in arguments:
            yield from tensors_in(each)


def mapped(arguments: Any, function: Any) -> Any:
    """Nested arguments with what a function makes of each."""
    if isinstance(arguments, slice):
        return slice(*(mapped(each, function) for each in (arguments.start, arguments.stop, arguments.step)))
    if isinstance(arguments, dict):
        return {name: mapped(each, function) for name, each in arguments.items()}
    if isinstance(arguments, tuple | list):
        return type(arguments)(mapped(each, function) for each in arguments)
    return function(arguments)


def evaluated(function: Any, args: Any, kwargs: Any) -> Any:
    """What a function, or the method of that name, makes of what is known already."""
    try:
        return (
            getattr(args[0], function)(*args[1:], **kwargs) if isinstance(function, str) else function(*args, **kwargs)
        )
    except Exception as error:
        raise Unconvertible(f"it fails ({one_line(error)})") from None


def of_images(graph: Building, name: str, function: Any, args: Any, kwargs: Any) -> Any:
    """What PyTorch makes of arrays of which each image has the same, (n, ...): it must be the same for any n."""

    def of(images: int) -> Any:
        def tensors(each: Any) -> Any:
            if isinstance(each, Batch):
                return int(each.times * images) if each.times.denominator == 1 else each
            if not isinstance(each, Array):
                return each
            return each.tensor.repeat_interleave(images, 0) if each.images else each.tensor

        with torch.no_grad():
            return evaluated(function, mapped(args, tensors), mapped(kwargs, tensors))

    if name == "size" or args[1:] == ("shape",):
        sizes = (BATCH, *args[0].tensor.shape[1:])
        return sizes if name != "size" or len(args) == 1 else sizes[args[1]]
    one, several = of(1), of(3)
    if not isinstance(one, torch.Tensor):
        if isinstance(one, torch.dtype | torch.device | int) and one == several:
            return one
        raise Unconvertible("it depends on the number of images")
    each = one.ndim and one.shape[0] == 1 and several.shape == (3, *one.shape[1:])
    if each and torch.equal(several, one.expand_as(several)):
        return Array("constant", one, images=True)
    if one.shape == several.shape and torch.equal(one, several):
        return Array("constant", one)
    along = one.ndim == 3 and several.shape == (len(one), 3, one.shape[2])
    if along and torch.equal(several, one.expand_as(several)):  # as the first states of recurrent layers are
        return Turned(graph.constant(Array("constant", one.transpose(0, 1)), 3), STEPS_FIRST, graph.name)
    if one.ndim and torch.equal(several, one.repeat(3, *[1] * (one.ndim - 1))):  # as many rows for each image
        return graph.parted(graph.constant(Array("constant", one), one.ndim + 1), len(one))
    raise Unconvertible("it depends on the number of images")


def of_arrays(first: Array, learned: bool, function: Any, args: Any, kwargs: Any) -> Any:
    """What PyTorch itself makes of arrays that are the same for every image."""

    def tensors(each: Any) -> Any:
        return each.tensor if isinstance(each, Array) else each

    with torch.no_grad():
        result = evaluated(function, mapped(args, tensors), mapped(kwargs, tensors))
    parameter = first.parameter if learned else None
    return mapped(result, lambda x: Array(first.path, x, parameter) if isinstance(x, torch.Tensor) else x)


def one_line(error: Exception) -> str:
    """What an error says, cut to a line."""
    return " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
