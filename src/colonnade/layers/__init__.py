"""The layers: one family a file."""

from .activation import LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from .adaptive import AdaptiveMaxPool2d
from .arithmetic import Div, Fmod, Maximum, Minimum, Pow, Remainder, Sub, Where
from .attention import MultiheadAttention
from .base import Block, Layer, Scratch
from .bilinear import Bilinear
from .borders import CircularPad1d, CircularPad2d, ReflectionPad1d, ReflectionPad2d, ReplicationPad1d, ReplicationPad2d
from .channel_dropout import Dropout2d
from .comparison import Equal, Greater, GreaterEqual, Less, LessEqual, LogicalAnd, LogicalOr, LogicalXor
from .convolution import Conv2d
from .cumulative import CumSum
from .dense import Dense
from .detection import NonMaxSuppression
from .dropout import Dropout
from .embedding import Embedding
from .functions import (
    CELU,
    Abs,
    Affine,
    Ceil,
    Erf,
    Exp,
    Floor,
    Log,
    LogicalNot,
    Power,
    Reciprocal,
    Round,
    Sign,
    Softsign,
    Sqrt,
    Threshold,
    Trunc,
)
from .gates import GELU, Hardsigmoid, Hardswish, Mish, SiLU
from .indexing import OneHot, ScatterAlongDim, TakeAlongDim, TopKIndices
from .local_response import LocalResponseNorm
from .log_softmax import LogSoftmax
from .matmul import MatMul
from .normalization import BatchNorm1d, BatchNorm2d
from .pieces import ELU, SELU, Hardtanh, PReLU, ReLU6, Softplus
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .quantization import Dequantize, Quantize
from .rearrangement import Expand, IndexSelect, Pad, Slice, Tile, Tril, Triu
from .recurrent import GRU, LSTM, RNN
from .reduction import Amax, Amin, Argmax, Argmin, LogSumExp, Mean, Prod, Sum
from .resampling import ChannelShuffle, PixelShuffle, PixelUnshuffle, Upsample, ZeroPad2d
from .resizing import Resize
from .rms_norm import RMSNorm
from .sampling import GridSample, RoiAlign
from .sequence import Conv1d
from .sequence_pooling import AvgPool1d, MaxPool1d
from .shape import Flatten, Identity, Permute, Reshape, Select, Unflatten
from .standardization import GroupNorm, InstanceNorm1d, InstanceNorm2d, LayerNorm, LayerNorm2d
from .transposed_convolution import ConvTranspose2d
from .trigonometric import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan
from .unfolding import Fold, Unfold
from .wiring import Add, Concat, Constant, Mul

__all__ = [
    "Abs",
    "Acos",
    "Acosh",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "Add",
    "Affine",
    "Amax",
    "Amin",
    "Argmax",
    "Argmin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bilinear",
    "Block",
    "CELU",
    "Ceil",
    "ChannelShuffle",
    "CircularPad1d",
    "CircularPad2d",
    "Concat",
    "Constant",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Cos",
    "Cosh",
    "CumSum",
    "Dense",
    "Dequantize",
    "Div",
    "Dropout",
    "Dropout2d",
    "ELU",
    "Embedding",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Fmod",
    "Fold",
    "GELU",
    "GRU",
    "Greater",
    "GreaterEqual",
    "GridSample",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "IndexSelect",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LSTM",
    "Layer",
    "LayerNorm",
    "LayerNorm2d",
    "LeakyReLU",
    "Less",
    "LessEqual",
    "LocalResponseNorm",
    "Log",
    "LogSoftmax",
    "LogSumExp",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "LogicalXor",
    "MatMul",
    "MaxPool1d",
    "MaxPool2d",
    "Maximum",
    "Mean",
    "Minimum",
    "Mish",
    "Mul",
    "MultiheadAttention",
    "NonMaxSuppression",
    "OneHot",
    "PReLU",
    "Pad",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Pow",
    "Power",
    "Prod",
    "Quantize",
    "RMSNorm",
    "RNN",
    "ReLU",
    "ReLU6",
    "Reciprocal",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "Remainder",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Reshape",
    "Resize",
    "RoiAlign",
    "Round",
    "SELU",
    "ScatterAlongDim",
    "Scratch",
    "Select",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "TakeAlongDim",
    "Tan",
    "Tanh",
    "Threshold",
    "Tile",
    "TopKIndices",
    "Tril",
    "Triu",
    "Trunc",
    "Unflatten",
    "Unfold",
    "Upsample",
    "Where",
    "ZeroPad2d",
]
