"""Steps and the edges between them."""

from __future__ import annotations

import pytest

import colonnade as cn
from colonnade.steps import Edge


@pytest.mark.parametrize(("name", "what"), [("value", "value"), ("grad", "gradient")])
def test_an_edge_holds_no_numbers_and_says_where_they_are(name: str, what: str) -> None:
    edge = Edge((3, 8, 8))
    assert edge.shape == (3, 8, 8)
    told = (
        rf"^Edge: it joins two steps and holds no numbers, so it has no {what}: model\.trace\(x\) gives the Tensors\.$"
    )
    with pytest.raises(cn.errors.StateError, match=told):
        getattr(edge, name)
    assert repr(edge) == "Edge(shape=(3, 8, 8))"


def test_steps_are_joined_by_edges_each_of_which_knows_the_shape_of_one_image() -> None:
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.ReLU(), cn.Residual([cn.Conv2d(4, 4, 1)]), cn.Flatten()])
    plan = model.plan((5, 3, 8, 8))
    edges = {*plan.sources, *(edge for step in plan.steps for edge in (*step.inputs, *step.outputs))}
    assert all(type(edge) is Edge for edge in edges)
    assert {edge.shape for edge in edges} == {(3, 8, 8), (4, 6, 6), (144,)}
