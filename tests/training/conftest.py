"""What the tests of training share."""

import os
import signal

import numpy as np
import pytest

from tests.training.softmax_regression import SoftmaxRegression


@pytest.fixture
def data():
    """Twenty rows whose first number tells which row they are, of three classes."""
    x = np.random.default_rng(0).normal(size=(20, 4))
    x[:, 0] = np.arange(20) / 20
    return x, np.arange(20) % 3


@pytest.fixture
def model():
    return SoftmaxRegression(classes=3)


@pytest.fixture
def python_handles_interrupts():
    if os.name != "posix":
        pytest.skip("sends itself a POSIX signal")
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
