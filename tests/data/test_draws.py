"""Random numbers by address."""

import numpy as np
import pytest

from colonnade.data.draws import Draws, mix
from colonnade.errors import ArgumentError

CALLS = {
    "uniform": lambda draws: draws.uniform(-1, 3, (2, 3)),
    "integers": lambda draws: draws.integers(5, 50, 7),
    "normal": lambda draws: draws.normal((4,)),
    "bernoulli": lambda draws: draws.bernoulli(0.5, (40,)),
}


def splitmix64(state):
    """The published generator, a number at a time in Python's own integers."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        number = state
        number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ (number >> 27)) * 0x94D049BB133111EB % 2**64
        yield number ^ (number >> 31)


def test_the_mixing_function_is_that_of_splitmix64():
    stream = splitmix64(1234567)
    # The first numbers of the generator seeded with 1234567, as every implementation is checked against.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [next(stream) for _ in range(5)] == known
    states = (1234567 + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    assert mix(states).tolist() == known


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_images_numbers_do_not_depend_on_the_others_in_its_batch(call):
    together = call(Draws(3, 2, np.arange(100)))
    for positions in ([17], [99, 17, 0], [17, 17]):
        np.testing.assert_array_equal(call(Draws(3, 2, positions)), together[positions])


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_numbers_differ_by_seed_epoch_position_and_call(call):
    first, second = (Draws(3, 2, np.arange(8)) for _ in range(2))
    numbers = call(first)
    np.testing.assert_array_equal(numbers, call(second))
    others = [
        call(first),
        call(Draws(4, 2, np.arange(8))),
        call(Draws(3, 3, np.arange(8))),
        call(Draws(3, 2, np.arange(8, 16))),
    ]
    for other in others:
        assert not (other == numbers).all(axis=tuple(range(1, numbers.ndim))).any()


def test_seed_and_epoch_do_not_stand_in_for_each_other():
    numbers = [
        Draws(seed, epoch, [position]).uniform()[0] for seed in range(6) for epoch in range(6) for position in range(6)
    ]
    assert len(set(numbers)) == len(numbers)


def test_all_of_a_long_seed_counts():
    assert Draws(1 << 64, 0, [0]).uniform() != Draws(1 << 65, 0, [0]).uniform()
    assert Draws(2**64 - 1, 2**64 - 1, [2**62]).uniform().shape == (1,)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(lambda: Draws(0, 1, [0]).uniform(size=100_000)[0], id="of one image"),
        pytest.param(lambda: Draws(0, 1, np.arange(100_000)).uniform(), id="of neighbouring images"),
        pytest.param(lambda: np.array([Draws(0, epoch, [5]).uniform()[0] for epoch in range(5_000)]), id="of epochs"),
        pytest.param(lambda: np.array([Draws(seed, 1, [5]).uniform()[0] for seed in range(5_000)]), id="of seeds"),
    ],
)
def test_numbers_are_uniform_and_neighbours_uncorrelated(numbers):
    numbers = numbers()
    count = len(numbers)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # Pearson's χ² over 64 cells has a mean of 63 and a deviation of √126: five deviations are never reached by chance.
    cells = np.bincount((numbers * 64).astype(int), minlength=64)
    assert ((cells - count / 64) ** 2 / (count / 64)).sum() < 63 + 5 * np.sqrt(126)
    for lag in (1, 2, 7):
        assert abs(np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]) < 5 / np.sqrt(count)


def test_calls_are_independent_of_each_other():
    draws = Draws(0, 1, np.arange(20_000))
    calls = np.array([draws.uniform() for _ in range(6)])
    correlation = np.corrcoef(calls) - np.eye(6)
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_uniform_fills_its_range_which_may_differ_by_image():
    low, high = np.array([0.0, 10.0, -5.0]), np.array([1.0, 20.0, -4.0])
    numbers = Draws(0, 0, np.arange(3)).uniform(low[:, None], high[:, None], 5000)
    assert ((numbers >= low[:, None]) & (numbers < high[:, None])).all()
    np.testing.assert_allclose(numbers.mean(axis=1), (low + high) / 2, atol=0.2)


def test_integers_take_every_value_alike_and_never_the_upper_end():
    numbers = Draws(0, 0, np.arange(50_000)).integers(-2, 5)
    assert numbers.dtype == np.int64
    counts = np.bincount(numbers + 2, minlength=7)
    assert len(counts) == 7
    assert ((counts - 50_000 / 7) ** 2 / (50_000 / 7)).sum() < 6 + 5 * np.sqrt(12)
    spans = np.array([1, 2, 1 << 32])
    numbers = Draws(0, 0, np.arange(3)).integers(0, spans[:, None], 1000)
    assert (numbers < spans[:, None]).all()
    assert numbers[0].max() == 0
    assert numbers[2].max() > 1 << 31


def test_normal_has_the_moments_of_the_normal_distribution():
    numbers = Draws(0, 0, np.arange(1000)).normal((10, 20)).ravel()
    assert np.isfinite(numbers).all()
    moments = [np.mean(numbers**power) for power in range(1, 5)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.06)
    for bound, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert np.mean(np.abs(numbers) < bound) == pytest.approx(share, abs=0.004)


def test_bernoulli_is_true_with_its_probability():
    draws = Draws(0, 0, np.arange(20_000))
    assert draws.bernoulli(0.3).mean() == pytest.approx(0.3, abs=0.02)
    assert not draws.bernoulli(0).any()
    assert draws.bernoulli(1).all()


def test_no_image_and_no_number_are_empty():
    assert Draws(0, 0, []).normal((2, 3)).shape == (0, 2, 3)
    assert Draws(0, 0, [1, 2]).uniform(size=0).shape == (2, 0)


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (0, -1), (1.5, 0), ("1", 0)])
def test_seed_and_epoch_must_be_whole(seed, epoch):
    with pytest.raises(ArgumentError, match=r"Draws: (seed|epoch) must be (a whole number|zero or more), got"):
        Draws(seed, epoch, [0])


@pytest.mark.parametrize(("low", "high"), [(3, 3), (5, 2), (0, 2**33)])
def test_a_range_without_numbers_is_refused(low, high):
    with pytest.raises(ArgumentError, match=r"1 to 2³² numbers to draw from, got (0|-3|8589934592) to"):
        Draws(0, 0, [0]).integers(low, high)
