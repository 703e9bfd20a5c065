"""How fast a run goes, by a clock that the model itself drives: seconds of a step are what the test says."""

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from colonnade.training import Pace, fit, pace
from tests.training.softmax_regression import SoftmaxRegression


class Slow(SoftmaxRegression):
    """Takes 2 seconds for a step, 0.5 for a pass without, by its own clock; the first two steps take 100 more."""

    time = 0.0

    def __call__(self, x, training=False):
        self.time += 0.5
        if training:
            self.time += 1.5 + 100 * (len(self.batches) < 2)
        return super().__call__(x, training)

    def clock(self):
        return self.time


@pytest.fixture
def slow():
    return Slow(3).build((4,))


def test_the_pace_is_that_of_the_steps_behind_the_first_two(data, slow):
    found = pace(slow, *data, validation=data, batch_size=6, seconds=20, clock=slow.clock)
    assert found == Pace(step=2.0, test=0.5, steps=4)
    assert len(slow.batches) == 2 + 10


def test_nothing_is_left_behind(data):
    model = cn.Model([cn.Dense(4, 8), cn.BatchNorm1d(8), cn.ReLU(), cn.Dense(8, 3)], seed=1)
    other = cn.Model([cn.Dense(4, 8), cn.BatchNorm1d(8), cn.ReLU(), cn.Dense(8, 3)], seed=1)
    x, y = data
    learner = cn.AdamW(model.build((4,)).parameters(), lr=0.01)
    normalization = {"mean": [0.0] * 4, "std": [1.0] * 4}
    options = {"batch_size": 5, "average": 0.9}
    assert pace(model, x, y, optimizer=learner, seconds=1e-9, normalization=normalization, **options) is not None
    assert model.normalization is None
    assert learner.lr == 0.01
    fit(model, x, y, optimizer=learner, **options)
    fit(other, x, y, optimizer=cn.AdamW(other.build((4,)).parameters(), lr=0.01), **options)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


def test_a_time_that_is_over_with_the_first_step_tells_none_and_later_makes_do_with_two(data, slow):
    assert pace(slow, *data, batch_size=6, most=50, clock=slow.clock) is None
    assert len(slow.batches) == 1
    other = Slow(3).build((4,))
    assert pace(other, *data, batch_size=6, most=150, clock=other.clock) == Pace(102.0, 0.0, 4)
    assert len(other.batches) == 2
    assert not slow.weight.value.any()


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [
        (-1.0, 1),
        (0.0, 1),
        (4.0 + 3 * 2, 3),  # three steps and the test
        (4.0 + 5 * 2, 5),  # a whole epoch
        (4.0 + 5 * 2 + 5, 5),  # what is left has no room for a step and its test
        (4.0 + 5 * 2 + 6, 6),
        (2 * (4.0 + 5 * 2), 10),
    ],
)
def test_steps_within_a_time_end_with_their_tests(seconds, steps):
    known = Pace(step=2.0, test=4.0, steps=5)
    assert known.within(seconds) == steps
    if steps > 1:
        assert known.seconds(steps) <= seconds < known.seconds(steps + 1)


def test_numbers_out_of_range_are_refused(data, model):
    model.build((4,))
    with pytest.raises(ArgumentError, match=r"pace: seconds must be positive, got 0"):
        pace(model, *data, seconds=0)
    with pytest.raises(ArgumentError, match=r"pace: most must be positive, got -1"):
        pace(model, *data, most=-1)
