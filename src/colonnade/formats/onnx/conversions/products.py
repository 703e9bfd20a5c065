"""Products of matrices: Gemm, MatMul, Einsum."""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import cut

if TYPE_CHECKING:
    from ..call import Call


def matmul(call: Call) -> Value:
    left, right = call.value(0), call.value(1)
    if not isinstance(right, Known) or isinstance(left, Known) or right.array.ndim > 2:
        return product(call, left, right)
    if right.array.ndim == 1:
        made = dense(call, left, right.array[None], None, call.names(1))
        return call.importer.reshaped(made, made.layout.without([made.layout.rank - 1]))
    addition = call.addition(right.array.shape[1])
    if addition is None:
        return dense(call, left, right.array.T, None, call.names(1))
    after, bias = addition
    made = dense(call, left, right.array.T, bias.array, call.names(1, bias))
    call.importer.values[after.outputs[0]] = made
    return made


def dense(call: Call, x: Images, weight: Array, bias: Array | None, names: list[str]) -> Images:
    """x Wᵀ + b over the last axis, W as (out, in)."""
    layout = x.layout
    last = layout.rank - 1
    layout.dim(last)
    if layout.sizes[last] != weight.shape[1]:
        raise UnsupportedError(f"a matrix of {weight.shape[1]} rows meets {layout.sizes[last]} columns")
    made = layout.resized({last: len(weight)})
    image = layout.image
    if len(image) == 3:  # such a tensor lies channels-last, and is no rows of numbers
        x = call.importer.reshaped(x, Layout((1, image[0] * image[1], image[2]), 0))
    rows = Layout((1, *x.layout.image[:-1], len(weight)), 0)
    layer = layers.Dense(weight.shape[1], len(weight), bias is not None)
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias})
    return call.importer.reshaped(call.emit(layer, x, layout=rows, names=names, weights=weights), made)


def product(call: Call, left: Value, right: Value) -> Images:
    """The product of two tensors, in the way of NumPy."""
    vectors = [_rank(left) == 1, _rank(right) == 1]
    left = _lifted(call, left, [0]) if vectors[0] else left
    right = _lifted(call, right, [1]) if vectors[1] else right
    # What stands before the matrices is combined element by element.
    rank = max(_rank(left), _rank(right))
    one = [
        value.layout.with_ones(range(rank - value.layout.rank)) for value in (left, right) if isinstance(value, Images)
    ]
    batches = {(layout.batch, layout.outer, layout.inner) for layout in one}
    if len(batches) > 1:
        raise UnsupportedError("it multiplies tensors whose batches are different axes")
    batch, outer, inner = batches.pop()
    if batch is not None and batch >= rank - 2:
        raise UnsupportedError(f"it works along axis {batch}, the batch: its images would see one another")
    shapes, parts = [], []
    for value in (left, right):
        if isinstance(value, Known):
            array = value.array.reshape((1,) * (rank - value.array.ndim) + value.array.shape)
            own = Layout(
                array.shape if batch is None else (*array.shape[:batch], outer * inner, *array.shape[batch + 1 :]),
                batch,
                outer,
                inner,
            )
            array = call.importer.per_image(array, own)
            made = call.importer.constant(array, Layout((1, *array.shape), 0), value.name, value.dtype)
        else:
            own = value.layout.with_ones(range(rank - value.layout.rank))
            made = call.importer.reshaped(value, own)
        shapes.append(own.sizes)
        parts.append(made)
    if shapes[0][-1] != shapes[1][-2]:
        raise UnsupportedError(f"matrices of {shapes[0][-2:]} and {shapes[1][-2:]} do not fit")
    stack = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
    layout = Layout((*stack, shapes[0][-2], shapes[1][-1]), batch, outer, inner)
    y = call.emit(layers.MatMul(), *parts, layout=layout)
    gone = [rank - 2] * vectors[0] + [rank - 1] * vectors[1]
    return call.importer.reshaped(y, layout.without(gone)) if gone else y


def _rank(value: Value) -> int:
    return value.array.ndim if isinstance(value, Known) else value.layout.rank


def _lifted(call: Call, value: Value, axes: list[int]) -> Value:
    if isinstance(value, Known):
        return Known(np.expand_dims(value.array, tuple(axes)), value.name)
    return call.importer.reshaped(value, value.layout.with_ones(axes))


