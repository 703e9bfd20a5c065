"""Modules for what PyTorch has as functions, or not at all, so that a model can go there and come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...errors import ArgumentError
from ...layers import Resize
from ...ops.detection import non_max_suppression
from ...ops.sampling import box_matrices, box_pixels


class Operation(nn.Module):
    """One function of tensors, by the name and with the arguments of the layer that it is in Colonnade.

    Args:
        kind: The layer's class.
        arguments: What its constructor takes.
    """

    def __init__(self, kind: str, **arguments: Any) -> None:
        super().__init__()
        self.kind, self.arguments = kind, arguments

    def forward(self, *inputs: Any) -> Any:
        """What the layer does."""
        return OPERATIONS[self.kind](*inputs, **self.arguments)

    def extra_repr(self) -> str:
        """The function and its arguments."""
        return ", ".join([self.kind, *(f"{name}={value!r}" for name, value in self.arguments.items())])


class Constant(nn.Module):
    """An array that is the same for every image: learned, or a buffer. Its input only says how many images there are.

    Args:
        shape: Of each image.
        learned: Whether it is a parameter.
    """

    def __init__(self, shape: Sequence[int], learned: bool = True) -> None:
        super().__init__()
        self.shape, self.learned = tuple(shape), learned
        if learned:
            self.weight = nn.Parameter(torch.zeros(self.shape))
        else:
            self.register_buffer("weight", torch.zeros(self.shape))

    def forward(self, x: Any) -> Any:
        """The array for each image of x."""
        return self.weight.expand(x.shape[0], *self.shape)


class MultiheadAttention(nn.MultiheadAttention):
    """MultiheadAttention with one output, which reads masks behind the sequences.

    Args:
        is_causal: Whether no position looks at one behind it.
        attn_mask: What an input says that masks pairs of positions: "bool", "float" or None for no such input.
        key_padding_mask: Likewise, of an input that masks keys.
        return_weights: Whether the weights stand behind each position's numbers.
        zero_empty_rows: Whether a mean of nothing is zero rather than NaN.
        arguments: PyTorch's.
    """

    def __init__(
        self, *, is_causal: bool = False, attn_mask: str | None = None, key_padding_mask: str | None = None,
        return_weights: bool = False, zero_empty_rows: bool = False, **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(**arguments, batch_first=True)
        self.how: dict[str, Any] = {
            "is_causal": is_causal,
            "attn_mask": attn_mask,
            "key_padding_mask": key_padding_mask,
            "return_weights": return_weights,
            "zero_empty_rows": zero_empty_rows,
        }

    def forward(self, *inputs: Any) -> Any:
        """As the layer: of one sequence or of query, key and value, and the masks."""
        kinds = [self.how[name] for name in ("attn_mask", "key_padding_mask") if self.how[name]]
        count = len(inputs) - len(kinds)
        query, key, value = inputs[:1] * 3 if count == 1 else inputs[:3]
        mask = self._mask(query, key, kinds, inputs[count:])
        plain = not self.how["return_weights"] and (self.how["zero_empty_rows"] or mask is None)
        y, weights = super().forward(
            query, key, value, attn_mask=mask, need_weights=not plain, average_attn_weights=False
        )
        if plain or not self.how["return_weights"]:
            return y
        if mask is not None and self.how["zero_empty_rows"]:
            y = super().forward(query, key, value, attn_mask=mask, need_weights=False)[0]
            weights = torch.nan_to_num(weights)
        return torch.cat([y, weights.transpose(1, 2).flatten(2)], 2)

    def _mask(self, query: Any, key: Any, kinds: Sequence[str], masks: Sequence[Any]) -> Any:
        """What is added to all scores, (n · heads, t, s), or None."""
        images, length, keys = len(query), query.shape[1], key.shape[1]
        total = torch.zeros(images, self.num_heads, length, keys, dtype=query.dtype)
        if self.how["is_causal"]:
            total = total.masked_fill(torch.ones(length, keys, dtype=torch.bool).triu(1), -torch.inf)
        elif not masks:
            return None
        for kind, mask in zip(kinds, masks, strict=True):
            own = mask if kind == "float" else total.new_zeros(mask.shape).masked_fill(mask != 0, -torch.inf)
            total = total + own.reshape(images, *[1] * (4 - own.ndim), *own.shape[1:])
        return total.flatten(0, 1)


class Recurrent(nn.RNNBase):
    """What RNN, LSTM and GRU share: one output, states with the batch first.

    Args:
        return_states: Whether the last states stand behind the sequence, a row a layer.
        arguments: PyTorch's.
    """

    def __init__(self, *, return_states: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments, batch_first=True)
        self.return_states = return_states

    def run(self, x: Any, *states: Any) -> Any:
        """The sequence and the last states, as PyTorch's own forward gives them."""
        given = tuple(each.transpose(0, 1).contiguous() for each in states) or (None,)
        return super().forward(x, given if len(given) > 1 else given[0])

    def forward(self, x: Any, *states: Any) -> Any:
        """As the layer, of a sequence and the states before it, (n, layers · directions, k); or of rows of images."""
        if x.dim() == 4:
            return self(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        y, last = self.run(x, *states)
        if not self.return_states:
            return y
        rows = (each.transpose(0, 1).reshape(len(x), self.num_layers, -1) for each in _several_of(last))
        return torch.cat([y, *rows], dim=1)


class RNN(Recurrent, nn.RNN):
    """RNN with one output."""


class LSTM(Recurrent, nn.LSTM):
    """LSTM with one output."""


class GRU(Recurrent, nn.GRU):
    """GRU with one output.

    Args:
        reset_after: False for the cell as it was first published, which PyTorch has not.
        arguments: PyTorch's.
    """

    def __init__(self, *, reset_after: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.reset_after = reset_after

    def run(self, x: Any, *states: Any) -> Any:
        """The sequence and the last states."""
        if self.reset_after:
            return super().run(x, *states)
        ends, last = ("", "_reverse") if self.bidirectional else ("",), []
        for layer in range(self.num_layers):
            made = []
            for place, end in enumerate(ends, layer * len(ends)):
                state = states[0][:, place] if states else x.new_zeros(len(x), self.hidden_size)
                outputs = []
                for step in x.unbind(1)[:: -1 if end else 1]:
                    state = self._step(step, state, f"_l{layer}{end}")
                    outputs.append(state)
                last.append(state)
                made.append(torch.stack(outputs[:: -1 if end else 1], 1))
            x = torch.cat(made, 2)
            if layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)
        return x, torch.stack(last)

    def _step(self, x: Any, state: Any, name: str) -> Any:
        """The state behind one step."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        held: list[Any] = [getattr(self, kind + name, None) for kind in kinds]
        weight_ih, weight_hh, bias_ih, bias_hh = held
        size = self.hidden_size
        gates = functional.linear(x, weight_ih, bias_ih)
        both = functional.linear(state, weight_hh[: 2 * size], None if bias_hh is None else bias_hh[: 2 * size])
        r, z = torch.sigmoid(gates[:, : 2 * size] + both).chunk(2, 1)
        read = functional.linear(r * state, weight_hh[2 * size :], None if bias_hh is None else bias_hh[2 * size :])
        return (1 - z) * torch.tanh(gates[:, 2 * size :] + read) + z * state


def _several_of(states: Any) -> Any:
    return states if isinstance(states, tuple) else (states,)


class Embedding(nn.Embedding):
    """Embedding of whole numbers of any type, as Colonnade has it."""

    def forward(self, x: Any) -> Any:
        """The vector of each number."""
        return super().forward(x.long())


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm of the channels of each pixel."""

    def forward(self, x: Any) -> Any:
        """Of x (n, c, h, w)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """main(x) + shortcut(x)."""

    def __init__(self, main: nn.Sequential, shortcut: nn.Sequential) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Any) -> Any:
        """The sum of both paths."""
        return self.main(x) + self.shortcut(x)


class Branches(nn.Module):
    """Paths side by side, their outputs concatenated along the channels."""

    def __init__(self, *paths: nn.Sequential) -> None:
        super().__init__()
        for number, path in enumerate(paths):
            self.add_module(str(number), path)

    def forward(self, x: Any) -> Any:
        """The outputs of all paths."""
        return torch.cat([path(x) for path in self.children()], dim=1)


class Graph(nn.Module):
    """Modules wired as the nodes of a graph; the parts of a name like "layer1.0.conv" are modules within modules.

    Args:
        nodes: By name, the module and the names of what it reads. The same module may stand at several nodes.
        inputs: Names of the inputs.
        outputs: Names of the nodes whose results are the graph's.

    Raises:
        ArgumentError: A node whose name PyTorch does not allow.
    """

    def __init__(
        self, nodes: dict[str, tuple[nn.Module, tuple[str, ...]]], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._calls: list[tuple[str, str, tuple[str, ...]]] = []  # the node, where its module is, what it reads
        places: dict[nn.Module, str] = {}
        for name, (module, reads) in nodes.items():
            if module not in places:
                self._place(name, module)
            self._calls.append((name, places.setdefault(module, name), reads))

    def _place(self, name: str, module: nn.Module) -> None:
        *within, last = name.split(".")
        parent: nn.Module = self
        try:
            for part in within:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            if isinstance(parent, nn.Sequential | Graph) and parent is not self:
                raise KeyError("it lies in another node")
            held = parent._modules.get(last)
            if held is not None and (type(held) is not nn.Module or isinstance(module, nn.Sequential | Graph)):
                raise KeyError("another lies in it")
            parent.add_module(last, module)
            for part, each in {} if held is None else held._modules.items():
                module.add_module(part, each)
        except KeyError as error:
            raise ArgumentError(f"to_torch: PyTorch does not allow a node called {name!r} ({error.args[0]}).") from None

    def calls(self) -> list[tuple[str, nn.Module, tuple[str, ...]]]:
        """The nodes in their order: name, module, names of what it reads."""
        return [(name, self.get_submodule(place), reads) for name, place, reads in self._calls]

    def forward(self, *inputs: Any) -> Any:
        """The output, or a tuple of them."""
        values = dict(zip(self._inputs, inputs, strict=True))
        for name, module, reads in self.calls():
            values[name] = module(*(values[each] for each in reads)) if reads else module(inputs[0])
        outputs = tuple(values[name] for name in self._outputs)
        return outputs if len(outputs) > 1 else outputs[0]


def _axes(x: Any, dim: int | Sequence[int] | None) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(1, x.ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _product(x: Any, dim: int | Sequence[int] | None, keepdim: bool) -> Any:
    for axis in sorted((axis % x.ndim for axis in _axes(x, dim)), reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def _place_of(find: Callable[..., Any], x: Any, dim: int, keepdim: bool, select_last: bool) -> Any:
    if not select_last:
        return find(x, dim, keepdim).to(x.dtype)
    return (x.shape[dim] - 1 - find(x.flip(dim), dim, keepdim)).to(x.dtype)


def _places(x: Any, dim: int, places: Sequence[int]) -> Any:
    return x.index_select(dim, torch.tensor(places, device=x.device) % x.shape[dim])


def _logic(function: Callable[..., Any]) -> Callable[..., Any]:
    """1 for true, 0 for false."""
    return lambda *x, stretch=False: function(*x).to(x[0].dtype)


def _several(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x, stretch=False: reduce(function, x)


def _along(value: float | Sequence[float], x: Any, dim: int) -> Any:
    """Numbers for the places along an axis, so that they broadcast to x."""
    if not isinstance(value, Sequence):
        return value
    return torch.tensor(value, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1 - dim % x.ndim))


def _quantize(x: Any, scale: Any, zero_point: Any, low: float, high: float, dim: int) -> Any:
    return (torch.round(x / _along(scale, x, dim)) + _along(zero_point, x, dim)).clamp(low, high)


def _dequantize(x: Any, scale: Any, zero_point: Any, dim: int) -> Any:
    return (x - _along(zero_point, x, dim)) * _along(scale, x, dim)


def _resize(x: Any, **arguments: Any) -> Any:
    """V x Hᵀ of each channel, with the layer's own matrices: it knows more ways to resize than PyTorch."""
    layer = Resize(**arguments)
    vertical, horizontal = (
        torch.tensor(layer.matrix(axis, size, np.float64)).to(x) for axis, size in enumerate(x.shape[2:])
    )
    y = vertical @ x @ horizontal.T
    if not layer.extrapolation_value:
        return y
    rows, columns = (torch.from_numpy(layer.outside(axis, size)) for axis, size in enumerate(x.shape[2:]))
    return y.masked_fill((rows[:, None] | columns).to(x.device), layer.extrapolation_value)


OF_SEVERAL = (Operation, GRU, LSTM, MultiheadAttention, RNN, nn.Bilinear)  # what may take more than one tensor


# What each Operation does, by the name of the layer that it is in Colonnade.
def _cumsum(x: Any, dim: int, exclusive: bool, reverse: bool) -> Any:
    turned = x.flip(dim) if reverse else x
    total = turned.cumsum(dim) - (turned if exclusive else 0)
    return total.flip(dim) if reverse else total


def _from_front(places: Any, size: int) -> Any:
    """Whole numbers, those that count from the end counted from the front."""
    return places.long() % size


def _scatter(x: Any, index: Any, source: Any, dim: int, reduce: str) -> Any:
    index = _from_front(index, x.shape[dim]).expand_as(source)
    if reduce == "none":
        return x.scatter(dim, index, source)
    how = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return x.scatter_reduce(dim, index, source, how[reduce])


def _one_hot(x: Any, num_classes: int, dim: int) -> Any:
    places = torch.arange(num_classes, dtype=x.dtype)
    rank = x.dim() + 1
    places = places.reshape(-1, *[1] * (rank - 1 - dim % rank))
    x = x.unsqueeze(dim)
    return ((x == places) | (x == places - num_classes)).to(x.dtype)


def _power(x: Any, exponent: float, flat_at_zero: bool = False) -> Any:
    if not flat_at_zero:
        return x.pow(exponent)
    zero = x == 0
    return torch.where(zero, x.detach().pow(exponent), torch.where(zero, 1, x).pow(exponent))


def _grid_sample(x: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    if x.dim() == 3:  # PyTorch has no grid of one axis
        x = x.unsqueeze(2)
        grid = torch.stack([grid[..., 0], torch.zeros_like(grid[..., 0])], -1).unsqueeze(1)
        return _grid_sample(x, grid, mode, padding_mode, align_corners).squeeze(2)
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return functional.grid_sample(x, grid, mode, padding_mode, align_corners)


def _roi_align(
    x: Any, boxes: Any, output_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool, mode: str = "avg"
) -> Any:
    """As torchvision's, which need not be there: V x Hᵀ for each box, or the greatest pixel by its weight."""
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    images = []
    for image, own in zip(x, boxes.detach(), strict=True):
        parts = []
        for box in own.numpy():
            if mode == "max":
                at, weights = box_pixels(box, size, tuple(image.shape[1:]), spatial_scale, sampling_ratio, aligned)
                rows, columns = map(torch.as_tensor, at)
                weighted = image[:, rows, columns] * torch.as_tensor(weights, dtype=image.dtype)
                parts.append(weighted.max(-1).values if weights.size else image.new_zeros((len(image), *size)))
                continue
            pair = box_matrices(box, size, tuple(image.shape[1:]), spatial_scale, sampling_ratio, aligned, box.dtype)
            vertical, horizontal = (torch.as_tensor(each) for each in pair)
            parts.append(vertical @ image @ horizontal.T)
        images.append(torch.stack(parts))
    return torch.stack(images)


def _non_max(x: Any, scores: Any, max_output: int, iou_threshold: float, score_threshold: float, centers: bool) -> Any:
    """As torchvision's, which need not be there."""
    kept = min(max_output, x.shape[1])
    how = (kept, iou_threshold, score_threshold, centers)
    return torch.as_tensor(non_max_suppression(x.detach().numpy(), scores.detach().numpy(), *how))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Add": _several(torch.add),
    "Affine": lambda x, scale, shift: scale * x + shift,
    "Amax": lambda x, dim, keepdim: x.amax(_axes(x, dim), keepdim),
    "Amin": lambda x, dim, keepdim: x.amin(_axes(x, dim), keepdim),
    "Argmax": lambda x, dim, keepdim, select_last: _place_of(torch.argmax, x, dim, keepdim, select_last),
    "Argmin": lambda x, dim, keepdim, select_last: _place_of(torch.argmin, x, dim, keepdim, select_last),
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Concat": lambda *x, dim: torch.cat(x, dim),
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "CumSum": _cumsum,
    "Dequantize": _dequantize,
    "Div": _several(torch.div),
    "Equal": _logic(torch.eq),
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Expand": lambda x, shape: x.expand(-1, *shape),
    "Floor": torch.floor,
    "Fmod": _several(torch.fmod),
    "Greater": _logic(torch.gt),
    "GreaterEqual": _logic(torch.ge),
    "GridSample": _grid_sample,
    "IndexSelect": lambda x, dim, index: _places(x, dim, index),
    "Less": _logic(torch.lt),
    "LessEqual": _logic(torch.le),
    "Log": torch.log,
    "LogSumExp": lambda x, dim, keepdim: x.logsumexp(_axes(x, dim), keepdim),
    "LogicalAnd": _logic(torch.logical_and),
    "LogicalNot": _logic(torch.logical_not),
    "LogicalOr": _logic(torch.logical_or),
    "LogicalXor": _logic(torch.logical_xor),
    "MatMul": torch.matmul,
    "Maximum": _several(torch.maximum),
    "Mean": lambda x, dim, keepdim: x.mean(_axes(x, dim), keepdim),
    "Minimum": _several(torch.minimum),
    "Mul": _several(torch.mul),
    "NonMaxSuppression": _non_max,
    "OneHot": _one_hot,
    "Pad": lambda x, padding, mode, value: functional.pad(x, padding, mode, value if mode == "constant" else None),
    "Permute": lambda x, dims: x.permute(dims),
    "Pow": _several(torch.pow),
    "Power": _power,
    "Prod": _product,
    "Quantize": _quantize,
    "Reciprocal": torch.reciprocal,
    "Remainder": _several(torch.remainder),
    "Reshape": lambda x, shape: x.reshape(x.shape[0], *shape),
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Round": torch.round,
    "ScatterAlongDim": _scatter,
    "Select": lambda x, dim, index: x.select(dim, index),
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Slice": lambda x, dim, start, end, step: _places(x, dim, range(x.shape[dim])[start:end:step]),
    "Sqrt": torch.sqrt,
    "Sub": _several(torch.sub),
    "Sum": lambda x, dim, keepdim: x.sum(_axes(x, dim), keepdim),
    "TakeAlongDim": lambda x, index, dim: torch.take_along_dim(x, _from_front(index, x.shape[dim]), dim),
    "Tan": torch.tan,
    "Tile": lambda x, repeats: x.tile((1, *repeats)),
    "TopKIndices": lambda x, k, dim, largest: (
        torch.argsort(-x if largest else x, dim=dim, stable=True).narrow(dim, 0, k).to(x)
    ),
    "Tril": torch.tril,
    "Triu": torch.triu,
    "Trunc": torch.trunc,
    "Where": lambda which, x, y, stretch=False: torch.where(which != 0, x, y),
}
