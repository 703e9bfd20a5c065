"""A profile has every layer in it, adds up, and leaves the model as it was."""

import time

import numpy as np
import pytest

import colonnade as cn
from colonnade.profiling import PASSES, Profile

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 1, 8, 8)).astype(np.float32)


def small(**options) -> cn.Model:
    """A network with all there is to time: sums over the batch, a shortcut, dropout, a layer that only views."""
    layers = [
        cn.Conv2d(1, 4, 3, padding=1),
        cn.BatchNorm2d(4),
        cn.ReLU(),
        cn.Residual([cn.Conv2d(4, 4, 3, padding=1), cn.BatchNorm2d(4)]),
        cn.Tanh(),
        cn.AvgPool2d(2),
        cn.Dropout(0.5),
        cn.Flatten(),
        cn.Dense(64, 3),
    ]
    return cn.Model(layers, seed=0, **options)


def test_every_layer_has_a_row():
    rows = small().profile(IMAGES, steps=1).rows
    named = {row["name"]: row["type"] for row in rows}
    assert len(named) == len(rows)
    leaves = {"0": "Conv2d", "1": "BatchNorm2d", "2": "ReLU", "3.main.0": "Conv2d", "3.main.1": "BatchNorm2d"}
    leaves |= {"4": "Tanh", "5": "AvgPool2d", "6": "Dropout", "7": "Flatten", "8": "Dense"}
    assert leaves.items() <= named.items()


@pytest.mark.parametrize("share_memory", [True, False])
def test_layers_that_compute_take_time_in_both_directions(share_memory):
    rows = small(share_memory=share_memory).profile(IMAGES, steps=1).rows
    for row in rows:
        if row["type"] in ("Conv2d", "BatchNorm2d", "ReLU", "Tanh", "AvgPool2d", "Dropout", "Dense"):
            assert row["forward"]["seconds"] > 0, row
            assert row["backward"]["seconds"] > 0, row
        assert all(row[each]["seconds"] >= 0 for each in PASSES)
        assert row["seconds"] == pytest.approx(sum(row[each]["seconds"] for each in PASSES))


@pytest.mark.parametrize(("training", "threads"), [(True, 1), (False, 1), (True, 2)])
def test_the_parts_add_up_to_the_step_and_to_no_more_than_it_took(training, threads):
    model = small()
    started = time.perf_counter()
    profile = model.profile(IMAGES, steps=1, training=training, threads=threads)
    wall = time.perf_counter() - started
    parts = [row["seconds"] for row in profile.rows] + list(profile.rest.values())
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(profile.seconds)
    assert 0 < profile.seconds < wall * profile.threads


def test_layers_and_the_rest_of_a_training_step():
    profile = small().profile(IMAGES, steps=1)
    assert list(profile.rest) == ["begin", "fold", "loss", "optimizer", "everything else"]
    assert profile.rest["loss"] > 0
    assert profile.rest["optimizer"] > 0


def test_outside_training_nothing_runs_backward_and_nothing_is_kept():
    profile = small().profile(IMAGES, steps=1, training=False)
    assert list(profile.rest) == ["begin", "everything else"]
    assert not any(row["backward"]["seconds"] or row["again"]["seconds"] or row["held_bytes"] for row in profile.rows)
    assert "backward" not in str(profile)


def test_outside_training_one_part_of_a_large_batch_is_timed():
    batch = np.zeros((300, 1, 8, 8), np.float32)
    assert small().profile(batch, np.zeros(300, int), steps=1, training=False).shape == (150, 1, 8, 8)


def test_a_model_is_after_profiling_what_it_was_before():
    profiled, other = small(), small()
    gradient = RNG.normal(size=(6, 3))
    for model in (profiled, other):
        model(IMAGES, training=True)
        if model is profiled:
            model.profile(IMAGES[:4], steps=2)
        model.backward(gradient)
        if model is profiled:
            model.profile(IMAGES, steps=1, training=False)
    for one, two in zip(profiled.parameters(), other.parameters(), strict=True):
        assert one.value.tobytes() == two.value.tobytes()
        assert one.grad.tobytes() == two.grad.tobytes()
    before, after = other.state_dict(), profiled.state_dict()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert profiled(IMAGES).tobytes() == other(IMAGES).tobytes()
    assert profiled(IMAGES, training=True).tobytes() == other(IMAGES, training=True).tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_is_given_back(threads):
    before = cn.get_threads()
    small().profile(IMAGES, steps=1, threads=threads)
    assert cn.get_threads() == before
    with pytest.raises(cn.ColonnadeError):
        small().profile(IMAGES[0], threads=threads)
    assert cn.get_threads() == before


def test_operations_are_those_of_the_formulas():
    images, height, width = 6, 8, 8
    rows = {row["name"]: row for row in small().profile(IMAGES, steps=1).rows}
    # The gradient at the images is not computed: backward of the first convolution is one product, of the second two.
    first, second = 2 * images * height * width * 4 * 9, 2 * images * height * width * 4 * 4 * 9
    assert (rows["0"]["forward"]["flops"], rows["0"]["backward"]["flops"]) == (first, first)
    assert (rows["3.main.0"]["forward"]["flops"], rows["3.main.0"]["backward"]["flops"]) == (second, 2 * second)
    assert rows["4"]["forward"]["flops"] == 0


