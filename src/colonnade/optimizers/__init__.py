"""Optimizers: how parameters follow their gradients. Arguments, defaults and update rules are those of torch.optim.

The parameters of a model lie side by side in flat arrays, so that an update rule is written once for plain 1-D
arrays and never sees a layer. The rules are written in docs/math/training.md.
"""

from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop
from .averaging import ExponentialMovingAverage
from .base import CHUNK, Optimizer
from .gradients import clip_grad_norm, clip_grad_value
from .lbfgs import LBFGS
from .sgd import SGD, Lion

__all__ = [
    "CHUNK",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ExponentialMovingAverage",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
]
