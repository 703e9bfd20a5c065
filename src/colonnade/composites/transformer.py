"""The layers of transformers: attention and a feed-forward network, each with a shortcut and a layer norm."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from .. import arguments
from ..errors import ArgumentError
from ..layers import GELU, Add, Dense, Dropout, LayerNorm, MultiheadAttention, ReLU
from ..layers.attention import MASKS, Mask
from ..layers.base import Layer
from .base import Node, describe
from .chain import Chain
from .graph import Graph

ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "gelu": GELU}
Activation = Literal["relu", "gelu"]


class TransformerLayer(Graph):
    """What TransformerEncoderLayer and TransformerDecoderLayer share: sublayers, each with a shortcut and a norm.

    A sublayer f becomes norm(x + f(x)), or with `norm_first` x + f(norm(x)).
    """

    own: ClassVar[tuple[str, ...]]  # arguments that not both have

    def _declare(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, activation: Activation,
        layer_norm_eps: float, batch_first: bool, norm_first: bool, bias: bool, device: Any, dtype: None,
    ) -> None:  # fmt: skip
        """Check what both are given, and keep it."""
        name = self.kind
        arguments.placeless(name, device, dtype)
        self.d_model = arguments.whole(name, "d_model", d_model, 1)
        self.nhead = arguments.whole(name, "nhead", nhead, 1)
        arguments.divisible(name, "nhead", self.nhead, d_model=self.d_model)
        self.dim_feedforward = arguments.whole(name, "dim_feedforward", dim_feedforward, 1)
        self.dropout = arguments.number(name, "dropout", dropout, 0, 1)
        self.activation = arguments.choice(name, "activation", activation, ACTIVATIONS)
        self.layer_norm_eps = arguments.number(name, "layer_norm_eps", layer_norm_eps, 0)
        arguments.unsupported(name, "the batch is the first axis of every array", batch_first=(batch_first, True))
        self.norm_first = arguments.flag(name, "norm_first", norm_first)
        self.bias = arguments.flag(name, "bias", bias)
        self._built: dict[str, tuple[Any, ...]] = {}
        self._sublayers = 0

    def _masks(self, **given: Mask | None) -> list[Mask | None]:
        """What each mask says, checked."""
        return [arguments.choice(self.kind, name, value, MASKS) for name, value in given.items()]

    def _attention(self, **masks: Any) -> MultiheadAttention:
        # PyTorch's layers want no weights of it, and there a mean of nothing is zero.
        return MultiheadAttention(self.d_model, self.nhead, self.dropout, self.bias, zero_empty_rows=True, **masks)

    def _sublayer(self, x: str, **nodes: tuple[Any, ...]) -> str:
        """Put a sublayer of nodes behind x, the first of which read "x"; the name of what comes out."""
        self._sublayers += 1
        norm, dropout, end = (f"{each}{self._sublayers}" for each in ("norm", "dropout", "add"))
        reads = norm if self.norm_first else x
        if self.norm_first:
            self._built[norm] = (LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias), x)
        for name, (layer, *read) in nodes.items():
            self._built[name] = (layer, *(reads if each == "x" else each for each in read))
        last = next(reversed(nodes))
        self._built[dropout] = (Dropout(self.dropout), last)
        self._built[end] = (Add(), x, dropout)
        if self.norm_first:
            return end
        self._built[norm] = (LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias), end)
        return norm

    def _feed_forward(self, x: str) -> str:
        return self._sublayer(
            x,
            linear1=(Dense(self.d_model, self.dim_feedforward, self.bias), "x"),
            activation=(ACTIVATIONS[self.activation](), "linear1"),
            dropout=(Dropout(self.dropout), "activation"),
            linear2=(Dense(self.dim_feedforward, self.d_model, self.bias), "dropout"),
        )

    def config(self) -> dict[str, Any]:
        names = (
            *("d_model", "nhead", "dim_feedforward", "dropout", "activation", "layer_norm_eps", "norm_first", "bias"),
            *self.own,
        )
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class TransformerEncoderLayer(TransformerLayer):
    """Attention of a sequence to itself, and a network of two dense layers, each with a shortcut and a layer norm.

    x = norm1(src + self_attn(src)); y = norm2(x + linear2(activation(linear1(x)))). With `norm_first`
    x = src + self_attn(norm1(src)); y = x + linear2(activation(linear1(norm2(x)))).

    It reads a sequence, and behind it the masks that it was made for, `src_mask` first: in a Graph
    `(TransformerEncoderLayer(8, 2, src_key_padding_mask="bool"), "sequence", "padding")`. A position that may look at
    nothing takes zeros, as in PyTorch, whose layer asks its attention for no weights.

    Shapes: src and y (n, t, d_model), src_mask (n, t, t) or (n, nhead, t, t), src_key_padding_mask (n, t).

    Args:
        d_model: Numbers of each position.
        nhead: Heads of the attention; d_model is divisible by it.
        dim_feedforward: Numbers between the two dense layers.
        dropout: In training, the probability that a number is left out: of the weights of the attention, behind it,
            behind the activation and behind the second dense layer.
        activation: "relu" or "gelu".
        layer_norm_eps: ε of the norms.
        batch_first: True, the only way there is.
        norm_first: Whether the norms stand in front of what they belong to rather than behind the sums.
        bias: Whether dense layers, attention and norms have one.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        is_causal: Whether no position looks at one behind it.
        src_mask: What an input says that masks pairs of positions: "bool" for true (1) where nothing is looked at,
            "float" for numbers to add. None for no such input.
        src_key_padding_mask: Likewise, of an input that masks positions.

    Raises:
        ArgumentError: A size below one, heads that do not divide d_model, a probability out of range, another
            activation.

    Written in docs/math/attention.md. Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762. It is
    torch.nn.TransformerEncoderLayer with batch_first, with the same names of parameters; what that takes in a call,
    here the layer is made for.
    """

    own = ("is_causal", "src_mask", "src_key_padding_mask")

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: None = None,
        *,
        is_causal: bool = False,
        src_mask: Mask | None = None,
        src_key_padding_mask: Mask | None = None,
    ) -> None:
        self._declare(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
            device, dtype,
        )  # fmt: skip
        self.is_causal = arguments.flag(self.kind, "is_causal", is_causal)
        self.src_mask, self.src_key_padding_mask = self._masks(
            src_mask=src_mask, src_key_padding_mask=src_key_padding_mask
        )
        attention = self._attention(is_causal=is_causal, attn_mask=src_mask, key_padding_mask=src_key_padding_mask)
        masks = [name for name in ("src_mask", "src_key_padding_mask") if getattr(self, name)]
        x = self._sublayer("src", self_attn=(attention, "x", *masks))
        self._feed_forward(x)
        super().__init__(self._built, ["src", *masks])


class TransformerDecoderLayer(TransformerLayer):
    """Attention of a sequence to itself, attention to a memory, and a network of two dense layers.

    Each has a shortcut and a layer norm, as in :class:`~colonnade.TransformerEncoderLayer`: x = norm1(tgt +
    self_attn(tgt)); z = norm2(x + multihead_attn(x, memory)); y = norm3(z + linear2(activation(linear1(z)))).

    It reads a sequence and a memory, and behind them the masks that it was made for, in the order of the arguments: in
    a Graph `(TransformerDecoderLayer(8, 2, tgt_is_causal=True), "sequence", "memory")`.

    Shapes: tgt and y (n, t, d_model), memory (n, s, d_model), tgt_mask (n, t, t), memory_mask (n, t, s), either with an
    axis of heads, (n, nhead, ...), tgt_key_padding_mask (n, t), memory_key_padding_mask (n, s).

    Args:
        d_model: Numbers of each position.
        nhead: Heads of each attention; d_model is divisible by it.
        dim_feedforward: Numbers between the two dense layers.
        dropout: In training, the probability that a number is left out, as in the encoder layer.
        activation: "relu" or "gelu".
        layer_norm_eps: ε of the norms.
        batch_first: True, the only way there is.
        norm_first: Whether the norms stand in front of what they belong to rather than behind the sums.
        bias: Whether dense layers, attention and norms have one.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        tgt_is_causal: Whether no position of the sequence looks at one behind it.
        memory_is_causal: Whether position a looks at none behind the a-th of the memory.
        tgt_mask: What an input says that masks pairs of positions: "bool" for true (1) where nothing is looked at,
            "float" for numbers to add. None for no such input.
        memory_mask: Likewise, of pairs of a position and one of the memory.
        tgt_key_padding_mask: Likewise, of an input that masks positions.
        memory_key_padding_mask: Likewise, of positions of the memory.

    Raises:
        ArgumentError: A size below one, heads that do not divide d_model, a probability out of range, another
            activation.

    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762. It is torch.nn.TransformerDecoderLayer with
    batch_first, with the same names of parameters; what that takes in a call, here the layer is made for.
    """

    own = (
        *("tgt_is_causal", "memory_is_causal", "tgt_mask", "memory_mask"),
        *("tgt_key_padding_mask", "memory_key_padding_mask"),
    )

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: None = None,
        *,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        tgt_mask: Mask | None = None,
        memory_mask: Mask | None = None,
        tgt_key_padding_mask: Mask | None = None,
        memory_key_padding_mask: Mask | None = None,
    ) -> None:
        self._declare(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
            device, dtype,
        )  # fmt: skip
        self.tgt_is_causal = arguments.flag(self.kind, "tgt_is_causal", tgt_is_causal)
        self.memory_is_causal = arguments.flag(self.kind, "memory_is_causal", memory_is_causal)
        self.tgt_mask, self.memory_mask, self.tgt_key_padding_mask, self.memory_key_padding_mask = self._masks(
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
        )
        own = self._attention(is_causal=tgt_is_causal, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask)
        other = self._attention(
            is_causal=memory_is_causal, attn_mask=memory_mask, key_padding_mask=memory_key_padding_mask
        )
        masks = [name for name in self.own if name.endswith("mask") and getattr(self, name)]
        tgt, memory = ([name for name in masks if name.startswith(start)] for start in ("tgt", "memory"))
        x = self._sublayer("tgt", self_attn=(own, "x", *tgt))
        x = self._sublayer(x, multihead_attn=(other, "x", "memory", "memory", *memory))
        self._feed_forward(x)
        super().__init__(self._built, ["tgt", "memory", *masks])


class Stack(Graph):
    """What TransformerEncoder and TransformerDecoder share: so many layers, and a norm behind them."""

    like: ClassVar[str]  # the argument that all layers are like

    def _stack(self, layer: TransformerLayer, num_layers: int, norm: Node | None) -> None:
        self.num_layers = arguments.whole(self.kind, "num_layers", num_layers, 1)
        if norm is not None and not isinstance(norm, Layer | Chain):
            raise ArgumentError(f"{self.kind}: norm must be a layer or None, got {arguments.shown(norm)}.")
        self.norm, self._layer = norm, layer
        first, *others = layer.inputs
        nodes: dict[str, tuple[Any, ...]] = {}
        for number in range(self.num_layers):
            before = f"layers.{number - 1}" if number else first
            nodes[f"layers.{number}"] = (type(layer)(**layer.config()), before, *others)
        if norm is not None:
            nodes["norm"] = (norm, f"layers.{self.num_layers - 1}")
        super().__init__(nodes, layer.inputs)

    def config(self) -> dict[str, Any]:
        described = describe([self._layer, *([] if self.norm is None else [self.norm])])
        return {
            self.like: described[0],
            "num_layers": self.num_layers,
            "norm": None if self.norm is None else described[1],
        }


class TransformerEncoder(Stack):
    """Layers of an encoder, one after another, each with weights of its own, and a norm behind them.

    It reads what its layers read: the sequence, and behind it the masks that they were made for.

    Args:
        encoder_layer: What all are like: they are made with its arguments.
        num_layers: How many there are.
        norm: A layer behind the last, such as a LayerNorm.
        enable_nested_tensor: Without effect: what is padded is computed like all else.
        mask_check: Without effect.

    Raises:
        ArgumentError: Anything else than a TransformerEncoderLayer, a number below one.

    It is torch.nn.TransformerEncoder, with the same names of parameters.
    """

    like = "encoder_layer"

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Node | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        arguments.instance(
            self.kind, "encoder_layer", encoder_layer, TransformerEncoderLayer, "a TransformerEncoderLayer"
        )
        arguments.flag(self.kind, "enable_nested_tensor", enable_nested_tensor)
        arguments.flag(self.kind, "mask_check", mask_check)
        self._stack(encoder_layer, num_layers, norm)


class TransformerDecoder(Stack):
    """Layers of a decoder, one after another, each with weights of its own, and a norm behind them.

    It reads what its layers read: the sequence, the memory, and behind them the masks that they were made for.

    Args:
        decoder_layer: What all are like: they are made with its arguments.
        num_layers: How many there are.
        norm: A layer behind the last, such as a LayerNorm.

    Raises:
        ArgumentError: Anything else than a TransformerDecoderLayer, a number below one.

    It is torch.nn.TransformerDecoder, with the same names of parameters.
    """

    like = "decoder_layer"

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Node | None = None) -> None:
        arguments.instance(
            self.kind, "decoder_layer", decoder_layer, TransformerDecoderLayer, "a TransformerDecoderLayer"
        )
        self._stack(decoder_layer, num_layers, norm)
