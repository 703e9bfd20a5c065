"""What a model looks at: Grad-CAM against PyTorch, occlusion against a naive loop, feature maps against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade import explain
from colonnade.errors import ArgumentError, ShapeError


def learned(model: cn.Model) -> cn.Model:
    """The model with running statistics and weights that are not those it began with."""
    rng = np.random.default_rng(3)
    for _ in range(3):
        model(rng.normal(0.4, 0.7, (8, *model.input_shape)), training=True)
    for parameter in model.parameters():
        parameter.value += rng.normal(0, 0.05, parameter.shape)
    return model


def small(**options) -> cn.Model:
    layers = [
        *(cn.Conv2d(2, 6, 3, padding=1), cn.BatchNorm2d(6), cn.ReLU(), cn.MaxPool2d(2), cn.Dropout(0.5)),
        *(cn.Residual([cn.Conv2d(6, 6, 3, padding=1, bias=False), cn.BatchNorm2d(6)]), cn.ReLU(), cn.MaxPool2d(2)),
        *(cn.Flatten(), cn.Dropout(0.3), cn.Dense(6 * 3 * 3, 4)),
    ]
    return learned(cn.Model(layers, seed=1, **options).build((2, 12, 12)))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(5).normal(0, 1, (2, 12, 12))


def torch_maps(model, image, module, class_number):
    """The value and the gradient at a module's output, in PyTorch, and the scores."""
    torch = pytest.importorskip("torch", reason="the comparison is with PyTorch")
    from tests.torch_twin import twin

    net = twin(model).eval()
    kept = {}
    net.get_submodule(module).register_forward_hook(lambda _, __, output: kept.update(value=output))
    scores = net(torch.from_numpy(image[None].astype(model.dtype)))
    number = int(scores.argmax()) if class_number is None else class_number
    (gradient,) = torch.autograd.grad(scores[0, number], kept["value"])
    return kept["value"], gradient, scores


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "5", "5.main.0", "6"])
@pytest.mark.parametrize("class_number", [None, 2])
def test_grad_cam_is_that_of_pytorch(image, layer, class_number):
    torch = pytest.importorskip("torch", reason="the comparison is with PyTorch")
    model = small(dtype="float64")
    value, gradient, _ = torch_maps(model, image, layer, class_number)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    heat = torch.relu((weights * value).sum(dim=1, keepdim=True))
    heat = torch.nn.functional.interpolate(heat, size=(12, 12), mode="bilinear", align_corners=False)[0, 0]
    heat = (heat / heat.max() if heat.max() > 0 else heat).detach().numpy()
    np.testing.assert_allclose(explain.grad_cam(model, image, class_number, layer), heat, atol=1e-9)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "5", "5.main.1", "7"])
def test_feature_maps_are_those_of_pytorch(image, layer):
    model = small(dtype="float64")
    value, _, _ = torch_maps(model, image, layer, 0)
    np.testing.assert_allclose(explain.feature_maps(model, image, layer), value[0].detach().numpy(), atol=1e-9)


@pytest.mark.parametrize("arguments", [{}, {"size": 5, "stride": 2}, {"size": 12}, {"class_number": 1, "fill": 0.7}])
def test_occlusion_is_that_of_a_naive_loop(image, arguments):
    model = small(dtype="float64")
    size, stride = arguments.get("size", 3), arguments.get("stride", 1 if arguments.get("size") != 12 else 3)
    whole = model.predict_proba(image[None])[0]
    number = arguments.get("class_number", int(whole.argmax()))
    expected, covered = np.zeros((12, 12)), np.zeros((12, 12))
    starts = [*range(0, 12 - size, stride), 12 - size]
    for top in starts:
        for left in starts:
            copy = image.copy()
            copy[:, top : top + size, left : left + size] = arguments.get("fill", 0.0)
            lost = whole[number] - model.predict_proba(copy[None])[0, number]
            for row in range(top, top + size):
                for column in range(left, left + size):
                    expected[row, column] += lost
                    covered[row, column] += 1
    expected[covered > 0] /= covered[covered > 0]
    np.testing.assert_allclose(explain.occlusion(model, image, **arguments), expected, atol=1e-12)


