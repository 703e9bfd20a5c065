"""Calls that change a tensor in place: whoever reads it afterwards, by whatever name, reads what they made of it."""

from __future__ import annotations

import inspect

import torch
from torch import fx, nn

from ...errors import ArgumentError

# Python's own, as in x += y. They change tensors, and only give numbers another name.
AUGMENTED = {f"i{name}" for name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "and", "or", "xor")}
# What may put out the memory of its input, in another shape or in the same.
VIEWS = {
    *("chunk", "contiguous", "detach", "diagonal", "double", "dropout", "expand", "expand_as", "flatten", "float"),
    *(
        "alias",
        "getattr",
        "getitem",
        "slice",
        "split_with_sizes",
        "unfold",
        "movedim",
        "narrow",
        "permute",
        "reshape",
        "reshape_as",
        "select",
        "split",
        "squeeze",
    ),
    *("swapaxes", "t", "tensor_split", "to", "transpose", "type", "type_as", "unbind", "unflatten", "unsqueeze"),
    *("view", "view_as"),
}
VIEWING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
SIZES = {"sym_size", "dim", "dtype", "device", "ndim", "numel", "shape", "size"}


def settle(graph: fx.Graph, module: nn.Module, counts: bool = False) -> None:
    """Have each later read of what a call changes read the call instead.

    In training a module `counts`: what it changes of its buffers is nobody's concern.

    Raises:
        ArgumentError: What is changed is read again through a view that was made before, or is the module's own.
    """
    held = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    order: dict[fx.Node, int] = {node: number for number, node in enumerate(graph.nodes)}
    numbers: set[fx.Node] = set()
    # Of a tensor: whose memory it lies in, and the first node that was this very tensor.
    memory: dict[fx.Node, fx.Node | str] = {}
    first: dict[fx.Node, fx.Node] = {}
    sharing: dict[fx.Node | str, list[fx.Node]] = {}

    for node in graph.nodes:
        source = next((each for each in (*node.args[:1], node.kwargs.get("input")) if isinstance(each, fx.Node)), None)
        first[node] = node
        if node.op == "get_attr":
            memory[node] = str(node.target)
        elif source is None:
            memory[node] = node
        elif _is_number(node, numbers):
            numbers.add(node)
            continue
        elif source not in numbers and _writes(node, module):
            memory[node], first[node] = memory[source], first[source]
            if memory[node] in held and counts:
                continue
            if memory[node] in held:
                raise ArgumentError(f"from_torch: {_named(node)} can't be converted: it changes {memory[node]}.")
            if parts := _parts_of(source):  # the tensor is made anew, with this part of it
                whole = _scattered(graph, node, parts)
                order |= dict.fromkeys(whole, order[node])
                for other in sharing[memory[node]]:
                    if first[other] is first[parts[0].args[0]]:
                        _hand_over(other, whole[-1], order)
            for other in sharing[memory[node]]:
                later = [user for user in other.users if order[user] > order[node]]
                if later and first[other] is first[node]:
                    _hand_over(other, node, order)
                elif later:
                    raise ArgumentError(
                        f"from_torch: {_named(node)} can't be converted: it changes in place what "
                        f"{_named(later[0])} reads through a view."
                    )
        elif source not in numbers and _views(node, module):
            memory[node] = memory[source]
        else:
            memory[node] = node
        sharing.setdefault(memory[node], []).append(node)


PARTS = {
    torch.ops.aten.slice.Tensor: torch.ops.aten.slice_scatter,
    torch.ops.aten.select.int: torch.ops.aten.select_scatter,
}
LAST = 2**62  # ATen's way to say: to the end


def _parts_of(node: fx.Node) -> list[fx.Node]:
    """Slices of slices of a tensor that lead to a node, the first one first; none if it is no part of a tensor."""
    parts: list[fx.Node] = []
    while node.target in PARTS:
        parts.insert(0, node)
        node = node.args[0]
    return parts


def _scattered(graph: fx.Graph, node: fx.Node, parts: list[fx.Node]) -> list[fx.Node]:
    """Calls that put what was written to a part into the tensor that it is a part of."""
    made = [node]
    for part in reversed(parts):
        whole, *where = part.args
        start, end = (*where[1:], None, None)[:2]
        if part.target is torch.ops.aten.slice.Tensor and not start and (end is None or end >= LAST):
            continue
        with graph.inserting_after(made[-1]):
            made.append(graph.call_function(PARTS[part.target].default, (whole, made[-1], *where)))
    return made[1:] or made


def _hand_over(before: fx.Node, node: fx.Node, order: dict[fx.Node, int]) -> None:
    """Have whoever reads a node after another was called read that."""
    before.replace_all_uses_with(node, lambda user: order[user] > order[node])


def _name(node: fx.Node) -> str:
    """Of a function or method, without the underscore of what works in place; "" for a module."""
    if node.op not in ("call_function", "call_method"):
        return ""
    return _called(node).rstrip("_")


def _called(node: fx.Node) -> str:
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name).partition("::")[2]
    return str(getattr(node.target, "__name__", node.target))


def _named(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else _name(node) or str(node)


def _is_number(node: fx.Node, numbers: set[fx.Node]) -> bool:
    """Whether a call gives a size, or calculates with sizes alone."""
    if _name(node) in SIZES or (_name(node) == "getattr" and node.args[1] in SIZES):
        return True
    plain = getattr(node.target, "__module__", None) in ("_operator", "builtins", "math")
    return plain and all(each in numbers for each in node.all_input_nodes)


def _writes(node: fx.Node, module: nn.Module) -> bool:
    """Whether a call changes its first argument."""
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    name = _called(node)
    if name in AUGMENTED or (name.endswith("_") and not name.endswith("__")):
        return True
    try:
        given = inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments
    except (TypeError, ValueError):
        given = node.kwargs
    return given.get("inplace") is True


def _views(node: fx.Node, module: nn.Module) -> bool:
    """Whether what a call gives may lie in its first argument's memory."""
    if node.op == "call_module":
        return isinstance(module.get_submodule(str(node.target)), VIEWING)
    return _name(node) in VIEWS
