"""Embedding: its input is whole numbers, so that the contract's table of layers cannot hold it."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from tests.torch_twin import twin

NUMBERS = 7


class WholeNumbers(cn.testing.Check):
    """The contract, on an input that cannot be moved by a little."""

    def __init__(self, layer: cn.Layer, shape: tuple[int, ...]) -> None:
        super().__init__(layer, shape, images=5, seed=0, tolerance=cn.testing.TOLERANCE)
        self.x = self.rng.integers(0, NUMBERS, self.x.shape).astype(np.float64)

    def gradients(self) -> None:
        model = self.model()
        found = self.passes(model)
        assert not found["gradient at the input"].any()
        slope = self.direction(model(self.x, training=True))
        (weight,) = model.parameters()

        def value() -> float:
            return float((model(self.x, training=True) * slope).sum())

        numeric = cn.testing.differences(value, weight.value, self.rng)
        self.compare("weight", found[f"gradient at {weight.name}"], numeric)


@pytest.mark.parametrize("shape", [(1,), (6,), (3, 4)])
def test_embedding_keeps_the_contract(shape: tuple[int, ...]) -> None:
    WholeNumbers(cn.Embedding(NUMBERS, 3), shape).run()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding_agrees_with_torch(padding: int | None, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = cn.Model([cn.Embedding(NUMBERS, 4, padding_idx=padding)], dtype=dtype)
    module = twin(model)
    rng = np.random.default_rng(0)
    for _ in range(2):  # twice: gradients accumulate
        x = rng.integers(0, NUMBERS, (5, 8))
        y, theirs = model(x, training=True), module(torch.from_numpy(x))
        np.testing.assert_array_equal(y, theirs.detach().numpy())
        grad = rng.normal(size=y.shape).astype(dtype)
        model.backward(grad)
        theirs.backward(torch.from_numpy(grad))
    expected = module[0].weight.grad.numpy()
    np.testing.assert_allclose(model.parameters()[0].grad, expected, rtol=1e-5, atol=1e-6)


def test_padding_begins_as_zeros_and_is_not_learned() -> None:
    model = cn.Model([cn.Embedding(NUMBERS, 4, padding_idx=3)], seed=0)
    model.build((2,))
    assert not model.parameters()[0].value[3].any()
    model([[3, 1]], training=True)
    model.backward(np.ones((1, 2, 4)))
    assert not model.parameters()[0].grad[3].any()
    assert model.parameters()[0].grad[1].all()


def test_a_model_of_words_learns() -> None:
    # Whether a sequence holds more of one letter than of the other.
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (256, 7))
    targets = (x.sum(axis=1) > 3).astype(int)
    model = cn.Model([cn.Embedding(2, 4), cn.Flatten(), cn.Dense(28, 2)], seed=0)
    model.fit(x.astype(np.float32), targets, epochs=20, batch_size=32, optimizer=cn.Adam(model.parameters(), lr=0.05))
    assert (model.predict(x.astype(np.float32)) == targets).mean() > 0.95


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([[0, 7]], r"Embedding: expected numbers from 0 to 6, got 7\."),
        ([[-1, 3]], r"Embedding: expected numbers from 0 to 6, got -1\."),
        ([[0, np.nan]], r"Embedding: expected numbers from 0 to 6, got nan\."),
        ([[0.5, 1]], r"Embedding: expected whole numbers, got 0\.5\."),
    ],
)
def test_what_is_no_number_of_a_vector_is_refused_in_one_line(numbers: list[list[float]], message: str) -> None:
    with pytest.raises(cn.errors.ArgumentError, match=f"^{message}$"):
        cn.Model([cn.Embedding(NUMBERS, 3)])(numbers)


def test_arguments_out_of_range_are_refused_in_one_line() -> None:
    with pytest.raises(cn.errors.ArgumentError, match=r"^Embedding: num_embeddings must be positive, got 0\.$"):
        cn.Embedding(0, 3)
    with pytest.raises(
        cn.errors.ArgumentError, match=r"^Embedding: padding_idx must be one of the 7 numbers, got 7\.$"
    ):
        cn.Embedding(NUMBERS, 3, padding_idx=7)
