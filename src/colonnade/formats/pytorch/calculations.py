"""Functions of PyTorch that calculate, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ... import layers
from ...layers.base import Layer
from .axes import dim, permute, transpose
from .values import NOTHING, Array, Fixed, Tensor, Turned, Unconvertible, Value, array_of

if TYPE_CHECKING:
    from .importer import Importer

Convert = Callable[..., Any]


def number_of(x: Any) -> float | None:
    """A number, or the only one of an array that is not learned; None for a tensor."""
    if isinstance(x, Array):
        return x.number
    return x if isinstance(x, int | float) else None


def affine(graph: Importer, x: Any, scale: float, shift: float) -> Tensor:
    return graph.put(layers.Affine(scale, shift), x)


def join(kind: Callable[..., Layer]) -> Callable[[Importer, Any, Any], Tensor]:
    """A function of two tensors, element by element, of which one may be an array or a number."""

    def convert(graph: Importer, input: Any, other: Any) -> Tensor:
        return graph.join(kind, input, other)

    return convert


def add(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1, alpha * number)
    if (number := number_of(input)) is not None:
        return affine(graph, other, alpha, number)
    if alpha != 1:
        other = affine(graph, other, alpha, 0)
    return join(layers.Add)(graph, input, other)


def sub(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1, -alpha * number)
    if (number := number_of(input)) is not None:
        return affine(graph, other, -alpha, number)
    if alpha != 1:
        other = affine(graph, other, alpha, 0)
    return join(layers.Sub)(graph, input, other)


def rsub(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    return sub(graph, other, input, alpha)


def mul(graph: Importer, input: Any, other: Any) -> Tensor:
    for x, y in ((input, number_of(other)), (other, number_of(input))):
        if y is not None:
            return affine(graph, x, y, 0)
    return join(layers.Mul)(graph, input, other)


def div(graph: Importer, input: Any, other: Any, rounding_mode: None = None) -> Tensor:
    if rounding_mode is not None:
        raise Unconvertible(f"rounding_mode must be None, got {rounding_mode!r}")
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1 / number, 0)
    if (number := number_of(input)) is not None:
        inverse = graph.put(layers.Reciprocal(), other)
        return inverse if number == 1 else affine(graph, inverse, number, 0)
    return join(layers.Div)(graph, input, other)


def addcmul(graph: Importer, input: Any, tensor1: Any, tensor2: Any, value: float = 1) -> Tensor:
    product = graph.call_function("mul", tensor1, tensor2)
    return graph.call_function("add", input, product, alpha=value)  # type: ignore[no-any-return]


def addcdiv(graph: Importer, input: Any, tensor1: Any, tensor2: Any, value: float = 1) -> Tensor:
    quotient = graph.call_function("div", tensor1, tensor2)
    return graph.call_function("add", input, quotient, alpha=value)  # type: ignore[no-any-return]


def neg(graph: Importer, input: Any) -> Tensor:
    return affine(graph, input, -1, 0)


def power(graph: Importer, input: Any, exponent: Any) -> Tensor:
    if (number := number_of(exponent)) is not None:
        return graph.put(layers.Power(number), input)
    return join(layers.Pow)(graph, input, exponent)


def square(graph: Importer, input: Any) -> Tensor:
    return power(graph, input, 2)


def rsqrt(graph: Importer, input: Any) -> Tensor:
    return graph.put(layers.Reciprocal(), graph.put(layers.Sqrt(), input))


def clamp(graph: Importer, input: Any, min: float | None = None, max: float | None = None) -> Tensor:
    x = graph.value(input)
    if number_of(min) is None is not min or number_of(max) is None is not max:
        raise Unconvertible("bounds must be numbers")
    if min is not None and max is not None:
        return graph.put(layers.Hardtanh(min, max), x)
    if min is not None:
        return graph.put(layers.Threshold(min, min), x)
    if max is not None:
        return neg(graph, graph.put(layers.Threshold(-max, -max), neg(graph, x)))
    return x


def matmul(graph: Importer, input: Any, other: Any) -> Tensor:
    return graph.put(layers.MatMul(), *graph.pair(input, other))


def where(graph: Importer, condition: Any, input: Any, other: Any) -> Tensor:
    which, left = graph.pair(condition, input)
    return graph.put(layers.Where(stretch=True), which, left, graph.pair(which, other)[1])


def baddbmm(graph: Importer, input: Any, batch1: Any, batch2: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    product = mul(graph, matmul(graph, batch1, batch2), alpha)
    return add(graph, product, input, beta)


def masked_fill(graph: Importer, input: Any, mask: Any, value: Any) -> Tensor:
    """`value` where the mask is true."""
    x = graph.value(input)
    if isinstance(mask, Array):
        mask = Array(mask.path, mask.tensor.to(torch.float64))
    number = number_of(value)
    if number is None:
        raise Unconvertible("value must be a number")
    x, which = graph.pair(x, mask)
    return graph.put(layers.Where(stretch=True), which, graph.pair(x, number)[1], x)


def not_equal(graph: Importer, input: Any, other: Any) -> Tensor:
    return graph.put(layers.LogicalNot(), join(layers.Equal)(graph, input, other))


def truth(graph: Importer, input: Any) -> Tensor:
    """1 for all but 0."""
    return graph.put(layers.LogicalNot(), graph.put(layers.LogicalNot(), input))


def glu(graph: Importer, input: Any, dim: int = -1) -> Tensor:
    x, gate = graph.call_function("chunk", input, 2, dim)
    return join(layers.Mul)(graph, x, graph.put(layers.Sigmoid(), gate))


# Activations


def logsigmoid(graph: Importer, input: Any) -> Tensor:
    return neg(graph, graph.put(layers.Softplus(), neg(graph, input)))


def softmax(graph: Importer, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _normalized(layers.Softmax, graph, input, dim)


def log_softmax(graph: Importer, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _normalized(layers.LogSoftmax, graph, input, dim)


def _normalized(kind: Callable[[int], Layer], graph: Importer, input: Any, dim: int | None) -> Tensor:
    if dim is None:
        raise Unconvertible("dim must be given")
    return graph.put(kind(dim), input)


def prelu(graph: Importer, input: Any, weight: Any) -> Tensor:
    return graph.weighed(layers.PReLU(array_of(weight).tensor.numel()), {"weight": weight}, input)


def dropout(kind: Callable[[float], Layer]) -> Convert:
    def convert(graph: Importer, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if training:  # the module was followed as it is outside training
            raise Unconvertible("it is at work outside training too: pass training=self.training")
        return graph.put(kind(p), input)

    return convert


def feature_dropout(graph: Importer, input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """ATen's, of any number of axes."""
    kinds = {2: layers.Dropout1d, 3: layers.Dropout2d, 4: layers.Dropout3d}
    kind = kinds.get(len(graph.value(input).known))
    if kind is None:
        raise Unconvertible("channels of one to three axes of positions are left out, and no others")
    return dropout(kind)(graph, input, p, training)  # type: ignore[no-any-return]