def gemm(call: Call) -> Value:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    left: Value = call.value(0)
    if call.attribute("transA", 0):
        left = Known(left.array.T) if isinstance(left, Known) else call.importer.transposed(left, (1, 0))
    bias = call.value(2) if call.has(2) else None
    # What Gemm multiplies with may come as an input whose content is at hand: then it is a constant.
    right = call.value(1)
    known = right.array if isinstance(right, Known) else right.content
    if known is not None and isinstance(left, Images):
        matrix = known if call.attribute("transB", 0) else known.T  # (out, in)
        if alpha != 1:
            matrix = matrix * np.asarray(alpha, matrix.dtype)
        row = _row(bias, len(matrix), beta)
        made = dense(call, left, matrix, row, call.names(1, 2))
        if bias is None or row is not None:
            return made
    else:
        if call.attribute("transB", 0):
            right = Known(right.array.T) if isinstance(right, Known) else call.importer.transposed(right, (1, 0))
        made = product(call, left, right)
        made = made if alpha == 1 else call.emit(layers.Affine(alpha), made)
    if bias is None or beta == 0:
        return made
    if isinstance(bias, Known):
        bias = Known(bias.array * np.asarray(beta, bias.array.dtype), bias.name)
    elif beta != 1:
        bias = call.emit(layers.Affine(beta), bias)
    parts, layout = call.importer.aligned([made, bias])
    return call.emit(layers.Add(stretch=True), *parts, layout=layout)


def _row(bias: Value | None, count: int, beta: float) -> Array | None:
    """The third input of a Gemm as one number for each output; None where it is not that."""
    array = bias.array if isinstance(bias, Known) else bias.content if bias is not None else None
    if array is None or array.size not in (1, count) or array.ndim > 2 or (array.ndim == 2 and len(array) != 1):
        return None
    scaled = array.reshape(-1) if beta == 1 else array.reshape(-1) * np.asarray(beta, array.dtype)
    return scaled if len(scaled) == count else np.ascontiguousarray(np.broadcast_to(scaled, count))


def einsum(call: Call) -> Value:
    """Sums of products of tensors, as products of matrices: of the first two, of that and the third, and so on."""
    terms, result = _equation(call)
    values = [_diagonal(call, call.value(place), term) for place, term in enumerate(terms)]
    (value, term), *others = values
    for place, (other, letters) in enumerate(others, 2):
        later = result + "".join(each for _, each in values[place:])
        value, term = _contracted(call, value, term, other, letters, later)
    return _ordered(call, *_summed(call, value, term, result), result)


def _contracted(call: Call, value: Value, term: str, other: Value, letters: str, later: str) -> tuple[Value, str]:
    """The product of two tensors, summed over what nobody needs later, and the letters of its axes."""
    if isinstance(value, Known) and isinstance(other, Known):
        kept = "".join(dict.fromkeys(each for each in term + letters if each in later))
        return Known(np.einsum(f"{term},{letters}->{kept}", value.array, other.array)), kept
    first, second = (
        _summed(call, value, term, letters + later),
        _summed(call, other, letters, term + later),
    )
    (left, one), (right, two) = _stacked(*first, *second)
    both = [each for each in one if each in two and each in later]
    inner = [each for each in one if each in two and each not in later]
    rows = [each for each in one if each not in two]
    columns = [each for each in two if each not in one]
    y = product(
        call,
        _as_matrices(call, left, one, both, rows, inner),
        _as_matrices(call, right, two, both, inner, columns),
    )
    lengths = dict(zip(two, _sizes(right), strict=True)) | dict(zip(one, _sizes(left), strict=True))
    lengths |= dict(zip(both, y.layout.sizes, strict=False))
    order = [*both, *rows, *columns]
    layout = Layout(tuple(lengths[each] for each in order), y.layout.batch, y.layout.outer, y.layout.inner)
    return call.importer.reshaped(y, layout), "".join(order)


