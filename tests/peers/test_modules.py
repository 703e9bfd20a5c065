"""PyTorch's samples of its modules: every layer and loss of the same name, forward and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ColonnadeError
from tests.peers.databases import InexpressibleError, agree, modules, plain, reason_to_refuse, torch

NAMES = {"Linear": "Dense"}
RECURRENT = ("RNN", "LSTM", "GRU")
# What is refused: the module, a word of the sample's description, and why. Each is checked to be refused.
REFUSED: dict[tuple[str, str], str] = {
    ("*", "zero_batch"): "a batch holds at least one image",
    ("*", "empty"): "a batch holds at least one image",
    ("*", "return_indices=True"): "a layer has one output",
    ("Softmax", "scalar"): "axis 0 are the images, which a layer does not mix",
    ("LogSoftmax", "scalar"): "axis 0 are the images, which a layer does not mix",
    ("L1Loss", "scalar"): "the first axis is the batch's",
    ("MSELoss", "scalar"): "the first axis is the batch's",
    ("SmoothL1Loss", "scalar"): "the first axis is the batch's",
    ("KLDivLoss", "scalar"): "the first axis is the batch's",
    ("MultiheadAttention", "batch_first=False"): "the batch is the first axis of every array",
    **{(name, "batch_first=False"): "the batch is the first axis of every array" for name in RECURRENT},
    ("LSTM", "proj_size=2"): "a Dense behind it does that",
}


def described(info: Any, sample: Any) -> str:
    """A sample in words: PyTorch's, the constructor's arguments, and which others the call has."""
    given = sample.constructor_input
    words = [sample.desc, *map(str, given.args), *(f"{name}={value}" for name, value in given.kwargs.items())]
    words += [name for name, value in sample.forward_input.kwargs.items() if value is not None]
    return " ".join(" ".join(words).split())


def samples() -> list[Any]:
    found = []
    for info in modules:
        name = info.module_cls.__name__
        if not isinstance(getattr(cn, NAMES.get(name, name), None), type):
            continue
        for training in (True, False):
            torch.manual_seed(1)  # with 0 one sample ignores all its targets
            given = info.module_inputs_func(
                info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
            )
            for number, sample in enumerate(given):
                text = described(info, sample)
                identity = f"{name}-{'training' if training else 'inference'}-{number}-{text[:60]}"
                found.append(pytest.param(info, sample, training, text, id=identity))
    return found


def with_batch(name: str, x: Any) -> Any:
    """The input with a batch axis of one image before it, where it has none."""
    usual = {"1d": 3, "2d": 4, "3d": 5}.get(name[-2:], 2) if name != "BatchNorm1d" else 2
    usual = 3 if name in ("MultiheadAttention", *RECURRENT) else usual
    while x.ndim < usual:
        x = x[None]
    return x


def first_states(given: Any) -> list[Any]:
    """States before the first step, (layers · directions, k), for a batch of one, with the batch first."""
    states = given if isinstance(given, tuple) else (given,)
    return [each.detach()[None].requires_grad_() for each in states]


# Which arguments of a call have a gradient here; of all other losses the first alone.
WITH_GRADIENT = {"TripletMarginLoss": (0, 1, 2), "CosineEmbeddingLoss": (0, 1), "GaussianNLLLoss": (0, 2)}


def compare_loss(name: str, module: Any, sample: Any) -> None:
    given, args = sample.constructor_input, list(sample.forward_input.args)
    if args[0].ndim == 1 and name in ("CrossEntropyLoss", "NLLLoss"):
        args = [each[None] for each in args]
    at = WITH_GRADIENT.get(name, (0,))
    for number in at:
        args[number] = args[number].detach().requires_grad_()
    theirs = module(*args)
    carried = np.random.default_rng(0).normal(size=theirs.shape)
    theirs.backward(torch.tensor(carried))
    loss, gradients = getattr(cn, name)(*plain(given.args), **plain(given.kwargs))(*plain(args), gradient=carried)
    agree(loss, theirs, "loss")
    for number, gradient in zip(at, gradients if len(at) > 1 else [gradients], strict=True):
        agree(gradient, args[number].grad, f"gradient at argument {number}")


def compare_layer(name: str, module: Any, sample: Any, training: bool) -> None:
    given, call = sample.constructor_input, sample.forward_input
    x = with_batch(name, (call.args or (call.kwargs.get("input"),))[0].detach())
    if x.is_floating_point():
        x = x.requires_grad_()
    options = {key: value for key, value in call.kwargs.items() if key != "input" and value is not None}
    masks = [key for key in ("attn_mask", "key_padding_mask") if key in options]
    if options.keys() - masks:
        raise InexpressibleError("options of the call")
    layer = getattr(cn, NAMES.get(name, name))(
        *plain(given.args), **plain(given.kwargs), **dict.fromkeys(masks, "bool")
    )
    more = first_states(call.args[1]) if name in RECURRENT and len(call.args) > 1 else []
    if name == "Bilinear":
        more = [with_batch(name, call.args[1].detach()).requires_grad_()]
    if name == "MultiheadAttention":
        more = [each.detach()[None].requires_grad_() for each in call.args[1:]] + [options[key][None] for key in masks]
        if "key_padding_mask" in options:
            options["key_padding_mask"] = options["key_padding_mask"][None]
    names = [f"x{number}" for number in range(1 + len(more))]
    model = cn.Model(cn.Graph({"0": (layer, *names)}, names) if more else [layer], dtype="float64")
    model.load_state_dict({f"0.{key}": plain(value) for key, value in module.state_dict().items()})
    outputs = model([plain(each) for each in (x, *more)] if more else plain(x), training=training)
    if name == "MultiheadAttention":
        theirs = module(x, *more[:2], **options)[0]
    elif name in RECURRENT:
        first = [each.transpose(0, 1).contiguous() for each in more]
        theirs = module(x, *([tuple(first)] if len(more) > 1 else first))[0]
    else:
        theirs = module(x, *more)
    agree(outputs, theirs, "output")
    if training:
        gradient = np.random.default_rng(0).normal(size=outputs.shape)
        at_input = model.backward(gradient)
        theirs.backward(torch.tensor(gradient.reshape(theirs.shape)))
        for ours, tensor in zip(at_input if more else [at_input], (x, *more), strict=True):
            if tensor.requires_grad:
                agree(ours, tensor.grad, "gradient at an input")
        grads = {parameter.name: parameter.grad for parameter in model.parameters()}
        for key, parameter in module.named_parameters():
            agree(grads[f"0.{key}"], parameter.grad, f"gradient of {key}")
    state = model.state_dict()
    for key, value in module.state_dict().items():
        agree(state[f"0.{key}"], value, key)


def like(layer: Any, masks: list[str]) -> Any:
    """Our layer of a transformer for PyTorch's."""
    options = {
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "activation": layer.activation.__name__,
        "layer_norm_eps": layer.norm1.eps,
        "norm_first": layer.norm_first,
        "bias": layer.linear1.bias is not None,
    }
    kind = getattr(cn, type(layer).__name__)
    return kind(layer.self_attn.embed_dim, layer.self_attn.num_heads, **options, **dict.fromkeys(masks, "bool"))


