"""How each operator of ONNX becomes layers of ours: one function each, by the operator's name."""

from . import (
    attention,
    axes,
    columns,
    control,
    detection,
    elementwise,
    indexing,
    integers,
    losses,
    normalization,
    norms,
    parts,
    products,
    quantization,
    recurrent,
    reductions,
    repetition,
    resizing,
    sampling,
    signals,
    windows,
)
from .elementwise import Conversion

CONVERSIONS: dict[str, Conversion] = {
    **attention.CONVERSIONS,
    **axes.CONVERSIONS,
    **columns.CONVERSIONS,
    **control.CONVERSIONS,
    **detection.CONVERSIONS,
    **elementwise.CONVERSIONS,
    **indexing.CONVERSIONS,
    **integers.CONVERSIONS,
    **losses.CONVERSIONS,
    **normalization.CONVERSIONS,
    **norms.CONVERSIONS,
    **parts.CONVERSIONS,
    **products.CONVERSIONS,
    **quantization.CONVERSIONS,
    **recurrent.CONVERSIONS,
    **reductions.CONVERSIONS,
    **repetition.CONVERSIONS,
    **resizing.CONVERSIONS,
    **sampling.CONVERSIONS,
    **signals.CONVERSIONS,
    **windows.CONVERSIONS,
}
# Operators that there is no layer for, and why.
SIZED_BY_NUMBERS = "how much it puts out depends on the numbers of an image, and a plan has sizes that are known"
REFUSED: dict[str, str] = dict.fromkeys(("NonZero", "Unique"), SIZED_BY_NUMBERS)

# Operators that make an array of known numbers by themselves.
MADE = {"BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"}

__all__ = ["CONVERSIONS", "MADE", "REFUSED", "Conversion"]
