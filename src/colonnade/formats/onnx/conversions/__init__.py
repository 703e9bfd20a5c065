"""How each operator of ONNX becomes layers of ours: one function each, by the operator's name."""

from . import (
    axes,
    control,
    elementwise,
    indexing,
    integers,
    normalization,
    parts,
    products,
    quantization,
    recurrent,
    reductions,
    repetition,
    resizing,
    sampling,
    windows,
)
from .elementwise import Conversion

CONVERSIONS: dict[str, Conversion] = {
    **axes.CONVERSIONS,
    **control.CONVERSIONS,
    **elementwise.CONVERSIONS,
    **indexing.CONVERSIONS,
    **integers.CONVERSIONS,
    **normalization.CONVERSIONS,
    **parts.CONVERSIONS,
    **products.CONVERSIONS,
    **quantization.CONVERSIONS,
    **recurrent.CONVERSIONS,
    **reductions.CONVERSIONS,
    **repetition.CONVERSIONS,
    **resizing.CONVERSIONS,
    **sampling.CONVERSIONS,
    **windows.CONVERSIONS,
}

__all__ = ["CONVERSIONS"]