def _equation(call: Call) -> tuple[list[str], str]:
    """The letters of each tensor's axes and of the result's; those that dots stand for have letters of their own."""
    equation = call.attribute("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.inputs):
        raise UnsupportedError(f"the equation {equation!r} is of {len(terms)} tensors")
    free = [each for each in string.ascii_letters if each not in equation]
    dots = []
    for place, term in enumerate(terms):
        count = len(_sizes(call.value(place))) - len(term.replace("...", "")) if "..." in term else 0
        if not 0 <= count <= len(free):
            raise UnsupportedError(f"the equation {equation!r}")
        dots.append("".join(free[:count][::-1]))  # the last axes are the same ones
    longest = max(dots, key=len)
    terms = [term.replace("...", each) for term, each in zip(terms, dots, strict=True)]
    letters = "".join(terms)
    if arrow:
        result = result.replace("...", longest)
    else:
        result = longest + "".join(sorted(each for each in set(letters) - set(longest) if letters.count(each) == 1))
    if (
        not set(result) <= set(letters)
        or len(set(result)) < len(result)
        or not set(letters) <= set(string.ascii_letters)
    ):
        raise UnsupportedError(f"the equation {equation!r}")
    return terms, result


def _diagonal(call: Call, value: Value, term: str) -> tuple[Value, str]:
    """A tensor in which each letter has one axis: of two with the same letter the diagonal."""
    if len(term) != len(_sizes(value)):
        raise UnsupportedError(f"it calls the axes of a tensor of {len(_sizes(value))} {term!r}")
    kept = "".join(dict.fromkeys(term))
    if isinstance(value, Known):
        return (Known(np.einsum(f"{term}->{kept}", value.array)), kept) if kept != term else (value, term)
    while twice := next((each for each in term if term.count(each) > 1), None):
        first, second = term.index(twice), term.rindex(twice)
        for axis in (first, second):
            value.layout.dim(axis)
        size = value.layout.sizes[first]
        if value.layout.sizes[second] != size:
            raise UnsupportedError(f"it takes the diagonal of {size} rows and {value.layout.sizes[second]} columns")
        others = [axis for axis in range(len(term)) if axis not in (first, second)]
        turned = call.importer.transposed(value, [*others, first, second])
        layout = turned.layout.without([len(term) - 1]).resized({len(term) - 2: size * size})
        value = cut(call, call.importer.reshaped(turned, layout), len(term) - 2, slice(0, None, size + 1))
        term = "".join(term[axis] for axis in others) + twice
    return value, term


def _stacked(left: Value, one: str, right: Value, other: str) -> tuple[tuple[Value, str], tuple[Value, str]]:
    """Both tensors with an axis for the batch, of length 1 in a constant: there the products are stacked."""
    for images, term, constant, letters, first in ((left, one, right, other, True), (right, other, left, one, False)):
        if isinstance(images, Images) and isinstance(constant, Known) and images.layout.batch is not None:
            letter = term[images.layout.batch]
            if letter in letters:
                continue
            made = Known(constant.array[None], constant.name), letter + letters
            return ((images, term), made) if first else (made, (images, term))
    return (left, one), (right, other)


def _sizes(value: Value) -> tuple[int, ...]:
    return value.array.shape if isinstance(value, Known) else value.layout.sizes


def _summed(call: Call, value: Value, term: str, kept: str) -> tuple[Value, str]:
    """A tensor without the axes that nobody else has, which are summed over, and the letters of those left."""
    alone = [axis for axis, each in enumerate(term) if each not in kept]
    if not alone:
        return value, term
    left = "".join(each for each in term if each in kept)
    if isinstance(value, Known):
        return Known(value.array.sum(axis=tuple(alone))), left
    dims = tuple(value.layout.dim(axis) for axis in alone)
    return call.emit(layers.Sum(dims), value, layout=value.layout.without(alone)), left


def _as_matrices(call: Call, value: Value, term: str, stack: list[str], rows: list[str], columns: list[str]) -> Value:
    """(…stack, rows, columns), the axes of each joined to one."""
    order = [term.index(each) for each in (*stack, *rows, *columns)]
    start, middle = len(stack), len(stack) + len(rows)

    def joined(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (*sizes[:start], math.prod(sizes[start:middle]), math.prod(sizes[middle:]))

    if isinstance(value, Known):
        array = value.array.transpose(order)
        return Known(array.reshape(joined(array.shape)), value.name)
    turned = call.importer.transposed(value, order)
    layout = turned.layout
    if layout.batch is not None and layout.batch >= start:
        raise UnsupportedError("it works along the batch: its images would see one another")
    return call.importer.reshaped(turned, Layout(joined(layout.sizes), layout.batch, layout.outer, layout.inner))


def _ordered(call: Call, value: Value, term: str, result: str) -> Value:
    order = [term.index(each) for each in result]
    if isinstance(value, Known):
        return Known(value.array.transpose(order))
    return call.importer.transposed(value, order, call.name)


CONVERSIONS: dict[str, Conversion] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