def test_bytes_are_what_is_read_and_written():
    rows = {row["name"]: row for row in small(share_memory=False).profile(IMAGES, steps=1).rows}
    batch = 6 * 4 * 8 * 8 * 4  # four channels of float32
    weights = (4 * 4 * 9 + 4) * 4
    # Tanh: x to y; then y and ∂y to ∂x.
    assert (rows["4"]["forward"]["bytes"], rows["4"]["backward"]["bytes"]) == (2 * batch, 3 * batch)
    assert rows["3.main.0"]["forward"]["bytes"] == 2 * batch + weights
    # x, ∂y and the weights to ∂x and the gradients of the weights.
    assert rows["3.main.0"]["backward"]["bytes"] == 3 * batch + 2 * weights


def test_what_is_held_is_what_the_plan_keeps():
    model = small()
    held = {row["name"]: row["held_bytes"] for row in model.profile(IMAGES, steps=1).rows}
    batch = 6 * 4 * 8 * 8 * 4
    assert held["0"] == held["3.main.0"] == batch  # batch norm reads them again
    assert held["8"] == 0  # nobody reads the logits
    assert sum(held.values()) <= model.plan((6, 1, 8, 8), training=True).bytes


def test_what_is_made_again_is_told_apart():
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Conv2d(4, 2, 3), cn.Flatten(), cn.Dense(32, 2)]
    shared, kept = cn.Model(layers), cn.Model(layers, share_memory=False)
    again = {row["type"]: row["again"]["seconds"] for row in shared.profile(IMAGES, steps=1).rows}
    assert again["ReLU"] > 0
    assert all(row["again"]["seconds"] == 0 for row in kept.profile(IMAGES, steps=1).rows)


def test_targets_may_be_given():
    assert small().profile(IMAGES, [0, 1, 2, 0, 1, 2], steps=1).shape == IMAGES.shape


def test_outputs_with_positions_are_profiled_too():
    model = cn.Model([cn.Conv2d(1, 3, 3, padding=1)])
    assert model.profile(IMAGES, steps=1).rows[0]["type"] == "Conv2d"


def test_a_model_without_parameters_is_profiled_too():
    profile = cn.Model([cn.Flatten(), cn.Tanh()]).profile(IMAGES, steps=1)
    assert [row["type"] for row in profile.rows] == ["Flatten", "Tanh"]


def test_models_of_several_inputs_and_outputs_are_profiled_too():
    nodes = {
        "words": (cn.Embedding(9, 4), "tokens"),
        "mean": (cn.Mean(1), "words"),
        "both": (cn.Concat(1), "mean", "hint"),
        "class": (cn.Dense(6, 3), "both"),
        "each": (cn.Permute((0, 2, 1)), "words"),
        "sum": (cn.Sum(1), "both"),
    }
    model = cn.Model(cn.Graph(nodes, ["tokens", "hint"], ["class", "each", "sum"]), seed=0)
    tokens, hint = RNG.integers(0, 9, (5, 7)), RNG.normal(size=(5, 2))
    profile = model.profile({"tokens": tokens, "hint": hint}, steps=1)
    assert profile.shape == ((5, 7), (5, 2))
    assert "batch 5×7 and 5×2," in profile.title
    assert {"words", "mean", "both", "class", "each", "sum"} <= {row["name"] for row in profile.rows}
    assert model.profile((tokens, hint), [0, 1, 2, 0, 1], steps=1).shape == profile.shape
    with pytest.raises(cn.ColonnadeError, match="from 0 to 2"):
        model.profile((tokens, hint), [0, 1, 3, 0, 1], steps=1)
    with pytest.raises(cn.errors.ArgumentError, match=r"a batch for each input \(tokens, hint\)"):
        model.profile(tokens, steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "profile: steps must be positive, got 0."),
        ({"threads": 0}, "got 0"),
        ({"targets": [0, 1]}, "targets"),
        ({"targets": [0, 1, 2, 3, 0, 1]}, "from 0 to 2"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(cn.ColonnadeError, match=message):
        small().profile(IMAGES, **options)


def test_a_batch_that_does_not_fit_is_named():
    with pytest.raises(cn.errors.ShapeError, match="layer 0, Conv2d"):
        small().profile(np.zeros((2, 3, 8, 8)))


def test_as_text_it_is_a_table():
    profile = small().profile(IMAGES, steps=3)
    title, headings, rule, *lines = str(profile).splitlines()
    for word in ("training step", "6×1×8×8", "1 thread", "medians of 3"):
        assert word in title
    for word in ("forward ms", "again ms", "backward ms", "GF/s", "GB/s", "held MB", "%"):
        assert word in headings
    assert len({len(line) for line in (headings, rule, *lines)}) == 1
    assert [line.split()[0] for line in lines[: len(profile.rows)]] == [row["name"] for row in profile.rows]
    assert lines[-1].startswith("step")
    assert lines[-1].endswith(" 100.0")


def test_text_leaves_out_what_there_is_none_of():
    nothing = {"seconds": 0.0, "flops": 0, "bytes": 0}
    work = {"seconds": 0.002, "flops": 10**7, "bytes": 10**6}
    row = {"name": "0", "type": "Conv2d", "compiled": False, "seconds": 0.002, "held_bytes": 2_500_000}
    row |= {"forward": work, "again": nothing, "backward": nothing}
    profile = Profile((1, 1), True, 1, 1, "BLAS", 0.004, {"begin": 0.002}, [row])
    _, line, rest, total = profile.cells()
    assert line == ["0", "Conv2d", "2.000", "5.0", "0.5", "", "", "", "", "2.5", "50.0"]
    assert [cell for cell in rest if cell] == ["begin", "2.000", "50.0"]
    assert [cell for cell in total if cell] == ["step", "4.000", "100.0"]