def compare_transformer(module: Any, sample: Any, training: bool) -> None:
    """A layer or a stack of them; PyTorch's default is the batch second."""
    layers = getattr(module, "layers", [module])
    given = {key: value for key, value in sample.forward_input.kwargs.items() if value is not None}
    masks = {{"mask": "src_mask"}.get(key, key): value for key, value in given.items()}
    body = like(layers[0], list(masks))
    if len(layers) > 1:
        body = cn.TransformerEncoder(body, len(layers))
    sequences = [each.detach().requires_grad_() for each in sample.forward_input.args]

    def batched(x: Any) -> Any:
        if x.ndim == 2:
            return x[None]
        return x if layers[0].self_attn.batch_first else x.transpose(0, 1)

    inputs = [batched(each) for each in sequences]
    for key in body.inputs[len(inputs) :]:
        axes = 2 if "padding" in key else 3
        inputs.append(masks[key].expand(len(inputs[0]), *masks[key].shape[-axes + 1 :]))
    model = cn.Model(body, dtype="float64")
    model.load_state_dict(plain(module.state_dict()))
    arrays = [plain(each) for each in inputs]
    outputs = model(arrays if len(arrays) > 1 else arrays[0], training=training)
    theirs = batched(module(*sequences, **given))
    agree(outputs, theirs, "output")
    if training:
        gradient = np.random.default_rng(0).normal(size=outputs.shape)
        found = model.backward(gradient)
        theirs.backward(torch.tensor(gradient))
        for ours, tensor in zip(found if len(arrays) > 1 else [found], sequences, strict=False):
            agree(ours, batched(tensor.grad), "gradient at an input")
        for parameter in model.parameters():
            agree(parameter.grad, module.get_parameter(parameter.name).grad, f"gradient of {parameter.name}")


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss by both:UserWarning")
@pytest.mark.parametrize(("info", "sample", "training", "text"), samples())
def test_sample_agrees_or_is_on_the_list(info: Any, sample: Any, training: bool, text: str) -> None:
    name, given = info.module_cls.__name__, sample.constructor_input

    def compare() -> None:
        torch.manual_seed(1)
        module = info.module_cls(*given.args, **given.kwargs).to(torch.float64).train(training)
        if name.endswith("Loss"):
            compare_loss(name, module, sample)
        elif name.startswith("Transformer"):
            compare_transformer(module, sample, training)
        else:
            compare_layer(name, module, sample, training)

    if reason_to_refuse(REFUSED, name, text) is None:
        compare()
        return
    with pytest.raises((ColonnadeError, InexpressibleError)):
        compare()


def test_every_reason_is_needed() -> None:
    given = [(each.values[0].module_cls.__name__, each.values[3]) for each in samples()]
    for name, word in REFUSED:
        assert any(name in (who, "*") and word in text for who, text in given), (name, word)
