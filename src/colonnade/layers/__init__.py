"""The layers: one family a file."""

from .activation import LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from .base import Block, Layer, Scratch
from .convolution import Conv2d
from .dense import Dense
from .dropout import Dropout
from .normalization import BatchNorm1d, BatchNorm2d
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .shape import Flatten, Identity

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Block",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LeakyReLU",
    "MaxPool2d",
    "ReLU",
    "Scratch",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