def test_bytes_are_prepared_as_predict_prepares_them():
    model = small(dtype="float64")
    model.normalization = {"mean": [0.4, 0.5], "std": [0.2, 0.3]}
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 12), np.uint8)
    prepared = (pixels / 255 - np.array([0.4, 0.5])[:, None, None]) / np.array([0.2, 0.3])[:, None, None]
    plain = small(dtype="float64")
    for function in (explain.grad_cam, explain.occlusion, explain.feature_maps):
        np.testing.assert_allclose(function(model, pixels), function(plain, prepared), atol=1e-9)


def test_the_model_stays_as_it_was(image):
    model = small()
    before = model.state_dict()
    model(np.stack([image] * 2), training=True)  # a step that is half done
    after = model.state_dict()
    explain.grad_cam(model, image)
    explain.feature_maps(model, image)
    assert model.pending is not None
    for name, array in model.state_dict().items():
        assert np.array_equal(array, after[name])
    assert before.keys() == after.keys()


def test_a_frozen_model_is_explained_as_any_other(image):
    model = small(dtype="float64")
    before = explain.grad_cam(model, image)
    model.freeze()
    np.testing.assert_array_equal(explain.grad_cam(model, image), before)


def test_a_graph_is_explained_by_the_names_of_its_nodes():
    torch = pytest.importorskip("torch", reason="the comparison is with PyTorch")
    left, norm, right = cn.Conv2d(1, 3, 3, padding=1), cn.BatchNorm2d(3), cn.Conv2d(1, 3, 1)
    nodes = {
        "left": (left, "input"),
        "norm": (norm, "left"),
        "right": (right, "input"),
        "sum": (cn.Add(), "norm", "right"),
        "active": (cn.ReLU(), "sum"),
        "flat": (cn.Flatten(), "active"),
        "head": (cn.Dense(3 * 6 * 6, 2), "flat"),
    }
    model = learned(cn.Model(cn.Graph(nodes), dtype="float64").build((1, 6, 6)))
    image = np.random.default_rng(0).normal(0, 1, (1, 6, 6))
    state = {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
    functional = torch.nn.functional
    x = torch.from_numpy(image[None])
    inner = functional.conv2d(x, state["left.weight"], state["left.bias"], padding=1)
    inner = functional.batch_norm(
        inner, state["norm.running_mean"], state["norm.running_var"], state["norm.weight"], state["norm.bias"]
    ) + functional.conv2d(x, state["right.weight"], state["right.bias"])
    inner = inner.detach().requires_grad_()
    score = functional.linear(torch.relu(inner).flatten(1), state["head.weight"], state["head.bias"])[0, 1]
    (gradient,) = torch.autograd.grad(score, inner)
    heat = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * inner).sum(dim=1))[0].detach().numpy()
    heat = heat / heat.max() if heat.max() > 0 else heat
    np.testing.assert_allclose(explain.grad_cam(model, image, 1, "sum"), heat, atol=1e-9)


def test_instance_norm_with_running_statistics_rests_too(image):
    layers = [cn.Conv2d(2, 3, 3), cn.InstanceNorm2d(3, affine=True, track_running_stats=True), cn.Flatten()]
    model = learned(cn.Model([*layers, cn.Dense(300, 2)], dtype="float64").build((2, 12, 12)))
    value, _, _ = torch_maps(model, image, "1", 0)
    np.testing.assert_allclose(explain.feature_maps(model, image, "1"), value[0].detach().numpy(), atol=1e-9)


