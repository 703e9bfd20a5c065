"""The functions of ATen, by which torch.export calls them, as those of `torch` that the tables have.

Most have the same name and order of arguments. Here is what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .in_place import LAST
from .values import Unconvertible

Arguments = tuple[str, tuple[Any, ...], dict[str, Any]]


def adapted(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """The name and arguments of the function of `torch` that does what one of ATen does."""
    namespace, _, name = str(function._schema.name).partition("::")
    if namespace != "aten":
        raise Unconvertible("Colonnade does not know this function")
    name = name.rstrip("_")
    args, kwargs = _tuples(args), {key: _tuples(value) for key, value in kwargs.items() if key not in IGNORED}
    if name in ORDERS:
        return ORDERS[name](*args, **kwargs)
    return NAMES.get(name, name), args, kwargs


IGNORED = {"device", "layout", "memory_format", "pin_memory", "implicit"}
# What has another name.
NAMES = {
    **dict.fromkeys(("_to_copy", "alias", "lift_fresh", "lift_fresh_copy"), "clone"),
    **dict.fromkeys(("_unsafe_view", "view"), "reshape"),
    "_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_flash",
    **{f"adaptive_max_pool{axes}d": f"adaptive_max_pool{axes}d_with_indices" for axes in (1, 2, 3)},
    "batch_norm": "batch_norm_weights_first",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "linalg_vector_norm": "norm",
    "split_with_sizes": "split",
    "sym_size": "size",
}


def _tuples(x: Any) -> Any:
    return tuple(_tuples(each) for each in x) if isinstance(x, list | tuple) else x


def _embedding(weight: Any, indices: Any, padding_idx: int = -1, *options: Any) -> Arguments:
    return "embedding", (indices, weight, None if padding_idx < 0 else padding_idx), {}


def _index(x: Any, indices: tuple[Any, ...]) -> Arguments:
    return "getitem", (x, tuple(slice(None) if each is None else each for each in indices)), {}


def _slice(x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Arguments:
    end = None if end is not None and end >= LAST else end
    if not start and end is None and step == 1:
        return "clone", (x,), {}
    if dim < 0:
        return "getitem", (x, (..., slice(start, end, step), *[slice(None)] * (-1 - dim))), {}
    return "getitem", (x, (*[slice(None)] * dim, slice(start, end, step))), {}


def _to(x: Any, *args: Any, **kwargs: Any) -> Arguments:
    return "to", (x, *args), kwargs


def _pool(name: str) -> Callable[..., Arguments]:
    def order(x: Any, kernel_size: Any, stride: Any = (), *args: Any, **kwargs: Any) -> Arguments:
        return name, (x, kernel_size, stride or None, *args), kwargs

    return order


def _resize(mode: str) -> Callable[..., Arguments]:
    def order(x: Any, size: Any, *rest: Any) -> Arguments:
        *corners, scale = rest
        if mode == "nearest":
            return "interpolate", (x, size, scale, mode), {}
        return "interpolate", (x, size, scale, mode, bool(corners and corners[0])), {}

    return order


def _antialiased(mode: str) -> Callable[..., Arguments]:
    def order(x: Any, size: Any, align_corners: bool, scale: Any = None) -> Arguments:
        return "interpolate", (x, size, scale, mode, align_corners), {"antialias": True}

    return order


def _expand(x: Any, size: Any, **options: Any) -> Arguments:
    return "expand", (x, size), {}


def _grid_sample(x: Any, grid: Any, mode: int, padding: int, align_corners: bool) -> Arguments:
    names = ("bilinear", "nearest", "bicubic")[mode], ("zeros", "border", "reflection")[padding]
    return "grid_sample", (x, grid, *names, align_corners), {}


def _instance_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Arguments:  # fmt: skip
    return "instance_norm", (x, mean, variance, weight, bias, use_input_stats, momentum, eps), {}


def _clamp(least: bool) -> Callable[..., Arguments]:
    return lambda x, bound: ("clamp", (x,), {"min" if least else "max": bound})


ORDERS: dict[str, Callable[..., Arguments]] = {
    "affine_grid_generator": lambda theta, size, align_corners: ("affine_grid", (theta, size, align_corners), {}),
    "avg_pool1d": _pool("avg_pool1d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "avg_pool3d": _pool("avg_pool3d"),
    "clamp_max": _clamp(False),
    "clamp_min": _clamp(True),
    "col2im": lambda x, size, kernel, dilation, padding, stride: (
        "fold",
        (x, size, kernel, dilation, padding, stride),
        {},
    ),
    "embedding": _embedding,
    "expand": _expand,
    "grid_sampler": _grid_sample,
    "im2col": lambda x, kernel, dilation, padding, stride: ("unfold", (x, kernel, dilation, padding, stride), {}),
    "index": _index,
    "instance_norm": _instance_norm,
    "max_pool1d": _pool("max_pool1d"),
    "max_pool2d": _pool("max_pool2d"),
    "max_pool3d": _pool("max_pool3d"),
    "max_pool2d_with_indices": _pool("max_pool2d_with_indices"),
    "max_pool3d_with_indices": _pool("max_pool3d_with_indices"),
    "slice": _slice,
    "t": lambda x: ("transpose", (x, 0, 1), {}),
    "to": _to,
    "_upsample_bicubic2d_aa": _antialiased("bicubic"),
    "_upsample_bilinear2d_aa": _antialiased("bilinear"),
    "upsample_bicubic2d": _resize("bicubic"),
    "upsample_bilinear2d": _resize("bilinear"),
    **{f"upsample_nearest{axes}d": _resize("nearest") for axes in (1, 2, 3)},
    "upsample_linear1d": _resize("linear"),
    "upsample_trilinear3d": _resize("trilinear"),
}
