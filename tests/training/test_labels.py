"""Labels that are text: a model learns their names, and is tested by them."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError

X = np.random.default_rng(0).random((6, 1, 4, 4), np.float32)
Y = ["dog", "cat", "owl", "cat", "dog", "owl"]


def model(outputs: int = 3) -> cn.Model:
    return cn.Model([cn.Flatten(), cn.Dense(16, outputs)], seed=0)


@pytest.mark.parametrize("kind", [list, np.array, lambda y: np.array(y, object), lambda y: np.array(y, "T")])
def test_text_trains_as_the_numbers_of_the_sorted_names_do(kind):
    named, numbered = model(), model()
    history = named.fit(X, kind(Y), epochs=3, validation=(X, kind(Y)))
    numbers = [["cat", "dog", "owl"].index(name) for name in Y]
    expected = numbered.fit(X, numbers, epochs=3, validation=(X, numbers))
    assert named.classes == ["cat", "dog", "owl"]
    assert history.train_loss == expected.train_loss
    assert history.test_accuracy == expected.test_accuracy
    assert named.evaluate(X, kind(Y)) == numbered.evaluate(X, numbers)


def test_labels_of_pandas_are_taken():
    pandas = pytest.importorskip("pandas", reason="the labels are pandas'")
    for labels in (pandas.Series(Y), pandas.Categorical(Y), pandas.Series(Y, dtype="category")):
        named = model()
        named.fit(X, labels)
        assert named.classes == ["cat", "dog", "owl"]


def test_a_model_that_has_names_pairs_labels_with_them():
    named = model()
    named.classes = ["owl", "dog", "cat"]
    named.fit(X, Y, epochs=1)
    assert named.classes == ["owl", "dog", "cat"]
    numbers = [named.classes.index(name) for name in Y]
    assert named.evaluate(X, Y) == named.evaluate(X, numbers)
    with pytest.raises(ArgumentError, match=r"expected the classes of the model \(owl, dog, cat\), got lynx"):
        named.fit(X[:2], ["lynx", "cat"])


def test_part_of_the_names_in_validation_is_enough():
    named = model()
    with pytest.warns(UserWarning, match="1 of the model's classes has no images here: owl"):
        history = named.fit(X, Y, validation=(X[:2], Y[:2]))
    expected = named.evaluate(X[:2], [1, 0])
    assert history[-1]["test_loss"] == pytest.approx(expected["loss"])
    with pytest.raises(ArgumentError, match="got lynx"):
        model().fit(X, Y, validation=(X[:2], ["lynx", "cat"]))


def test_names_that_the_outputs_have_no_room_for_are_an_error():
    with pytest.raises(ArgumentError, match=r"expected a name for each of the outputs \(4,\), got 3 in y: cat, dog"):
        model(4).fit(X, Y)
    with pytest.raises(ArgumentError, match="fit: "):
        model(2).fit(X, Y)


def test_a_model_without_names_can_not_be_tested_by_names():
    with pytest.raises(ArgumentError, match=r"evaluate: y holds names, cat, dog, owl, .* set model\.classes"):
        model().evaluate(X, Y)
    with pytest.raises(ArgumentError, match="validation: y holds names"):
        model().fit(X, [0, 1, 2, 0, 1, 2], validation=(X, Y))


@pytest.mark.parametrize("labels", [["cat", None] * 3, [b"cat", b"dog"] * 3, [["cat"], ["dog", "owl"]] * 3])
def test_what_is_no_text_is_no_name(labels):
    with pytest.raises(ArgumentError, match="y must hold numbers in a regular array"):
        model().fit(X, labels)


def test_predictions_have_names_where_they_are_asked_for():
    named = model()
    named.fit(X, Y)
    found = named.predict(X, names=True)
    assert found.tolist() == [named.classes[number] for number in named.predict(X)]
    assert cn.predict(named, X, names=True).tolist() == found.tolist()
    with pytest.raises(ArgumentError, match="predict: names=True needs the names of the classes"):
        model().predict(X, names=True)
    with pytest.raises(ArgumentError, match="predict: names must be True or False, got 'yes'"):
        named.predict(X, names="yes")
