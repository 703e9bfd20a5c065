"""The plan: what is kept, what is made again, and how the batch is cut; tested without training anything."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.compiled import installed
from colonnade.errors import LimitError
from colonnade.plan import Plan
from colonnade.plan.cutting import GRADIENT_BYTES, cut, lanes_of


def described(plan: Plan) -> list[list[str]]:
    """The calls of each segment: "forward 0"."""
    return [[f"{call.action} {call.step.name}" for call in segment.calls] for segment in plan.segments]


BLOCK: list[Any] = [cn.Conv2d(1, 4, 3, padding=1), cn.BatchNorm2d(4), cn.ReLU(), cn.MaxPool2d(2)]


def test_a_segment_ends_before_a_step_that_needs_sums_over_the_batch() -> None:
    model = cn.Model([*BLOCK, cn.Flatten(), cn.Dense(64, 3)])
    plan = model.plan((6, 1, 8, 8), training=True)
    assert described(plan) == [
        ["forward 0", "sum_forward 1"],
        # The ReLU has changed places with the pool.
        ["forward 1", "forward 3", "forward 2", "forward 4"],
        ["forward 5"],
        ["backward 5"],
        ["backward 4", "backward 2", "backward 3", "sum_backward 1"],
        ["backward 1", "backward 0"],
    ]


def test_what_was_not_kept_is_made_again_before_the_way_back() -> None:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.Tanh(), cn.Conv2d(4, 2, 3)]
    plan = cn.Model(layers).plan((6, 1, 8, 8), training=True)
    assert described(plan)[2:] == [
        ["forward 1", "forward 2", "backward 3", "backward 2", "sum_backward 1"],
        ["backward 1", "backward 0"],
    ]


def test_only_what_is_dear_or_crosses_segments_exists_for_the_whole_batch() -> None:
    model = cn.Model([*BLOCK, cn.Flatten(), cn.Dense(64, 3)])
    plan = model.plan((6, 1, 8, 8), training=True)
    wide = {tensor for tensor, kind in plan.wide if kind == "value"}
    outputs = {step.name: step.outputs[0] for step in plan.steps}
    assert wide == {*plan.sources, *plan.results, outputs["0"], outputs["2"], outputs["4"]}
    assert outputs["2"].shape == (4, 4, 4)  # the ReLU's, behind the pool


def test_an_in_place_activation_is_kept_in_the_place_of_its_input() -> None:
    model = cn.Model([cn.Conv2d(1, 4, 3), cn.Tanh(), cn.Conv2d(4, 2, 3)])
    plan = model.plan((6, 1, 8, 8), training=True)
    outputs = {step.name: step.outputs[0] for step in plan.steps}
    assert outputs["1"] in plan.kept
    assert outputs["0"] not in plan.kept
    assert all("forward 1" not in calls for calls in described(plan)[1:])


def test_inference_is_one_segment_with_batch_norm_folded_and_dropout_gone() -> None:
    model = cn.Model([*BLOCK, cn.Dropout(0.5), cn.Conv2d(4, 2, 3)])
    assert described(model.plan((6, 1, 8, 8))) == [["forward 0", "forward 3", "forward 2", "forward 5"]]


def test_inference_memory_does_not_grow_with_the_batch() -> None:
    model = cn.zoo.resnet20()
    one_run = model.plan((256, 3, 32, 32)).bytes
    assert model.plan((100_000, 3, 32, 32)).bytes <= one_run


def test_sharing_saves_at_least_half() -> None:
    for name in ("lenet5", "cnn", "vgg", "resnet20"):
        model = getattr(cn.zoo, name)()
        shape = (64, *model.input_shape)
        apart = getattr(cn.zoo, name)(share_memory=False).plan(shape, training=True).bytes
        assert model.plan(shape, training=True).bytes < apart / 2, name


@pytest.mark.parametrize("images", [1, 2, 3, 7, 8, 9, 64, 100, 129])
def test_every_image_is_in_one_block_of_one_lane_in_order(images: int) -> None:
    model = cn.zoo.resnet20(input_shape=(3, 16, 16))
    for training in (False, True):
        for segment in model.plan((images, 3, 16, 16), training=training).segments:
            blocks = [block for lane in segment.cut.lanes for block in lane]
            assert blocks[0][0] == 0
            assert blocks[-1][1] == images
            assert all(stop > start for start, stop in blocks)
            assert all(one[1] == other[0] for one, other in pairwise(blocks))


def test_the_cut_does_not_depend_on_the_threads() -> None:
    model = cn.zoo.cnn()
    threads = cn.get_threads()
    cuts = []
    for count in (1, 2, 16):
        cn.set_threads(count)
        cuts.append([segment.cut for segment in model.plan((50, 1, 28, 28), training=True).segments])
    cn.set_threads(threads)
    assert cuts[0] == cuts[1] == cuts[2]


@pytest.mark.parametrize("images", [1, 2, 3, 32, 127, 128, 255, 256, 10_000])
def test_lanes_are_the_same_images_in_every_segment_from_the_size_of_the_batch_alone(images: int) -> None:
    expected = lanes_of(images)
    assert len(expected) == {1: 1, 128: 4, 255: 4, 256: 8, 10_000: 8}.get(images, 2)
    for network in ("lenet5", "cnn", "resnet20"):
        for compiled in {False, installed()}:
            model = getattr(cn.zoo, network)(compiled=compiled)
            for segment in model.plan((images, *model.input_shape), training=True).segments:
                assert [(lane[0][0], lane[-1][1]) for lane in segment.cut.lanes] == expected


def test_large_gradients_are_held_in_fewer_copies_by_lanes_in_a_row() -> None:
    lanes = lanes_of(256)
    assert cut(lanes, 1, GRADIENT_BYTES // 8).tasks == [range(n, n + 1) for n in range(8)]
    assert cut(lanes, 1, GRADIENT_BYTES // 4).tasks == [range(n, n + 2) for n in (0, 2, 4, 6)]
    assert cut(lanes, 1, GRADIENT_BYTES).tasks == [range(0, 4), range(4, 8)]
    plan = cn.Model([cn.Dense(5000, 5000)]).plan((64, 5000), training=True)
    copies = len(plan.backward[0].cut.tasks)
    assert copies == 2
    assert plan.batch_bytes < (copies * 5000 * 5001 + 4 * 64 * 5000) * 4 * 1.01


def test_nothing_is_called_before_a_pass_that_does_nothing() -> None:
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU(), cn.Flatten(), cn.Dense(8, 2)])
    plan = model.plan((2, 1, 4, 4), training=True)
    assert {direction: [step.name for step in steps] for direction, steps in plan.begins.items()} == {
        "forward": ["0"],
        "backward": [],
    }
    assert not any(segment.sums for segment in plan.segments)


def test_the_plan_allocates_nothing() -> None:
    model = cn.Model([cn.Conv2d(3, 8, 3), cn.ReLU()])
    plan = model.plan((4, 3, 60_000, 60_000), training=True)
    assert plan.bytes > 4 * 8 * 59_998**2 * 4
    with pytest.raises(cn.errors.ShapeError, match="expected the shape of a batch"):
        model.plan((0, 3, 8, 8))
    assert plan.images * np.prod(plan.sources[0].shape) == 4 * 3 * 60_000**2


@pytest.mark.parametrize("images", [10**9, 10**14, 10**18])
def test_a_batch_that_no_machine_could_hold_is_refused_at_once(images: int) -> None:
    model = cn.zoo.cnn((1, 28, 28))
    for ask in (lambda: model.plan((images, 1, 28, 28), training=True), lambda: model.summary(batch_size=images)):
        with pytest.raises(LimitError, match=f"^a plan of {images:,} images is none for any machine"):
            ask()
