"""Which layers each function and method of PyTorch is.

Of several ways to call one (`torch.add`, `+`, `x.add`, `x.add_`) there is one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import layers
from ...layers.base import Layer
from . import axes, calculations
from .calculations import Convert
from .values import Tensor

if TYPE_CHECKING:
    from .importer import Importer


def alike(kind: type[Layer]) -> Convert:
    """For functions whose arguments are the layer's."""

    def convert(graph: Importer, input: Any, *args: Any, **kwargs: Any) -> Tensor:
        return graph.put(kind(*args, **kwargs), input)

    return convert


def activation(kind: type[Layer]) -> Convert:
    """The same, with an argument `inplace` at the end: where memory is shared, the plan decides."""

    def convert(graph: Importer, input: Any, *args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
        if args and isinstance(args[-1], bool):
            args = args[:-1]
        return graph.put(kind(*args, **kwargs), input)

    return convert


FUNCTIONS: dict[str, Convert] = {
    "_threshold": activation(layers.Threshold),
    "abs": alike(layers.Abs),
    "absolute": alike(layers.Abs),
    **{
        name: alike(layer)
        for layer in (layers.Acos, layers.Acosh, layers.Asin, layers.Asinh, layers.Atan, layers.Atanh)
        for name in (layer.__name__.lower(), layer.__name__.lower().replace("a", "arc", 1))
    },
    "adaptive_avg_pool1d": calculations.adaptive_avg_pool1d,
    "adaptive_avg_pool2d": alike(layers.AdaptiveAvgPool2d),
    "adaptive_max_pool2d": calculations.adaptive_max_pool2d,
    "add": calculations.add,
    "addcdiv": calculations.addcdiv,
    "addcmul": calculations.addcmul,
    "amax": calculations.reduction(layers.Amax),
    "amin": calculations.reduction(layers.Amin),
    "and": calculations.join(layers.LogicalAnd),
    "avg_pool1d": alike(layers.AvgPool1d),
    "avg_pool2d": alike(layers.AvgPool2d),
    "baddbmm": calculations.baddbmm,
    "batch_norm": calculations.batch_norm,
    "batch_norm_weights_first": calculations.batch_norm_weights_first,
    "bitwise_not": alike(layers.LogicalNot),
    "bool": calculations.truth,
    "bmm": calculations.matmul,
    "cat": axes.cat,
    "ceil": alike(layers.Ceil),
    "celu": activation(layers.CELU),
    "channel_shuffle": axes.channel_shuffle,
    "chunk": axes.chunk,
    "clamp": calculations.clamp,
    "clip": calculations.clamp,
    "clone": axes.same,
    "concat": axes.cat,
    "concatenate": axes.cat,
    "contiguous": axes.same,
    "conv1d": calculations.convolution(layers.Conv1d),
    "conv2d": calculations.convolution(layers.Conv2d),
    "conv_transpose2d": calculations.conv_transpose2d,
    "cos": alike(layers.Cos),
    "cosh": alike(layers.Cosh),
    "detach": axes.detach,
    "dim": axes.dim,
    "div": calculations.div,
    "divide": calculations.div,
    "double": axes.same,
    "dropout": calculations.dropout(layers.Dropout),
    "dropout2d": calculations.dropout(layers.Dropout2d),
    "elu": activation(layers.ELU),
    "embedding": calculations.embedding,
    "eq": calculations.join(layers.Equal),
    "erf": alike(layers.Erf),
    "exp": alike(layers.Exp),
    "expand": axes.expand,
    "expand_as": axes.expand_as,
    "flatten": axes.flatten,
    "flip": axes.flip,
    "float": axes.same,
    "floor": alike(layers.Floor),
    "ge": calculations.join(layers.GreaterEqual),
    "gelu": alike(layers.GELU),
    "getattr": axes.attribute,
    "getitem": axes.getitem,
    "glu": calculations.glu,
    "group_norm": calculations.group_norm,
    "gt": calculations.join(layers.Greater),
    "hardsigmoid": activation(layers.Hardsigmoid),
    "hardswish": activation(layers.Hardswish),
    "hardtanh": activation(layers.Hardtanh),
    "iadd": calculations.add,
    "imul": calculations.mul,
    "index_select": axes.index_select,
    "interpolate": calculations.interpolate,
    "invert": alike(layers.LogicalNot),
    "ipow": calculations.power,
    "isub": calculations.sub,
    "itruediv": calculations.div,
    "layer_norm": calculations.layer_norm,
    "le": calculations.join(layers.LessEqual),
    "leaky_relu": activation(layers.LeakyReLU),
    "linalg_vector_norm": calculations.norm,
    "linear": calculations.linear,
    "local_response_norm": alike(layers.LocalResponseNorm),
    "log": alike(layers.Log),
    "log_sigmoid": calculations.logsigmoid,
    "log_softmax": calculations.log_softmax,
    "logical_and": calculations.join(layers.LogicalAnd),
    "logical_not": alike(layers.LogicalNot),
    "logical_or": calculations.join(layers.LogicalOr),
    "logical_xor": calculations.join(layers.LogicalXor),
    "logsigmoid": calculations.logsigmoid,
    "logsumexp": calculations.reduction(layers.LogSumExp),
    "long": alike(layers.Trunc),
    "lt": calculations.join(layers.Less),
    "masked_fill": calculations.masked_fill,
    "matmul": calculations.matmul,
    "max": calculations.extreme(layers.Amax, layers.Argmax, layers.Maximum),
    "max_pool1d": calculations.max_pool(layers.MaxPool1d),
    "max_pool2d": calculations.max_pool(layers.MaxPool2d),
    "maximum": calculations.join(layers.Maximum),
    "mean": calculations.reduction(layers.Mean),
    "min": calculations.extreme(layers.Amin, layers.Argmin, layers.Minimum),
    "minimum": calculations.join(layers.Minimum),
    "mish": activation(layers.Mish),
    "moveaxis": axes.movedim,
    "movedim": axes.movedim,
    "mul": calculations.mul,
    "multiply": calculations.mul,
    "narrow": axes.narrow,
    "ne": calculations.not_equal,
    "neg": calculations.neg,
    "norm": calculations.norm,
    "normalize": calculations.normalize,
    "not": alike(layers.LogicalNot),
    "ones_like": axes.ones_like,
    "or": calculations.join(layers.LogicalOr),
    "pad": calculations.pad,
    "permute": axes.permute,
    "pixel_shuffle": alike(layers.PixelShuffle),
    "pow": calculations.power,
    "prelu": calculations.prelu,
    "prod": calculations.reduction(layers.Prod),
    "reciprocal": alike(layers.Reciprocal),
    "relu": activation(layers.ReLU),
    "relu6": activation(layers.ReLU6),
    "repeat": axes.repeat,
    "reshape": axes.reshape,
    "reshape_as": axes.reshape_as,
    "rms_norm": calculations.rms_norm,
    "roll": axes.roll,
    "round": alike(layers.Round),
    "rsqrt": calculations.rsqrt,
    "rsub": calculations.rsub,
    "scaled_dot_product_attention": calculations.scaled_dot_product_attention,
    "scaled_dot_product_flash": calculations.scaled_dot_product_flash,
    "select": axes.select,
    "selu": activation(layers.SELU),
    "sigmoid": alike(layers.Sigmoid),
    "sign": alike(layers.Sign),
    "silu": activation(layers.SiLU),
    "sin": alike(layers.Sin),
    "sinh": alike(layers.Sinh),
    "size": axes.size,
    "softmax": calculations.softmax,
    "softplus": alike(layers.Softplus),
    "softsign": alike(layers.Softsign),
    "split": axes.split,
    "sqrt": alike(layers.Sqrt),
    "square": calculations.square,
    "squeeze": axes.squeeze,
    "stack": axes.stack,
    "std": calculations.deviation,
    "stochastic_depth": calculations.stochastic_depth,
    "sub": calculations.sub,
    "subtract": calculations.sub,
    "sum": calculations.reduction(layers.Sum),
    "swapaxes": axes.transpose,
    "swapdims": axes.transpose,
    "tan": alike(layers.Tan),
    "tanh": alike(layers.Tanh),
    "threshold": activation(layers.Threshold),
    "tile": axes.repeat,
    "to": axes.same,
    "transpose": axes.transpose,
    "truediv": calculations.div,
    "trunc": alike(layers.Trunc),
    "type_as": axes.same,
    "unbind": axes.unbind,
    "unflatten": axes.unflatten,
    "unfold": axes.unfold,
    "unsqueeze": axes.unsqueeze,
    "upsample": calculations.interpolate,
    "var": calculations.variance,
    "vector_norm": calculations.norm,
    "view": axes.reshape,
    "view_as": axes.reshape_as,
    "where": calculations.where,
    "zeros_like": axes.zeros_like,
}
