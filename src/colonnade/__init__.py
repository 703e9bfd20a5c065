"""Colonnade: convolutional networks in NumPy."""

from . import data, errors, initializers, testing, zoo
from .composites import Branches, Residual
from .errors import ColonnadeError
from .executor import get_threads, set_threads
from .layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Block,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Scratch,
    Sigmoid,
    Softmax,
    Tanh,
)
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from .model import Model, load
from .optimizers import SGD, Adam, AdamW
from .tensor import Parameter, Tensor
from .training import evaluate, fit, predict, predict_proba

__version__ = "0.1.0"

__all__ = [
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Block",
    "Branches",
    "ColonnadeError",
    "Conv2d",
    "CrossEntropyLoss",
    "Dense",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LeakyReLU",
    "MSELoss",
    "MaxPool2d",
    "Model",
    "Parameter",
    "ReLU",
    "Residual",
    "SGD",
    "Scratch",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Tensor",
    "__version__",
    "data",
    "errors",
    "evaluate",
    "fit",
    "get_threads",
    "initializers",
    "load",
    "predict",
    "predict_proba",
    "set_threads",
    "testing",
    "zoo",
]
