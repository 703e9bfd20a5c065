"""MultiheadAttention: of a sequence to itself, or of one to another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.attention import (
    QueriesKeysValues,
    attention_backward,
    attention_forward,
    attention_mean,
    by_head,
    causal_mask,
)
from ..ops.dense import dense_backward_bias, dense_backward_input, dense_backward_weight, dense_forward
from ..ops.dropout import dropout_kept, dropout_scale
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Scratch
from .wiring import Wiring

NAME = "MultiheadAttention"
Mask = Literal["bool", "float"]
MASKS: tuple[Mask | None, ...] = ("bool", "float", None)


class MultiheadAttention(Wiring):
    """Each position of a sequence asks all positions of another, or of its own, and takes a mean of their answers.

    Q = x_q W_qᵀ + b_q, K = x_k W_kᵀ + b_k, V = x_v W_vᵀ + b_v, each cut into heads of d / num_heads numbers;
    y = concat over heads of softmax(Q Kᵀ / √(d / num_heads) + M) V, times W_outᵀ, plus b_out.

    It reads one sequence, which looks at itself, or query, key and value; behind them the masks that it was made for,
    `attn_mask` first: `(MultiheadAttention(8, 2, key_padding_mask="bool"), "query", "key", "value", "padding")` in a
    Graph. M is the sum of all masks; what is not looked at is −∞ there. A row that leaves nothing to look at is NaN.

    Shapes: query and y (n, t, embed_dim), key (n, s, kdim), value (n, s, vdim); an attn_mask (n, t, s), or one of each
    head (n, num_heads, t, s); a key_padding_mask (n, s). With `return_weights` y is (n, t, embed_dim + num_heads · s),
    where s counts keys that were added: behind each position's numbers are the weights of its means, head after head.

    Args:
        embed_dim: d.
        num_heads: How many heads; d is divisible by it.
        dropout: In training, the probability that a weight of the mean is left out.
        bias: Whether to add b_q, b_k, b_v and b_out.
        add_bias_kv: Whether a learned key and value stand behind those of each sequence.
        add_zero_attn: Whether a key and value of zeros stand behind them.
        kdim: Numbers of a key; d by default.
        vdim: Numbers of a value; d by default.
        batch_first: True, the only way there is.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        is_causal: Whether position a looks at none behind the a-th: M_ab = −∞ for b > a.
        attn_mask: What an input says that masks pairs of positions: "bool" for true (1) where nothing is looked at,
            "float" for numbers to add. None for no such input.
        key_padding_mask: Likewise, of an input that masks keys.
        return_weights: Whether to put out the weights of the means too, as they count: after dropout.
        zero_empty_rows: Whether a mean of nothing is zero rather than NaN.

    Attributes:
        in_proj_weight: W_q, W_k and W_v one above another, (3d, d); None where keys or values have another size.
        q_proj_weight: W_q, (d, d), where they have; else None. Likewise `k_proj_weight` and `v_proj_weight`.
        in_proj_bias: b_q, b_k and b_v, (3d,), or None.
        bias_k: The learned key, (1, 1, d), or None.
        bias_v: The learned value, likewise.
        out_proj_weight: W_out, (d, d), saved as "out_proj.weight".
        out_proj_bias: b_out, (d,), or None, saved as "out_proj.bias".

    Raises:
        ArgumentError: A size below one, heads that do not divide d, a probability out of range, a kind of mask that
            there is not; in a pass a number of a "bool" mask that is neither 0 nor 1.
        ShapeError: Inputs that are no such sequences, or masks of another shape.

    Derived in docs/math/attention.md. Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762. It is
    torch.nn.MultiheadAttention with batch_first; what that takes in a call, here the layer is made for.
    """

    reads = {"input"}
    cheap = False
    rectifies = False  # type: ignore[assignment]
    ignored = ("batch_first", *PLACE)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        device: Any = None,
        dtype: None = None,
        *,
        is_causal: bool = False,
        attn_mask: Mask | None = None,
        key_padding_mask: Mask | None = None,
        return_weights: bool = False,
        zero_empty_rows: bool = False,
    ) -> None:
        arguments.placeless(NAME, device, dtype)
        self.embed_dim = size = arguments.whole(NAME, "embed_dim", embed_dim, 1)
        self.num_heads = arguments.whole(NAME, "num_heads", num_heads, 1)
        arguments.divisible(NAME, "num_heads", self.num_heads, embed_dim=size)
        self.dropout = arguments.number(NAME, "dropout", dropout, 0, 1)
        self.bias = arguments.flag(NAME, "bias", bias)
        self.add_bias_kv = arguments.flag(NAME, "add_bias_kv", add_bias_kv)
        self.add_zero_attn = arguments.flag(NAME, "add_zero_attn", add_zero_attn)
        self.kdim = None if kdim is None else arguments.whole(NAME, "kdim", kdim, 1)
        self.vdim = None if vdim is None else arguments.whole(NAME, "vdim", vdim, 1)
        arguments.unsupported(NAME, "the batch is the first axis of every array", batch_first=(batch_first, True))
        self.is_causal = arguments.flag(NAME, "is_causal", is_causal)
        self.attn_mask = arguments.choice(NAME, "attn_mask", attn_mask, MASKS)
        self.key_padding_mask = arguments.choice(NAME, "key_padding_mask", key_padding_mask, MASKS)
        self.return_weights = arguments.flag(NAME, "return_weights", return_weights)
        self.zero_empty_rows = arguments.flag(NAME, "zero_empty_rows", zero_empty_rows)
        self.in_proj_weight: Parameter | None = None
        self.q_proj_weight: Parameter | None = None
        self.k_proj_weight: Parameter | None = None
        self.v_proj_weight: Parameter | None = None
        if self._widths == (size, size, size):
            self.in_proj_weight = Parameter((3 * size, size), initializers.weights)
        else:
            self.q_proj_weight, self.k_proj_weight, self.v_proj_weight = (
                Parameter((size, width), initializers.weights) for width in self._widths
            )
        self.in_proj_bias = Parameter((3 * size,), initializers.zeros) if self.bias else None
        self.bias_k = Parameter((1, 1, size), initializers.weights) if self.add_bias_kv else None
        self.bias_v = Parameter((1, 1, size), initializers.weights) if self.add_bias_kv else None
        self.out_proj_weight = Parameter((size, size), initializers.weights)
        self.out_proj_bias = Parameter((size,), initializers.zeros) if self.bias else None
        self._shapes: tuple[Shape, ...] = ()

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, parameter in super().parameters():
            yield name.replace("out_proj_", "out_proj."), parameter

    # Shapes

    @property
    def _widths(self) -> tuple[int, int, int]:
        """Numbers of a query, a key and a value as they come."""
        return self.embed_dim, self.kdim or self.embed_dim, self.vdim or self.embed_dim

    @property
    def masks(self) -> list[tuple[str, Mask]]:
        """The masks that it reads behind the sequences, in their order, and what each says."""
        given = (("attn_mask", self.attn_mask), ("key_padding_mask", self.key_padding_mask))
        return [(name, kind) for name, kind in given if kind is not None]

    @property
    def alone(self) -> bool:
        """Whether it reads one sequence, which looks at itself; known once the model is built."""
        return len(self._shapes) - len(self.masks) == 1

    @property
    def more_keys(self) -> int:
        """How many keys stand behind those of each sequence."""
        return self.add_bias_kv + self.add_zero_attn

    @property
    def lengths(self) -> tuple[int, int]:
        """t and s, without the keys that are added; known once the model is built."""
        return self._shapes[0][0], self._shapes[0 if self.alone else 1][0]

    @property
    def mask_by_head(self) -> bool:
        """Whether its attn_mask is one of each head; known once the model is built."""
        return any(len(shape) == 3 for shape in self._shapes[len(self._shapes) - len(self.masks) :])

    def join(self, shapes: Sequence[Shape]) -> Shape:
        count = len(shapes) - len(self.masks)
        if count not in (1, 3):
            names = " and ".join(name for name, _ in self.masks)
            behind = f", with {names} behind" if names else ""
            raise ShapeError(
                f"{NAME}: expected one sequence, or query, key and value{behind}, got {len(shapes)} inputs."
            )
        sequences, masks = shapes[:count], shapes[count:]
        given = ", ".join(map(str, sequences))
        if count == 1:
            if self._widths != (self.embed_dim,) * 3:
                raise ShapeError(f"{NAME}: with kdim or vdim it expects query, key and value, got {given} alone.")
            if len(sequences[0]) != 2 or sequences[0][1] != self.embed_dim:
                raise ShapeError(
                    f"{NAME}: expected sequences (length, {self.embed_dim}), got an input of shape {given}."
                )
        elif [(len(shape), shape[-1:]) for shape in sequences] != [(2, (width,)) for width in self._widths] or (
            sequences[1][0] != sequences[2][0]
        ):
            query, key, value = (f"(length, {width})" for width in self._widths)
            raise ShapeError(
                f"{NAME}: expected a query {query}, a key {key} and a value {value} as long as the key, got {given}."
            )
        length, keys = sequences[0][0], sequences[-1][0]
        for (name, _), shape in zip(self.masks, masks, strict=True):
            pairs = [(length, keys), (self.num_heads, length, keys)]
            allowed = pairs if name == "attn_mask" else [(keys,)]
            if shape not in allowed:
                rule = f"{'an' if name == 'attn_mask' else 'a'} {name} {' or '.join(map(str, allowed))}"
                raise ShapeError(f"{NAME}: expected {rule}, got {shape}.")
        self._shapes = tuple(shapes)
        return (length, self.embed_dim + self.return_weights * self.num_heads * (keys + self.more_keys))

    # Working memory

    def _kept(self, images: int) -> dict[str, Scratch]:
        """What forward makes and backward reads."""
        (length, keys), size, more = self.lengths, self.embed_dim, self.more_keys
        if self.alone:
            kept = {"projected": Scratch((images, length, 3 * size))}
        else:
            lengths = {"queries": length, "keys": keys, "values": keys}
            kept = {name: Scratch((images, each, size)) for name, each in lengths.items()}
        if more:
            kept |= {f"all_{name}": Scratch((images, keys + more, size)) for name in ("keys", "values")}
        return kept | {"weights": Scratch((images, self.num_heads, length, keys + more))}

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return self._kept(shape[0])

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, length, size = shape[0], shape[1], self.embed_dim
        kept = self._kept(images)
        weights = kept["weights"].shape
        spaces = {"context": Scratch((images, length, size))}
        if self.return_weights:
            spaces["output"] = Scratch((images, length, size))
        if direction == "forward":
            spaces |= kept  # outside training, where nothing is saved
            if self.masks:
                spaces["mask"] = Scratch(self._mask_shape(images))
                numbers = images * max(math.prod(each) for each in self._shapes[-len(self.masks) :])
                spaces["truths"] = Scratch((2, numbers), np.bool_)
        else:
            spaces |= {f"grad_{name}": each for name, each in kept.items()}
            rows = 3 * size if self.alone else size
            spaces["product"] = Scratch((rows * max(self._widths),))
        if self.dropout:
            drawn = (images, 8 * -(math.prod(weights[1:]) // -8))  # the stream gives eight at a time
            spaces |= {"random": Scratch(drawn, np.float32), "kept": Scratch(weights), "dropped": Scratch(weights)}
        return spaces

    def _mask_shape(self, images: int) -> Shape:
        """Of M, with the axes of the weights."""
        length, keys = self.lengths
        rows = length if self.is_causal or self.attn_mask else 1
        return (images, self.num_heads if self.mask_by_head else 1, rows, keys + self.more_keys)

    def _dropout(self, block: Block) -> tuple[Array | None, Array | None]:
        """What dropout multiplies the weights with, and scratch for what becomes of them; the same both ways."""
        if not (self.dropout and block.training):
            return None, None
        factor = block.scratch["kept"]
        drawn = block.random(block.scratch["random"])[:, : math.prod(factor.shape[1:])]
        dropout_kept(drawn, self.dropout, factor.reshape(drawn.shape))
        np.multiply(factor, dropout_scale(self.dropout), out=factor)
        return factor, block.scratch["dropped"]

    def _parts(self, held: dict[str, Array], before: str = "") -> QueriesKeysValues:
        """What the projections make of query, key and value, each (n, length, d); views."""
        if not self.alone:
            return held[f"{before}queries"], held[f"{before}keys"], held[f"{before}values"]
        whole, size = held[f"{before}projected"], self.embed_dim
        return whole[:, :, :size], whole[:, :, size : 2 * size], whole[:, :, 2 * size :]

    def _by_head(self, held: dict[str, Array], before: str = "") -> QueriesKeysValues:
        """Q, K and V, with the keys and values that are added; views."""
        queries, keys, values = self._parts(held, before)
        if self.more_keys:
            keys, values = held[f"{before}all_keys"], held[f"{before}all_values"]
        return by_head(queries, self.num_heads), by_head(keys, self.num_heads), by_head(values, self.num_heads)

    def _added(self) -> list[tuple[str, int, Parameter | None]]:
        """Of keys and values: their name, their place among the parts, and what is learned of those added."""
        return [("all_keys", 1, self.bias_k), ("all_values", 2, self.bias_v)] if self.more_keys else []

    # Masks

    def _mask(self, masks: Sequence[Tensor], block: Block) -> Array | None:
        """M, of the weights' shape or with axes of length 1; None for zeros."""
        length, keys = self.lengths
        dtype = block.scratch["context"].dtype
        causal = causal_mask(length, keys, dtype, self.more_keys) if self.is_causal else None
        if not masks:
            return causal
        mask = block.scratch["mask"]
        np.copyto(mask, 0.0 if causal is None else causal)
        given = mask[..., :keys]
        with np.errstate(invalid="ignore"):
            for (name, kind), tensor in zip(self.masks, masks, strict=True):
                own = _beside_weights(tensor.value)
                if kind == "float":
                    np.add(given, own, out=given)
                else:
                    np.copyto(given, -np.inf, where=self._hidden(name, own, block.scratch["truths"]))
        return mask

    @staticmethod
    def _hidden(name: str, mask: Array, scratch: Array) -> Array:
        """Where a mask is true; −∞ is taken for it too, as numbers to add have it."""
        hidden: Array
        other: Array
        hidden, other = (each[: mask.size].reshape(mask.shape) for each in scratch)
        np.equal(mask, 1, out=hidden)
        np.logical_or(hidden, np.equal(mask, -np.inf, out=other), out=hidden)
        if not np.logical_or(hidden, np.equal(mask, 0, out=other), out=other).all():
            wrong = mask[~other][0]
            raise ArgumentError(f'{NAME}: expected {name} of true and false, since it is "bool", got {wrong:g}.')
        return hidden

    def _mask_gradients(self, masks: Sequence[Tensor], grad_scores: Array) -> None:
        """Those at the masks: of numbers that are added, the gradients at all scores that each is added to."""
        given = grad_scores[..., : self.lengths[1]]
        for (_, kind), tensor in zip(self.masks, masks, strict=True):
            if not tensor.has_grad:
                continue
            if kind == "bool":
                tensor.grad.fill(0)
                continue
            own = _beside_weights(tensor.grad)
            shared = tuple(axis for axis in (1, 2) if own.shape[axis] < given.shape[axis])
            np.sum(given, axis=shared, keepdims=True, out=own)

    # The passes

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        held, context = block.saved or block.scratch, block.scratch["context"]
        count = len(x) - len(self.masks)
        factor, dropped = self._dropout(block)
        parts = self._parts(held)
        for number, (tensor, out) in enumerate(
            zip(x[:count], [held["projected"]] if self.alone else parts, strict=True)
        ):
            weight, rows = self._projection(number)
            bias = None if self.in_proj_bias is None else self.in_proj_bias.array[self._bias_rows(number)]
            dense_forward(tensor.value, weight.array[rows], bias, out)
        for name, place, learned in self._added():
            keys = self.lengths[1]
            held[name][:, keys:] = 0.0
            held[name][:, :keys] = parts[place]
            if learned is not None:
                held[name][:, keys] = learned.array[0, 0]
        answers, empty = by_head(context, self.num_heads), 0.0 if self.zero_empty_rows else np.nan
        mask = self._mask(x[count:], block)
        attention_forward(*self._by_head(held), factor, answers, held["weights"], dropped, mask, empty)
        output = block.scratch["output"] if self.return_weights else y.value
        dense_forward(context, self.out_proj_weight.array, _array(self.out_proj_bias), output)
        if self.return_weights:
            np.copyto(y.value[:, :, : self.embed_dim], output)
            np.copyto(self._weights_of(y.value), held["weights"] if dropped is None else dropped)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        saved, scratch = block.saved, block.scratch
        count = len(x) - len(self.masks)
        context, grad_y, grad_weights = scratch["context"], y.grad, None
        if self.return_weights:
            grad_y, grad_weights = scratch["output"], self._weights_of(y.grad)
            np.copyto(grad_y, y.grad[:, :, : self.embed_dim])
        queries, keys, values = self._by_head(saved)
        (factor, dropped), answers = self._dropout(block), by_head(context, self.num_heads)
        attention_mean(saved["weights"], values, factor, answers, dropped)
        self._add_gradients(block, self.out_proj_weight, self.out_proj_bias, context, grad_y)
        dense_backward_input(grad_y, self.out_proj_weight.array, context)  # from here on the gradient at it
        attention_backward(
            queries, keys, values, answers, factor, self._by_head(scratch, "grad_"), saved["weights"], dropped,
            scratch["grad_weights"], grad_weights=grad_weights,
        )  # fmt: skip
        self._mask_gradients(x[count:], scratch["grad_weights"])
        parts = self._parts(scratch, "grad_")
        for name, place, learned in self._added():
            length = self.lengths[1]
            np.copyto(parts[place], scratch[f"grad_{name}"][:, :length])
            if learned is not None:
                block.add_grad(learned, scratch[f"grad_{name}"][:, length].sum(axis=0)[None, None])
        gradients = [scratch["grad_projected"]] if self.alone else parts
        for number, (tensor, gradient) in enumerate(zip(x[:count], gradients, strict=True)):
            weight, rows = self._projection(number)
            bias_rows = self._bias_rows(number)
            self._add_gradients(block, weight, self.in_proj_bias, tensor.value, gradient, rows, bias_rows)
            if tensor.has_grad:
                dense_backward_input(gradient, weight.array[rows], tensor.grad)

    def _projection(self, number: int) -> tuple[Parameter, slice]:
        """Where the weight stands that the input of this number is multiplied with: of a sequence alone all."""
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[number]
        if separate is not None:
            return separate, slice(None)
        assert self.in_proj_weight is not None
        return self.in_proj_weight, self._bias_rows(number)

    def _bias_rows(self, number: int) -> slice:
        return slice(None) if self.alone else slice(number * self.embed_dim, (number + 1) * self.embed_dim)

    @staticmethod
    def _add_gradients(
        block: Block,
        weight: Parameter,
        bias: Parameter | None,
        x: Array,
        grad_y: Array,
        rows: slice = slice(None),
        bias_rows: slice = slice(None),
    ) -> None:
        """Those of a projection of x, by some rows of a weight and of a bias."""
        if weight.trainable:
            shape = (grad_y.shape[-1], x.shape[-1])
            product = block.scratch["product"][: math.prod(shape)].reshape(shape)
            block.grad(weight)[rows] += dense_backward_weight(x, grad_y, product)
        if bias is not None and bias.trainable:
            block.grad(bias)[bias_rows] += dense_backward_bias(grad_y)

    def _weights_of(self, y: Array) -> Array:
        """The part of the output, or of the gradient there, that the weights are, (n, heads, t, s); a view."""
        return by_head(y[:, :, self.embed_dim :], self.num_heads)

    def multiplications(self, shape: Shape) -> int:
        (length, keys), size, more = self.lengths, self.embed_dim, self.more_keys
        query, key, value = self._widths
        projections = length * size * (query + size) + keys * size * (key + value)
        return projections + 2 * length * (keys + more) * size


def _beside_weights(mask: Array) -> Array:
    """A mask (n, s), (n, t, s) or (n, heads, t, s) with four axes; a view."""
    images, *rest = mask.shape
    return mask if mask.ndim == 4 else mask.reshape(images, 1, *([1] * (3 - mask.ndim)), *rest)


def _array(parameter: Parameter | None) -> Array | None:
    return None if parameter is None else parameter.array
