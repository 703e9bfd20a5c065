"""PyTorch's samples of its operations: every layer and loss that does the same, forward and gradients.

A layer takes batches and an operation does not care: a sample becomes a batch of one image, unless its operation has
a batch axis of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ColonnadeError
from tests.peers.databases import InexpressibleError, agree, operations, plain, torch


class Case(NamedTuple):
    """A sample in our words.

    Attributes:
        layer: What does it.
        inputs: Of PyTorch, those that the layer reads, as its samples have them.
        batched: Whether they have a batch axis.
        parameters: Of PyTorch, by the layer's names.
        kept: The axes that an input has at least, the batch's included.
    """

    layer: Any
    inputs: tuple[Any, ...]
    batched: bool = False
    parameters: dict[str, Any] = {}
    kept: int = 2


def named(sample: Any, *names: str) -> dict[str, Any]:
    """Positional arguments by name, and the others."""
    given = dict(zip(names, sample.args, strict=False)) | sample.kwargs
    if len(sample.args) > len(names):
        raise InexpressibleError(f"more than {names}")
    return {name: plain(value) for name, value in given.items()}


def elementwise(kind: Any, *names: str) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        return Case(kind(**named(sample, *names)), (sample.input,))

    return make


def behind_the_batch(dim: Any) -> Any:
    """Axes counted with a batch axis put before them."""
    if isinstance(dim, tuple | list):
        return tuple(map(behind_the_batch, dim))
    return dim + 1 if isinstance(dim, int) and dim >= 0 else dim


def reduction(kind: Any) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        given = named(sample, "dim", "keepdim")
        given["dim"] = behind_the_batch(given.get("dim"))
        if "dtype" in given:
            raise InexpressibleError("another type")
        if given["dim"] is None and given.get("keepdim"):
            raise InexpressibleError("keepdim without dim")
        return Case(kind(**given), (sample.input,))

    return make


def place(kind: Any) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        given = named(sample, "dim", "keepdim")
        if given.get("dim") is None or not sample.input.ndim:
            raise InexpressibleError("a number")
        return Case(kind(behind_the_batch(given["dim"]), given.get("keepdim", False)), (sample.input,))

    return make


def binary(kind: Any) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        others = sample.args
        if sample.kwargs or not all(isinstance(each, torch.Tensor) for each in others):
            raise InexpressibleError("a number, or an option")
        return Case(kind(stretch=True), (sample.input, *others))

    return make


def windows(kind: Any, *names: str, pixels: int | None = None) -> Callable[[Any], Case]:
    """A layer whose operation has a batch axis, or none where there is one axis less.

    Of its axes `pixels` are of pixels; by default as many as its name says.
    """

    def make(sample: Any) -> Case:
        axes = 2 + (int(kind.__name__[-2]) if pixels is None else pixels)
        x = sample.input if sample.input.ndim >= axes else sample.input[None]
        return Case(kind(**named(sample, *names)), (x,), batched=True)

    return make


def of_batches(kind: Any, *names: str) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        return Case(kind(**named(sample, *names)), (sample.input,), batched=True)

    return make


def convolution(kind: Any, *names: str) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        weight, *rest = sample.args
        bias = rest.pop(0) if rest else sample.kwargs.get("bias")
        options = dict(zip(names, rest, strict=False)) | {k: v for k, v in sample.kwargs.items() if k != "bias"}
        groups = options.get("groups", 1)
        turned = kind.__name__.startswith("ConvTranspose")
        channels = (
            (weight.shape[0], weight.shape[1] * groups) if turned else (weight.shape[1] * groups, weight.shape[0])
        )
        layer = kind(*channels, tuple(weight.shape[2:]), bias=bias is not None, **plain(options))
        x = sample.input if sample.input.ndim == weight.ndim else sample.input[None]
        parameters = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        return Case(layer, (x,), batched=True, parameters=parameters)

    return make


def linear(sample: Any) -> Case:
    weight, *rest = sample.args
    if weight.ndim != 2:
        raise InexpressibleError("a weight that is no matrix")
    layer = cn.Dense(weight.shape[1], weight.shape[0], bool(rest))
    return Case(layer, (sample.input,), parameters=dict(zip(("weight", "bias"), sample.args, strict=False)))


def layer_norm(sample: Any) -> Case:
    given = dict(zip(("normalized_shape", "weight", "bias", "eps"), sample.args, strict=False)) | sample.kwargs
    weight, bias = given.pop("weight", None), given.pop("bias", None)
    if weight is None and bias is not None:
        raise InexpressibleError("a bias without a weight")
    layer = cn.LayerNorm(**plain(given), elementwise_affine=weight is not None, bias=bias is not None)
    parameters = {k: v for k, v in (("weight", weight), ("bias", bias)) if v is not None}
    batched = sample.input.ndim > len(given["normalized_shape"])
    return Case(layer, (sample.input,), batched=batched, parameters=parameters)


def group_norm(sample: Any) -> Case:
    given = dict(zip(("num_groups", "weight", "bias", "eps"), sample.args, strict=False)) | sample.kwargs
    weight, bias = given.pop("weight", None), given.pop("bias", None)
    if weight is None and bias is not None:
        raise InexpressibleError("a bias without a weight")
    channels = sample.input.shape[1]
    layer = cn.GroupNorm(num_channels=channels, **plain(given), affine=weight is not None, bias=bias is not None)
    parameters = {k: v for k, v in (("weight", weight), ("bias", bias)) if v is not None}
    return Case(layer, (sample.input,), batched=True, parameters=parameters)


def softmax(kind: Any) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        given = named(sample, "dim")
        if set(given) - {"dim"}:
            raise InexpressibleError("another type")
        return Case(kind(behind_the_batch(given["dim"])), (sample.input,))

    return make


def rearranged(make_layer: Callable[..., Any], *names: str) -> Callable[[Any], Case]:
    def make(sample: Any) -> Case:
        if sample.input.ndim < 1:
            raise InexpressibleError("a number")
        return Case(make_layer(**named(sample, *names)), (sample.input,))

    return make


def flattened(start_dim: int = 0, end_dim: int = -1) -> Any:
    return cn.Flatten(behind_the_batch(start_dim), behind_the_batch(end_dim))


def padded(pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    return cn.Pad(pad, mode, value or 0.0)


def rounded(sample: Any) -> Case:
    if sample.kwargs:
        raise InexpressibleError("decimals")
    return Case(cn.Round(), (sample.input,))


def matmul(sample: Any) -> Case:
    return Case(cn.MatMul(), (sample.input, *sample.args), kept=3)


def prelu(sample: Any) -> Case:
    weight = sample.args[0] if sample.args else sample.kwargs["weight"]
    if sample.input.ndim < 2:
        raise InexpressibleError("a number")
    return Case(cn.PReLU(weight.numel()), (sample.input,), batched=True, parameters={"weight": weight})


def batch_norm(sample: Any) -> Case:
    given = dict(zip(("running_mean", "running_var", "weight", "bias"), sample.args, strict=False)) | sample.kwargs
    weight, bias = given.get("weight"), given.get("bias")
    if not given.get("training"):
        raise InexpressibleError("in inference")
    if sample.input.ndim not in (2, 3, 4, 5):
        raise InexpressibleError("other ranks")
    if weight is None and bias is not None:
        raise InexpressibleError("a bias without a weight")
    options = {name: given[name] for name in ("eps", "momentum") if name in given}
    kind = {4: cn.BatchNorm2d, 5: cn.BatchNorm3d}.get(sample.input.ndim, cn.BatchNorm1d)
    parameters = {} if weight is None else {"weight": weight, "bias": bias}
    layer = kind(sample.input.shape[1], affine=weight is not None, track_running_stats=False, **options)
    return Case(layer, (sample.input,), batched=True, parameters=parameters)


def concatenated(sample: Any) -> Case:
    if len({each.ndim for each in sample.input}) > 1:
        raise InexpressibleError("other ranks")
    dim = sample.kwargs.get("dim", sample.args[0] if sample.args else 0)
    return Case(cn.Concat(behind_the_batch(dim)), tuple(sample.input))


CASES: dict[str, Callable[[Any], Case]] = {
    **{
        name: elementwise(getattr(cn, name.title()))
        for name in ("abs", "exp", "log", "sqrt", "reciprocal", "erf", "sin", "cos", "sign", "floor", "ceil", "trunc")
        + ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
    },
    "round": rounded,
    "sigmoid": elementwise(cn.Sigmoid),
    "tanh": elementwise(cn.Tanh),
    "logical_not": elementwise(cn.LogicalNot),
    "nn.functional.relu": elementwise(cn.ReLU, "inplace"),
    "nn.functional.relu6": elementwise(cn.ReLU6, "inplace"),
    "nn.functional.elu": elementwise(cn.ELU, "alpha"),
    "nn.functional.selu": elementwise(cn.SELU),
    "nn.functional.celu": elementwise(cn.CELU, "alpha"),
    "nn.functional.gelu": elementwise(cn.GELU),
    "nn.functional.silu": elementwise(cn.SiLU),
    "nn.functional.mish": elementwise(cn.Mish),
    "nn.functional.hardswish": elementwise(cn.Hardswish),
    "nn.functional.hardsigmoid": elementwise(cn.Hardsigmoid),
    "nn.functional.hardtanh": elementwise(cn.Hardtanh),
    "nn.functional.leaky_relu": elementwise(cn.LeakyReLU, "negative_slope"),
    "nn.functional.softplus": elementwise(cn.Softplus, "beta", "threshold"),
    "nn.functional.softsign": elementwise(cn.Softsign),
    "nn.functional.threshold": elementwise(cn.Threshold, "threshold", "value"),
    **{name: reduction(getattr(cn, name.title())) for name in ("sum", "mean", "prod", "amax", "amin")},
    "nn.functional.prelu": prelu,
    "nn.functional.batch_norm": batch_norm,
    "cat": concatenated,
    "logsumexp": reduction(cn.LogSumExp),
    "argmax": place(cn.Argmax),
    "argmin": place(cn.Argmin),
    "tile": rearranged(cn.Tile, "repeats"),
    "maximum": binary(cn.Maximum),
    "minimum": binary(cn.Minimum),
    "add": binary(cn.Add),
    "sub": binary(cn.Sub),
    "mul": binary(cn.Mul),
    "div": binary(cn.Div),
    "pow": binary(cn.Pow),
    "eq": binary(cn.Equal),
    "lt": binary(cn.Less),
    "le": binary(cn.LessEqual),
    "gt": binary(cn.Greater),
    "ge": binary(cn.GreaterEqual),
    "logical_and": binary(cn.LogicalAnd),
    "logical_or": binary(cn.LogicalOr),
    "logical_xor": binary(cn.LogicalXor),
    "matmul": matmul,
    **{
        f"nn.functional.conv{kind.__name__[-2:]}": convolution(kind, "stride", "padding", "dilation", "groups")
        for kind in (cn.Conv1d, cn.Conv2d, cn.Conv3d)
    },
    **{
        f"nn.functional.conv_transpose{kind.__name__[-2:]}": convolution(
            kind, "stride", "padding", "output_padding", "groups", "dilation"
        )
        for kind in (cn.ConvTranspose1d, cn.ConvTranspose2d, cn.ConvTranspose3d)
    },
    "nn.functional.linear": linear,
    "nn.functional.max_pool1d": windows(cn.MaxPool1d, "kernel_size"),
    "nn.functional.max_pool2d": windows(cn.MaxPool2d, "kernel_size"),
    "nn.functional.avg_pool1d": windows(
        cn.AvgPool1d, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"
    ),
    "nn.functional.max_pool3d": windows(cn.MaxPool3d, "kernel_size"),
    **{
        f"nn.functional.avg_pool{kind.__name__[-2:]}": windows(
            kind, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"
        )
        for kind in (cn.AvgPool2d, cn.AvgPool3d)
    },
    **{
        f"nn.functional.adaptive_avg_pool{kind.__name__[-2:]}": windows(kind, "output_size")
        for kind in (cn.AdaptiveAvgPool1d, cn.AdaptiveAvgPool2d, cn.AdaptiveAvgPool3d)
    },
    **{
        f"nn.functional.adaptive_max_pool{kind.__name__[-2:]}": windows(kind, "output_size", "return_indices")
        for kind in (cn.AdaptiveMaxPool1d, cn.AdaptiveMaxPool2d, cn.AdaptiveMaxPool3d)
    },
    "nn.functional.pixel_shuffle": windows(cn.PixelShuffle, "upscale_factor", pixels=2),
    "nn.functional.pixel_unshuffle": windows(cn.PixelUnshuffle, "downscale_factor", pixels=2),
    "nn.functional.interpolate": of_batches(cn.Upsample, "size", "scale_factor", "mode", "align_corners"),
    "nn.functional.local_response_norm": of_batches(cn.LocalResponseNorm, "size", "alpha", "beta", "k"),
    "nn.functional.layer_norm": layer_norm,
    "nn.functional.group_norm": group_norm,
    "softmax": softmax(cn.Softmax),
    "log_softmax": softmax(cn.LogSoftmax),
    "nn.functional.pad": rearranged(padded, "pad", "mode", "value"),
    "flatten": rearranged(flattened, "start_dim", "end_dim"),
    "unflatten": rearranged(lambda dim, sizes: cn.Unflatten(behind_the_batch(dim), sizes), "dim", "sizes"),
    "select": rearranged(lambda dim, index: cn.Select(behind_the_batch(dim), index), "dim", "index"),
    "permute": rearranged(lambda dims: cn.Permute((0, *behind_the_batch(dims))), "dims"),
    "reshape": rearranged(lambda shape: cn.Reshape(shape), "shape"),
    "index_select": rearranged(lambda dim, index: cn.IndexSelect(behind_the_batch(dim), index), "dim", "index"),
}

LOSSES: dict[str, Any] = {
    "nn.functional.cross_entropy": cn.CrossEntropyLoss,
    "nn.functional.nll_loss": cn.NLLLoss,
    "nn.functional.mse_loss": cn.MSELoss,
    "nn.functional.l1_loss": cn.L1Loss,
    "nn.functional.smooth_l1_loss": cn.SmoothL1Loss,
    "nn.functional.huber_loss": cn.HuberLoss,
    "nn.functional.kl_div": cn.KLDivLoss,
    "nn.functional.binary_cross_entropy_with_logits": cn.BCEWithLogitsLoss,
    "nn.functional.ctc_loss": cn.CTCLoss,
    "nn.functional.triplet_margin_loss": cn.TripletMarginLoss,
    "nn.functional.cosine_embedding_loss": cn.CosineEmbeddingLoss,
    "nn.functional.gaussian_nll_loss": cn.GaussianNLLLoss,
}

# Why a sample may be refused, by the words of the error.
REASONS: dict[str, tuple[str, str]] = {
    "empty": (
        r"sizes must be positive|expected at least one image",
        "where there is nothing, there is nothing to compute",
    ),
    "stretched": (r"targets must have the shape of y", "what is compared has one shape"),
    "batch": (r"y must have the batch as its first|y must have the shape", "the first axis is the batch's"),
    "indices": (r"return_indices is not supported", "a layer has one output"),
    "number": (r"^a number$", "an array of no axes has none to change"),
    "option": (r"^a number, or an option$", "a layer reads tensors, and adds or divides them in one way"),
    "type": (r"^another type$", "all numbers of a model are of one type"),
    "vector": (r"MatMul: expected as many columns", "both are matrices, or stacks of them"),
    "eps": (r"eps must be zero or more", "nobody divides by the root of a negative number"),
    "single": (r"must be a whole number or a pair of them", "there is a number for each axis"),
    "negative": (r"Pad: padding must be pairs of numbers, zero or more", "Slice takes away"),
    "constant": (r"min_val must be below max_val", "what is then put out is a constant"),
    "axis": (r"Select: expected an axis of one image", "an image has at least one axis"),
    "count": (r"repeats must be positive|Tile: expected . axes", "each axis of an image is there, and so is the image"),
    "sizes": (r"unflattened_size must hold positive sizes", "a size is positive"),
    "axes": (r"dim must be different axes of one image", "None stands for all axes, and no axes for none"),
    "mode": (r"mode must be one of nearest, linear", "Resize has others"),
    "inference": (r"^in inference$", "what is compared here is training"),
    "ranks": (
        r"^other ranks$",
        "there are layers for vectors, rows, images and volumes, and none for what has more axes",
    ),
    "momentum": (r"momentum must lie between 0 and 1", "a mean of what was and what is"),
    "decimals": (r"^decimals$", "numbers are rounded to whole ones"),
}
# Which of these refuse a sample of an operation. Each must refuse one, and no other may.
REFUSED: dict[str, str] = {
    "add": "empty option",
    "mul": "empty",
    "sub": "empty option",
    **dict.fromkeys(("cos", "acos", "cosh", "acosh"), "empty"),
    "div no_rounding_mode": "empty",
    "div trunc_rounding": "option",
    "div floor_rounding": "option",
    "exp": "empty",
    "eq": "empty",
    "ge": "empty",
    "gt": "empty",
    "le": "empty",
    "log": "empty",
    "logical_not": "empty",
    "lt": "empty",
    "matmul": "vector empty",
    "maximum": "empty",
    "minimum": "empty",
    "logical_and": "empty",
    "logical_or": "empty",
    "logical_xor": "empty",
    "softmax": "empty",
    "softmax with_dtype": "type",
    **{f"nn.functional.adaptive_max_pool{axes}d": "indices" for axes in (1, 2, 3)},
    "cat": "empty ranks",
    "nn.functional.prelu": "number empty",
    "nn.functional.batch_norm": "inference ranks momentum",
    "nn.functional.batch_norm without_cudnn": "inference ranks momentum",
    "nn.functional.avg_pool1d": "empty",
    "nn.functional.binary_cross_entropy_with_logits": "batch",
    "nn.functional.group_norm": "eps empty",
    "nn.functional.layer_norm": "eps empty",
    "nn.functional.local_response_norm": "empty",
    "nn.functional.pad constant": "negative empty",
    "nn.functional.pad reflect": "empty negative",
    "nn.functional.pad replicate": "empty negative",
    "nn.functional.pad replicate_negative": "negative",
    "nn.functional.pad circular": "empty negative",
    "nn.functional.interpolate nearest-exact": "mode",
    "nn.functional.interpolate bicubic": "mode",
    "nn.functional.interpolate area": "mode",
    "nn.functional.avg_pool2d": "single",
    "nn.functional.adaptive_avg_pool1d": "empty",
    "nn.functional.adaptive_avg_pool3d": "empty",
    "nn.functional.avg_pool3d": "empty",
    "nn.functional.max_pool1d": "indices",
    "nn.functional.max_pool2d": "indices",
    "nn.functional.max_pool3d": "indices",
    "nn.functional.linear": "empty",
    "nn.functional.elu": "empty",
    "nn.functional.celu": "empty",
    "nn.functional.selu": "empty",
    "nn.functional.silu": "empty",
    "nn.functional.silu complex": "empty",
    "nn.functional.hardsigmoid": "empty",
    "nn.functional.mish": "empty",
    "nn.functional.softsign": "empty",
    "nn.functional.hardtanh": "constant empty",
    "nn.functional.relu6": "empty",
    "permute": "number",
    "pow": "empty",
    "round decimals_0": "decimals",
    "round decimals_3": "decimals",
    "round decimals_neg_3": "decimals",
    "select": "axis",
    "reciprocal": "empty",
    "reshape": "number",
    "flatten": "number",
    "unflatten": "empty sizes",
    "index_select": "number",
    "tile": "number count empty",
    "sigmoid": "empty",
    "nn.functional.smooth_l1_loss": "batch",
    "nn.functional.l1_loss": "batch",
    "log_softmax": "empty",
    "log_softmax with_dtype": "type",
    "nn.functional.softplus": "empty",
    "nn.functional.mse_loss": "batch",
    "amax": "axes",
    "amin": "axes",
    "argmax": "number",
    "argmin": "number",
    "mean": "axes",
    "prod": "empty type",
    "sum": "axes",
    "nn.functional.nll_loss": "batch",
    "nn.functional.pixel_shuffle": "empty",
    "nn.functional.pixel_unshuffle": "empty",
    "nn.functional.gaussian_nll_loss": "stretched",
}
# Operations that a layer has the name of, and that are not compared with it.
BY_HAND = "its passes stand beside PyTorch's in tests/ops/test_by_hand.py"
UNCOMPARED = {
    "cumsum": BY_HAND,
    "fmod": BY_HAND,
    "nn.functional.bilinear": BY_HAND,
    "nn.functional.channel_shuffle": BY_HAND,
    "nn.functional.grid_sample": BY_HAND,
    "nn.functional.one_hot": BY_HAND,
    "nn.functional.rms_norm": BY_HAND,
    "nn.functional.unfold": BY_HAND,
    "remainder": BY_HAND,
    "take_along_dim": BY_HAND,
    "tril": BY_HAND,
    "triu": BY_HAND,
    "unfold": BY_HAND,
    "equal": "whether two tensors are the same, in one word",
    "expand": "sizes that stay as they are have no number here",
    "nn.functional.dropout": "random numbers",
    "nn.functional.dropout2d": "random numbers",
    "nn.functional.dropout3d": "random numbers",
    "nn.functional.embedding": "numbers of rows are no float64",
    "resize_": "of memory",
    "slice": "one axis, by a function that PyTorch keeps to itself",
    "where": "truth values are no float64",
}
# More samples than that say the same again and again. An odd step meets both of what alternates.
MOST_SAMPLES = 200


def compare_layer(info: Any, sample: Any, case: Case) -> None:
    tensors = case.inputs
    axes = max(each.ndim for each in tensors)
    arrays = []
    for each in tensors:
        array = plain(each)
        if not case.batched:
            array = array.reshape((1, *[1] * (axes - array.ndim), *array.shape))
        arrays.append(array.reshape((*array.shape, *[1] * (case.kept - array.ndim))))
    names = [f"x{number}" for number in range(len(arrays))]
    body: Any = [case.layer] if len(arrays) == 1 else cn.Graph({"0": (case.layer, *names)}, names)
    model = cn.Model(body, dtype="float64")
    model.load_state_dict({f"0.{name}": plain(value) for name, value in case.parameters.items()})
    outputs = model(arrays[0] if len(arrays) == 1 else tuple(arrays), training=True)
    theirs = info.op(sample.input, *sample.args, **sample.kwargs)
    agree(outputs, theirs, "output")
    learned = [each for each in (*tensors, *case.parameters.values()) if each.requires_grad]
    if not theirs.requires_grad or not learned:
        return
    gradient = np.random.default_rng(0).normal(size=tuple(theirs.shape))
    found = torch.autograd.grad(theirs, learned, torch.tensor(gradient), allow_unused=True)
    at_inputs = model.backward(gradient.reshape(outputs.shape))
    ours = [at_inputs] if len(arrays) == 1 else list(at_inputs)
    grads = {parameter.name: parameter.grad for parameter in model.parameters()}
    ours += [grads[f"0.{name}"] for name in case.parameters]
    wanted = [
        each for each, tensor in zip(ours, (*tensors, *case.parameters.values()), strict=True) if tensor.requires_grad
    ]
    for own, their in zip(wanted, found, strict=True):
        if their is not None:
            agree(own, their, "gradient")


# How many tensors a loss is called with, and which of them have a gradient here; of all others the first of two.
CALLED: dict[Any, tuple[int, tuple[int, ...]]] = {
    cn.CTCLoss: (4, (0,)),
    cn.TripletMarginLoss: (3, (0, 1, 2)),
    cn.CosineEmbeddingLoss: (3, (0, 1)),
    cn.GaussianNLLLoss: (3, (0, 2)),
}


def compare_loss(info: Any, sample: Any, kind: Any) -> None:
    count, at = CALLED.get(kind, (2, (0,)))
    args, rest = [sample.input, *sample.args[: count - 1]], sample.args[count - 1 :]
    options = named(type("Options", (), {"args": tuple(rest), "kwargs": sample.kwargs}), "weight")
    theirs = info.op(sample.input, *sample.args, **sample.kwargs)
    carried = np.random.default_rng(0).normal(size=theirs.shape)
    loss, gradients = kind(**options)(*plain(args), gradient=carried)
    agree(loss, theirs, "loss")
    found = torch.autograd.grad(theirs, [args[number] for number in at], torch.tensor(carried))
    for own, their in zip(gradients if len(at) > 1 else [gradients], found, strict=True):
        agree(own, their, "gradient")


def compared() -> dict[str, Any]:
    return {
        f"{info.name} {info.variant_test_name}".strip(): info
        for info in operations
        if info.name in CASES or info.name in LOSSES
    }


INFOS = compared()


def test_the_database_has_all_that_is_compared() -> None:
    assert {info.name for info in INFOS.values()} == {*CASES, *LOSSES}
    assert set(REFUSED) <= set(INFOS)
    assert {reason for reasons in REFUSED.values() for reason in reasons.split()} == set(REASONS)


def test_an_operation_of_a_layers_name_is_compared_or_on_the_list() -> None:
    layers = {name.lower() for name in cn.__all__ if isinstance(getattr(cn, name), type)}
    same = {info.name for info in operations if info.name.rpartition(".")[2].replace("_", "") in layers}
    same = {name for name in same if not name.startswith("masked.")}
    assert same - {*CASES, *LOSSES} == set(UNCOMPARED)


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("name", INFOS)
def test_samples_agree_or_are_on_the_list(name: str) -> None:
    info = INFOS[name]
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(info.sample_inputs("cpu", torch.float64, requires_grad=info.supports_autograd))
    refused: dict[str, int] = dict.fromkeys(REFUSED.get(name, "").split(), 0)
    unlisted = []
    for sample in samples[:: -(-len(samples) // MOST_SAMPLES) | 1]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's, of what it has given up
                if info.name in LOSSES:
                    compare_loss(info, sample, LOSSES[info.name])
                else:
                    compare_layer(info, sample, CASES[info.name](sample))
        except (ColonnadeError, InexpressibleError) as error:
            listed = [reason for reason in refused if re.search(REASONS[reason][0], str(error))]
            if listed:
                refused[listed[0]] += 1
            else:
                unlisted.append(str(error))
    assert not unlisted
    assert all(refused.values()), f"no longer refused: {refused}"
