"""The layers: one family a file."""

from .activation import LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from .adaptive import AdaptiveMaxPool2d
from .attention import MultiheadAttention
from .base import Block, Layer, Scratch
from .channel_dropout import Dropout2d
from .convolution import Conv2d
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .gates import GELU, Hardsigmoid, Hardswish, Mish, SiLU
from .log_softmax import LogSoftmax
from .normalization import BatchNorm1d, BatchNorm2d
from .pieces import ELU, SELU, Hardtanh, PReLU, ReLU6, Softplus
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .resampling import PixelShuffle, Upsample, ZeroPad2d
from .sequence import Conv1d
from .sequence_pooling import AvgPool1d, MaxPool1d
from .shape import Flatten, Identity, Unflatten
from .standardization import GroupNorm, InstanceNorm2d, LayerNorm
from .transposed_convolution import ConvTranspose2d
from .wiring import Add, Concat, Constant, Mul

__all__ = [
    "Add",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Block",
    "Concat",
    "Constant",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "Dropout",
    "Dropout2d",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InstanceNorm2d",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Mul",
    "MultiheadAttention",
    "PReLU",
    "PixelShuffle",
    "ReLU",
    "ReLU6",
    "SELU",
    "Scratch",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "Upsample",
    "ZeroPad2d",
]
