"""Sums of products of tensors, `torch.einsum`, as products of matrices."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .... import layers
from ..values import Array, Fixed, Tensor, Unconvertible, Value
from .axes import permute, reshape

if TYPE_CHECKING:
    from ..importer import Importer

Term = tuple[Value, str]  # a tensor, and the letters of its axes without that of the batch


def einsum(graph: Importer, equation: str, *operands: Any, path: Any = None) -> Tensor:
    """Products of the first two tensors, of that and the third, and so on."""
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], Sequence) else list(operands)
    tensors = [each if isinstance(each, Array | Fixed) else graph.value(each) for each in tensors]
    terms, result = _letters(equation, [_rank(each) for each in tensors])
    batches = {term[:1] for each, term in zip(tensors, terms, strict=True) if isinstance(each, Value)}
    if len(batches) > 1:
        raise Unconvertible(f"in {equation!r} the batch must be the first axis of each tensor, by one letter")
    batch = batches.pop()
    given = [
        (each, term[1:]) if isinstance(each, Value) else (graph.constant(each, len(term) + 1), term)
        for each, term in zip(tensors, terms, strict=True)
    ]
    if result[:1] != batch or any(batch in term for _, term in given):
        raise Unconvertible(f"in {equation!r} the images of a batch would be mixed")
    result = result[1:]
    made, *others = given
    for number, other in enumerate(others, 1):
        later = result + "".join(term for _, term in others[number:])
        made = _product(graph, made, other, later)
    value, letters = _summed(graph, made, result)
    order = (0, *(letters.index(each) + 1 for each in result))
    return permute(graph, value, order)


def _rank(tensor: Array | Fixed | Value) -> int:
    if isinstance(tensor, Array):
        return int(tensor.tensor.ndim)
    return len(tensor.value.known) if isinstance(tensor, Fixed) else tensor.rank


def _letters(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Those of each tensor's axes and of the result's, with letters for what dots stand for."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Unconvertible(f"the equation {equation!r} is of {len(terms)} tensors, got {len(ranks)}")
    free = [each for each in string.ascii_letters if each not in equation]
    dots = [
        "".join(free[: rank - len(term.replace("...", ""))][::-1]) if "..." in term else ""
        for term, rank in zip(terms, ranks, strict=True)
    ]
    terms = [term.replace("...", each) for term, each in zip(terms, dots, strict=True)]
    longest, letters = max(dots, key=len), "".join(terms)
    if arrow:
        result = result.replace("...", longest)
    else:
        result = longest + "".join(sorted(each for each in set(letters) - set(longest) if letters.count(each) == 1))
    if any(len(term) != rank or len(set(term)) < rank for term, rank in zip(terms, ranks, strict=True)):
        raise Unconvertible(f"the equation {equation!r} must have a letter for each axis, all of them different")
    return terms, result


def _product(graph: Importer, one: Term, two: Term, later: str) -> Term:
    """The product of two tensors, summed over what nobody needs later."""
    left, right = _summed(graph, one, two[1] + later), _summed(graph, two, one[1] + later)
    lengths = dict(zip(left[1], left[0].known, strict=True)) | dict(zip(right[1], right[0].known, strict=True))
    shared = [each for each in left[1] if each in right[1]]
    both, inner = [each for each in shared if each in later], [each for each in shared if each not in later]
    rows, columns = [each for each in left[1] if each not in shared], [each for each in right[1] if each not in shared]
    y = graph.put(
        layers.MatMul(), _matrices(graph, left, both, rows, inner), _matrices(graph, right, both, inner, columns)
    )
    order = [*both, *rows, *columns]
    made = reshape(graph, y, graph.value(y).batch, *(lengths[each] for each in order))
    return graph.value(made), "".join(order)


def _summed(graph: Importer, term: Term, kept: str) -> Term:
    """A tensor without the axes that nobody else has."""
    value, letters = term
    alone = tuple(axis for axis, each in enumerate(letters, 1) if each not in kept)
    if not alone:
        return term
    return graph.value(graph.put(layers.Sum(alone), value)), "".join(each for each in letters if each in kept)


def _matrices(graph: Importer, term: Term, stack: list[str], rows: list[str], columns: list[str]) -> Value:
    """A tensor as a stack of matrices."""
    value, letters = term
    lengths = dict(zip(letters, value.known, strict=True))
    turned = permute(graph, value, (0, *(letters.index(each) + 1 for each in (*stack, *rows, *columns))))
    sizes = (math.prod(lengths[each] for each in part) for part in (stack, rows, columns))
    return graph.value(reshape(graph, turned, value.batch, *sizes))
