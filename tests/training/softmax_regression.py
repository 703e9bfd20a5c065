"""What the tests of training share: a model that one can follow by hand, softmax regression in plain NumPy."""

import json

import numpy as np

from colonnade import initializers, storage
from colonnade.tensor import Parameter
from colonnade.training import Callback


class SoftmaxRegression:
    """y = x W on flattened images, all weights zero at first; it notes what it is given."""

    def __init__(self, classes=10, seed=0, dtype="float64"):
        self.seed = seed
        self.classes = None
        self.normalization = None
        self.position = (0, 0)
        self.dtype = np.dtype(dtype)
        self.input_shape = None
        self.output_shape = (classes,)
        self.batches = []
        self.positions = []

    def build(self, input_shape):
        self.input_shape = tuple(input_shape)
        self.weight = Parameter((int(np.prod(input_shape)), *self.output_shape), initializers.zeros)
        self.weight.dtype = self.dtype
        return self

    def __call__(self, x, training=False):
        assert x.dtype == self.dtype
        self.x = x.reshape(len(x), -1).copy()
        if training:
            self.batches.append(self.x)
            self.positions.append(self.position)
        return self.x @ self.weight.value

    def load_state_dict(self, state):
        self.weight.value[...] = state["0.weight"]

    def backward(self, gradient, *, input_gradient=True):
        self.weight.grad += self.x.T @ gradient

    def zero_grad(self):
        self.weight.zero_grad()

    def parameters(self):
        return [self.weight]

    def state_dict(self):
        return {"0.weight": self.weight.value.copy()}

    def config(self):
        return [{"type": "SoftmaxRegression", "classes": self.output_shape[0]}]

    def save(self, path):
        storage.write(path, self.state_dict(), {})


class At(Callback):
    """Does something after one step, or after one epoch."""

    def __init__(self, act, step=None, epoch=None):
        self.act, self.step, self.epoch = act, step, epoch

    def on_batch_end(self, record):
        if record.step == self.step and record.epoch == (self.epoch or 1):
            self.act()

    def on_epoch_end(self, record):
        if self.step is None and record["epoch"] == self.epoch:
            self.act()


def interrupt():
    raise KeyboardInterrupt


def rows_seen(model):
    return [np.rint(batch[:, 0] * 20).astype(int).tolist() for batch in model.batches]


def checkpoint(folder):
    """The arrays, and all that is said of the run, of the checkpoint in a folder."""
    tensors, metadata = storage.read(folder / "checkpoint.safetensors")
    run = json.loads(metadata["run"])
    return tensors, run["settings"] | run["place"] | {"history": run["history"]}
