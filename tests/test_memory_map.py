"""The map of a plan's memory shows what the plan does: no more, no less, and nothing in two places."""

from __future__ import annotations

from itertools import combinations

import pytest

import colonnade as cn
from colonnade.memory_map import MemoryMap, memory_map


def frozen() -> cn.Model:
    model = cn.zoo.resnet20()
    model.freeze("0", "1", "3", "5")
    return model


def graph() -> cn.Model:
    nodes = {
        "left": (cn.Conv2d(3, 8, 3, padding=1), "input"),
        "active": (cn.ReLU(), "left"),
        "right": (cn.Conv2d(8, 8, 3, padding=1), "active"),
        "sum": (cn.Add(), "right", "left"),
        "both": (cn.Concat(), "sum", "active"),
        "pool": (cn.AdaptiveAvgPool2d(1), "both"),
        "flat": (cn.Flatten(), "pool"),
        "head": (cn.Dense(16, 5), "flat"),
    }
    return cn.Model(cn.Graph(nodes)).build((3, 12, 12))


MODELS = {
    "lenet5": cn.zoo.lenet5,
    "cnn": cn.zoo.cnn,
    "resnet20": cn.zoo.resnet20,
    "frozen": frozen,
    "graph": graph,
    "unshared": lambda: cn.zoo.cnn(share_memory=False),
}


@pytest.fixture(params=[(name, training) for name in MODELS for training in (True, False)], ids=str)
def mapped(request: pytest.FixtureRequest) -> tuple[cn.plan.Plan, MemoryMap]:
    name, training = request.param
    model = MODELS[name]()
    plan = model.plan((9, *model.input_shape), training=training)
    return plan, memory_map(plan)


def test_no_two_storages_hold_the_same_bytes_at_the_same_time(mapped):
    _, memory = mapped
    for storages in (memory.batch, memory.worker):
        for one, other in combinations(storages, 2):
            together = one.start < other.stop and other.start < one.stop
            assert not together or one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset


def test_everything_lies_within_its_memory(mapped):
    plan, memory = mapped
    assert (memory.batch_bytes, memory.worker_bytes, memory.bytes) == (plan.batch_bytes, plan.worker_bytes, plan.bytes)
    for storages, most in ((memory.batch, memory.batch_bytes), (memory.worker, memory.worker_bytes)):
        assert all(storage.offset >= 0 and storage.offset + storage.bytes <= most for storage in storages)


def test_whatever_a_call_touches_is_shown_where_the_plan_has_it(mapped):
    plan, memory = mapped
    now = 0
    for segment in plan.segments:
        for call in segment.calls:
            for tensor, kind, writes in plan.touches(call):
                wide = (tensor, kind) in plan.places
                storages = memory.batch if wide else memory.worker
                offset = plan.places[tensor, kind] if wide else segment.places[tensor, kind]
                moment = now + 0.5 if writes else now
                shown = [each for each in storages if each.offset == offset and each.start <= moment < each.stop]
                role = "value" if kind == "value" else "gradient"
                assert [stay.role for each in shown for stay in each.stays if stay.start <= moment < stay.stop] == [
                    role
                ]
            now += 1
    assert now == len(memory.calls)


def test_stays_follow_one_another_without_a_gap(mapped):
    _, memory = mapped
    for storage in memory.batch + memory.worker:
        assert storage.start <= storage.stays[0].start
        assert storage.stays[-1].stop <= storage.stop
        for one, following in zip(storage.stays, storage.stays[1:], strict=False):
            assert one.start < one.stop == following.start


def test_a_layer_in_place_takes_over_the_bytes_of_its_input():
    model = cn.Model([cn.Conv2d(1, 4, 3), cn.ReLU(), cn.Conv2d(4, 4, 3)]).build((1, 8, 8))
    memory = memory_map(model.plan((2, 1, 8, 8)))
    held = [[stay.layer for stay in storage.stays] for storage in memory.worker if storage.stays[0].role == "value"]
    assert held == [["0 Conv2d", "1 ReLU"]]


def test_a_view_makes_no_call_and_shares_the_storage():
    model = cn.Model([cn.Conv2d(1, 4, 8), cn.Flatten(), cn.Dense(4, 2)]).build((1, 8, 8))
    memory = memory_map(model.plan((2, 1, 8, 8), training=True))
    assert not any(name.layer == "1 Flatten" for name in memory.calls)
    assert [[stay.layer for stay in each.stays] for each in memory.batch if each.stays[-1].layer == "1 Flatten"] == [
        ["0 Conv2d", "1 Flatten"]
    ]


def test_tensor_bytes_are_a_value_and_a_gradient_each():
    model = cn.Model([cn.Conv2d(1, 4, 3), cn.ReLU()]).build((1, 8, 8))
    numbers = 5 * (64 + 4 * 36 + 4 * 36)
    assert memory_map(model.plan((5, 1, 8, 8), training=True)).tensor_bytes == 2 * 4 * numbers
    assert memory_map(model.plan((5, 1, 8, 8))).tensor_bytes == 4 * numbers


def test_segments_cover_the_calls_in_order():
    plan = cn.zoo.cnn().plan((16, 1, 28, 28), training=True)
    memory = memory_map(plan)
    assert [str(segment) for segment in memory.segments] == [
        *("forward 1", "forward 2", "forward 3", "forward 4"),
        *("backward 1", "backward 2", "backward 3", "backward 4"),
    ]
    assert memory.segments[0].start == 0
    assert memory.segments[-1].stop == len(memory.calls)
    assert str(memory.calls[0]) == "0 Conv2d, forward"
    assert str(memory.calls[1]) == "1 BatchNorm2d, sums forward"


def test_a_gradient_that_is_handed_in_and_that_nobody_reads_is_no_part_of_the_map() -> None:
    nodes = {"y": (cn.Dense(2, 2), "input"), "still": (cn.Constant((2,), learned=False),)}
    model = cn.Model(cn.Graph(nodes, outputs=["y", "still"]))
    plan = model.plan((3, 2), training=True)
    made = memory_map(plan)
    assert made.bytes == plan.bytes
    assert not any(
        stay.layer == "still Constant" and stay.role == "gradient" for each in made.batch for stay in each.stays
    )