def test_layers_of_ones_own_are_kept(image):
    class Twice(cn.Layer):
        def build(self, shape, rng):
            return shape

        def forward(self, x, y, block):
            np.multiply(x.value, 2, out=y.value)

        def backward(self, x, y, block):
            if x.has_grad:
                np.multiply(y.grad, 2, out=x.grad)

    plain = cn.Model([cn.Conv2d(2, 3, 3), cn.Flatten(), cn.Dense(300, 2)], seed=2, dtype="float64").build((2, 12, 12))
    own = cn.Model([cn.Conv2d(2, 3, 3), Twice(), cn.Flatten(), cn.Dense(300, 2)], dtype="float64").build((2, 12, 12))
    own.load_state_dict({name.replace("2.", "3."): array for name, array in plain.state_dict().items()})
    np.testing.assert_allclose(explain.feature_maps(own, image, "1"), 2 * explain.feature_maps(plain, image, "0"))


def test_the_default_layer_is_the_last_with_maps_but_pools():
    assert explain.default_layer(cn.zoo.cnn()) == "6"
    assert explain.default_layer(cn.zoo.lenet5()) == "4"
    assert explain.map_layers(cn.zoo.cnn()) == ["0", "1", "2", "3", "4", "5", "6", "7"]


def test_a_map_is_zero_where_nothing_speaks_for_the_class(image):
    model = cn.Model([cn.ReLU(), cn.Flatten(), cn.Dense(288, 2)]).build((2, 12, 12))
    model.load_state_dict({"2.weight": -np.ones((2, 288)), "2.bias": np.zeros(2)})
    assert not explain.grad_cam(model, image, 0).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: explain.grad_cam(m, x, 4), ArgumentError, "class_number must lie between 0 and 3, got 4"),
        (lambda m, x: explain.grad_cam(m, x, -1), ArgumentError, "got -1"),
        (lambda m, x: explain.occlusion(m, x, 4), ArgumentError, "got 4"),
        (lambda m, x: explain.grad_cam(m, x, layer="5.main.7"), ArgumentError, "such as '5.main.1', got '5.main.7'"),
        (lambda m, x: explain.feature_maps(m, x, "10"), ShapeError, r"layer 10 puts out no maps .* \(4,\)"),
        (lambda m, x: explain.grad_cam(m, x[:1]), ShapeError, r"expected one image of shape \(2, 12, 12\), got \(1"),
        (lambda m, x: explain.occlusion(m, x[None]), ShapeError, "expected one image"),
        (lambda m, x: explain.occlusion(m, x, size=13), ArgumentError, "size must lie between 1 and 12, got 13"),
        (lambda m, x: explain.occlusion(m, x, size=0), ArgumentError, "got 0"),
        (lambda m, x: explain.occlusion(m, x, stride=0), ArgumentError, "stride must be positive, got 0"),
    ],
)
def test_what_can_not_be_explained_is_said_in_a_line(image, call, error, message):
    with pytest.raises(error, match=message):
        call(small(), image)


def test_models_that_are_not_of_images_are_refused(image):
    unbuilt = cn.Model([cn.Flatten(), cn.Dense(288, 2)])
    with pytest.raises(ArgumentError, match="has never seen an image"):
        explain.grad_cam(unbuilt, image)
    rows = cn.Model([cn.Dense(4, 2)]).build((4,))
    with pytest.raises(ShapeError, match="expected a model of images"):
        explain.occlusion(rows, np.zeros(4))
    with pytest.raises(ShapeError, match="no layer puts out maps"):
        explain.grad_cam(unbuilt.build((2, 12, 12)), image)
    maps = cn.Model([cn.Conv2d(2, 3, 3)]).build((2, 12, 12))
    with pytest.raises(ShapeError, match="expected a number for each class"):
        explain.grad_cam(maps, image)
    with pytest.raises(ShapeError, match="occlusion: expected a number for each class, got outputs of shape"):
        explain.occlusion(maps, image)
    body = cn.Graph({"y": (cn.Flatten(), "x"), "z": (cn.ReLU(), "y")}, ["x"], ["y", "z"])
    several = cn.Model(body).build((2, 12, 12))
    with pytest.raises(ShapeError, match=r"occlusion: .* got outputs of shape \(\(288,\), \(288,\)\)"):
        explain.occlusion(several, image)