def stochastic_depth(graph: Importer, input: Any, p: float, mode: str, training: bool = True) -> Any:
    if p:
        graph.warn("Colonnade has no stochastic depth: every path is always there, in training too")
    return input


# Pools and sizes


def max_pool(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        if return_indices:
            raise Unconvertible("return_indices must be False, got True")
        layer = kind(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)
        return graph.put(layer, input)

    return convert


def adaptive_max_pool(kind: Callable[..., Layer]) -> Convert:
    def convert(graph: Importer, input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
        if return_indices:
            raise Unconvertible("return_indices must be False, got True")
        return graph.put(kind(output_size), input)

    return convert


def adaptive_avg_pool1d(graph: Importer, input: Any, output_size: Any) -> Tensor:
    one = output_size in (1, (1,), [1])
    return graph.put(layers.Mean(2, keepdim=True) if one else layers.AdaptiveAvgPool1d(output_size), input)


def interpolate(
    graph: Importer, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    if antialias:
        return _resized(graph, x, size, scale_factor, mode, align_corners)
    if mode in ("nearest", "linear", "bilinear", "trilinear"):
        size, scale_factor = (tuple(each) if isinstance(each, Sequence) else each for each in (size, scale_factor))
        return graph.put(layers.Upsample(size, scale_factor, mode, align_corners, recompute_scale_factor), x)
    if mode != "bicubic" or size is None:
        raise Unconvertible("mode must be 'nearest', 'linear', 'bilinear', 'trilinear' or, with a size, 'bicubic'")
    coordinates = "align_corners" if align_corners else "half_pixel"
    return graph.put(layers.Resize(size, mode="cubic", coordinates=coordinates), x)


def _resized(graph: Importer, x: Value, size: Any, scale_factor: Any, mode: str, align_corners: bool | None) -> Tensor:
    """V x Hᵀ of each channel, with the matrices that PyTorch resizes the axes with."""

    def matrix(length: int, axis: int) -> torch.Tensor:
        columns = torch.eye(length, dtype=torch.float64)[None, None]
        given: dict[str, Any] = {}
        if size is not None:
            given["size"] = (size if isinstance(size, int) else int(size[axis]), length)
        else:
            given["scale_factor"] = (scale_factor if isinstance(scale_factor, int | float) else scale_factor[axis], 1.0)
        made = torch.nn.functional.interpolate(columns, **given, mode=mode, align_corners=align_corners, antialias=True)
        return made[0, 0]

    vertical, horizontal = (matrix(length, axis) for axis, length in enumerate(x.known[-2:]))
    return matmul(graph, Array("resizing", vertical), matmul(graph, x, Array("resizing", horizontal.T)))


def pad(graph: Importer, input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    x, sides = graph.value(input), tuple(pad)
    if x.shape is not None and len(sides) // 2 > len(x.shape):
        raise Unconvertible("the axis of the batch can't be padded")
    if mode == "constant" and not value and len(sides) == 4 and (x.shape is None or len(x.shape) == 3):
        left, right, top, bottom = sides
        return graph.put(layers.ZeroPad2d((left, right, top, bottom)), x)
    return graph.put(layers.Pad(sides, mode, value or 0.0), x)


# Layers whose weights are handed to them


def weights_of(**arrays: Any) -> dict[str, Array]:
    return {name: array_of(array) for name, array in arrays.items() if array is not None}


def linear(graph: Importer, input: Any, weight: Any, bias: Any = None) -> Tensor:
    outputs, inputs = array_of(weight).tensor.shape
    if isinstance(bias, Value) and bias.shape == (outputs,):  # of a call whose tensors are all the same for every image
        bias = Fixed(bias)
    if isinstance(bias, Fixed):
        return add(graph, linear(graph, input, weight), bias)
    return graph.weighed(layers.Dense(inputs, outputs, bias is not None), weights_of(weight=weight, bias=bias), input)


def convolution(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        outputs, inputs, *kernel_size = array_of(weight).tensor.shape
        size = tuple(kernel_size)
        stride, padding, dilation = (tuple(x) if isinstance(x, list) else x for x in (stride, padding, dilation))
        layer = kind(inputs * groups, outputs, size, stride, padding, dilation, groups, bias is not None)
        return graph.weighed(layer, weights_of(weight=weight, bias=bias), input)

    return convert


def transposed_convolution(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        inputs, outputs, *kernel_size = array_of(weight).tensor.shape
        stride, padding, output_padding, dilation = (
            tuple(x) if isinstance(x, list) else x for x in (stride, padding, output_padding, dilation)
        )
        layer = kind(
            inputs, outputs * groups, tuple(kernel_size), stride, padding, output_padding, groups, bias is not None,
            dilation,
        )  # fmt: skip
        return graph.weighed(layer, weights_of(weight=weight, bias=bias), input)

    return convert


def embedding(graph: Importer, input: Any, weight: Any, padding_idx: int | None = None, **options: Any) -> Tensor:
    if any(options.get(name) for name in ("max_norm", "scale_grad_by_freq")):
        raise Unconvertible("max_norm and scale_grad_by_freq are not supported")
    numbers, width = array_of(weight).tensor.shape
    return graph.weighed(layers.Embedding(numbers, width, padding_idx), {"weight": weight}, input)


def layer_norm(
    graph: Importer, input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    layer = layers.LayerNorm(tuple(normalized_shape), eps, weight is not None, bias=weight is not None is not bias)
    return _shifted(graph, layer, input, weight, bias)


def rms_norm(
    graph: Importer, input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Tensor:
    """x / √(mean of x² + ε), times the weight."""
    axes = tuple(range(-len(normalized_shape), 0))
    mean = graph.put(layers.Mean(axes, True), square(graph, input))
    inverse = rsqrt(graph, affine(graph, mean, 1, torch.finfo(torch.float64).eps if eps is None else eps))
    y = mul(graph, input, inverse)
    return y if weight is None else mul(graph, y, weight)


def _shifted(graph: Importer, layer: Layer, x: Any, weight: Any, bias: Any, axis: int = -1, **held: Any) -> Tensor:
    """A norm with its weights; where there is a bias alone, it is added."""
    arrays = weights_of(weight=weight, bias=None if weight is None else bias, **held)
    y = graph.weighed(layer, arrays, x)
    if weight is not None or bias is None:
        return y
    if axis == 1:
        shape = (array_of(bias).tensor.numel(), *[1] * (dim(graph, y) - 2))
        bias = graph.call_function("reshape", bias, shape)
    return graph.join(layers.Add, y, bias)


def group_norm(
    graph: Importer, input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    channels = x.known[0] if weight is None else array_of(weight).tensor.numel()
    layer = layers.GroupNorm(num_groups, channels, eps, weight is not None, bias=weight is not None is not bias)
    return _shifted(graph, layer, x, weight, bias, axis=1)


def batch_norm(
    graph: Importer, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """With the batch's statistics in training, and with the module's own outside it."""
    x = graph.value(input)
    if isinstance(running_mean, Array) and graph.at_rest(running_mean):
        raise Unconvertible("it uses its running statistics in training too, and Colonnade's layer does not")
    channels = x.known[0]
    tracked = running_mean is not None
    if training and tracked:
        raise Unconvertible("it uses the batch's statistics outside training too: pass training=self.training")
    kind = {3: layers.BatchNorm2d, 4: layers.BatchNorm3d}.get(len(x.known), layers.BatchNorm1d)
    affine = weight is not None
    layer = kind(channels, eps, momentum if tracked else None, affine, tracked, bias=affine and bias is not None)
    held = {}
    if tracked:
        held = {"running_mean": running_mean, "running_var": running_var}
        if (count := graph.neighbour(running_mean, "num_batches_tracked")) is not None:
            held["num_batches_tracked"] = count
    return _shifted(graph, layer, x, weight, bias, axis=1, **held)


def batch_norm_weights_first(
    graph: Importer, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """The same, in the order of `torch.batch_norm`."""
    return batch_norm(graph, input, running_mean, running_var, weight, bias, training, momentum, eps)


def scaled_dot_product_attention(
    graph: Importer, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    query, key, value = (graph.value(each) for each in (query, key, value))
    if enable_gqa:
        key, value = (_for_each_head(graph, each, query) for each in (key, value))
    factor = query.known[-1] ** -0.5 if scale is None else scale
    scores = matmul(graph, affine(graph, query, factor, 0), transpose(graph, key, -2, -1))
    if is_causal:
        if attn_mask is not None:
            raise Unconvertible("it has both an attn_mask and is_causal")
        rows, columns = graph.value(scores).known[-2:]
        attn_mask = Array("is_causal", torch.ones(rows, columns, dtype=torch.bool).tril())
    scores, looks = (scores, None) if attn_mask is None else masked(graph, scores, attn_mask)
    weights = graph.put(layers.Softmax(-1), scores)
    if looks is not None:
        weights = graph.join(layers.Mul, weights, looks)
    if dropout_p:
        weights = graph.put(layers.Dropout(dropout_p), weights)
    return matmul(graph, weights, value)


def scaled_dot_product_flash(
    graph: Importer, query: Any, key: Any, value: Any, dropout_p: float = 0.0, is_causal: bool = False,
    attn_mask: Any = None, scale: float | None = None,
) -> tuple[Tensor, Any]:  # fmt: skip
    """The same by the name that it has on a CPU, with the logarithm of a sum that only its gradient reads."""
    return scaled_dot_product_attention(graph, query, key, value, attn_mask, dropout_p, is_causal, scale), NOTHING


def _for_each_head(graph: Importer, x: Value, query: Value) -> Value:
    """Keys or values with as many heads as the queries have: each stands for several."""
    axis = x.axis(-3)
    heads, wanted = x.known[axis - 1], query.known[-3]
    if wanted % heads:
        raise Unconvertible(f"{wanted} heads of queries can't share {heads} of keys and values")
    if wanted == heads:
        return x
    places = [place for place in range(heads) for _ in range(wanted // heads)]
    return graph.value(graph.put(layers.IndexSelect(axis, places), x))


def masked(graph: Importer, scores: Any, mask: Any) -> tuple[Tensor, Any]:
    """Scores of an attention with a mask: what to add, or of True and False, where to look.

    What is not looked at has a score of −∞, and so a weight of 0. Where a whole row is not, its scores stay as they
    are. What they become is multiplied with the second that is returned: 0 for such rows and 1 for others; None where
    there are no such rows.
    """
    if isinstance(mask, Fixed) or (isinstance(mask, Array) and mask.parameter is not None):
        return add(graph, scores, mask), None
    if isinstance(mask, Array):
        tensor = mask.tensor
        if tensor.dtype == torch.bool:
            tensor = torch.zeros(tensor.shape, dtype=torch.float64).masked_fill(~tensor, -torch.inf)
        nothing = (tensor == -torch.inf).all(-1, keepdim=True)
        made = graph.join(layers.Add, scores, Array(mask.path, tensor.masked_fill(nothing, 0)))
        return made, Array(f"{mask.path}.rows", (~nothing).to(tensor.dtype)) if bool(nothing.any()) else None
    truth = graph.is_truth(mask)
    if truth is None:
        raise Unconvertible("its mask is an input, which may be of numbers or of True and False: add it yourself")
    if truth:
        looks = graph.put(layers.Amax(-1, True), mask)
        open_ = graph.join(layers.LogicalOr, mask, graph.put(layers.LogicalNot(), looks))
        which, scores = graph.pair(open_, scores)
        return graph.put(layers.Where(stretch=True), which, scores, graph.pair(scores, -math.inf)[1]), looks
    looks = graph.join(layers.Greater, graph.put(layers.Amax(-1, True), mask), -math.inf)
    which, added = graph.pair(looks, mask)
    added = graph.put(layers.Where(stretch=True), which, added, graph.pair(added, 0.0)[1])
    return graph.join(layers.Add, scores, added), looks


# Many numbers become one


def reduction(kind: Callable[..., Layer]) -> Convert:
    def convert(graph: Importer, input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        if dim is None or dim == ():
            raise Unconvertible("the images of a batch would be mixed: dim must be given")
        if isinstance(input, Turned) and isinstance(dim, tuple) and len(dim) == 1:
            (dim,) = dim
        if isinstance(input, Turned) and isinstance(dim, int) and input.dims[dim] and not keepdim:
            gone = input.dims[dim]
            left = [axis - (axis > gone) for axis in input.dims if axis != gone]
            return permute(graph, graph.put(kind(gone), input.value), left)
        return graph.put(kind(dim, keepdim), input)

    return convert


def norm(
    graph: Importer, input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:  # fmt: skip
    """(Σ |x|ᵖ)^(1/p) along some axes, or the greatest |x|."""
    if p in (2, "fro", None):
        return graph.put(layers.Sqrt(), reduction(layers.Sum)(graph, square(graph, input), dim, keepdim))
    size = graph.put(layers.Abs(), input)
    if p == float("inf"):
        return reduction(layers.Amax)(graph, size, dim, keepdim)  # type: ignore[no-any-return]
    if p == 1:
        return reduction(layers.Sum)(graph, size, dim, keepdim)  # type: ignore[no-any-return]
    if not isinstance(p, int | float) or p <= 0:
        raise Unconvertible(f"p must be positive, got {p!r}")
    total = reduction(layers.Sum)(graph, graph.put(layers.Power(p), size), dim, keepdim)
    return graph.put(layers.Power(1 / p), total)


def normalize(
    graph: Importer, input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    size = clamp(graph, norm(graph, input, p, dim, True), min=eps)
    return join(layers.Div)(graph, input, size)


def variance(
    graph: Importer, input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
    correction: float | None = None,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    if dim is None or isinstance(dim, bool):
        raise Unconvertible("the images of a batch would be mixed: dim must be given")
    axes = tuple(x.axis(axis) for axis in ((dim,) if isinstance(dim, int) else dim))
    count = math.prod(x.known[axis - 1] for axis in axes)
    divisor = count - (int(unbiased) if correction is None else correction)
    if divisor <= 0:
        raise Unconvertible(f"the variance of {count} numbers can't be divided by {divisor}")
    centred = join(layers.Sub)(graph, x, graph.put(layers.Mean(axes, True), x))
    mean = graph.put(layers.Mean(axes, keepdim), square(graph, centred))
    return mean if divisor == count else affine(graph, mean, count / divisor, 0)


def deviation(graph: Importer, *args: Any, **kwargs: Any) -> Tensor:
    return graph.put(layers.Sqrt(), variance(graph, *args, **kwargs))


def extreme(kind: Callable[..., Layer], place: Callable[..., Layer], of_two: Callable[..., Layer]) -> Convert:
    """`max` and `min`: of two tensors, or along an axis, and then the places too."""

    def convert(graph: Importer, input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if isinstance(dim, Value | Array) or other is not None:
            return join(of_two)(graph, input, dim if other is None else other)
        x = graph.value(input)
        if dim is None:
            raise Unconvertible("the images of a batch would be mixed: dim must be given")
        return graph.put(kind(dim, keepdim), x), graph.put(place(dim, keepdim), x)

    return convert
