"""The calls of a forward pass as torch.export has them, for modules that torch.fx can't follow.

There every size but the batch's is known, and the functions are those of ATen.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_unflatten

from ...errors import ArgumentError
from ...tensor import Shape
from .in_place import settle
from .modules import known
from .tracing import BATCH_NORM
from .values import Array

IMAGES = 3  # how many there are in the batch that is exported
MIXED = 4  # inputs of which some may be of whole numbers and others not; of more, all are alike


# Calls, what they have of the module, and what makes of their outputs what the module returns.
Exported = tuple[fx.Graph, dict[str, Array], Callable[[Any], Any]]


def export(module: nn.Module, shapes: Sequence[Shape], dtype: str) -> Exported:
    """All calls of a forward pass outside training, and what they have of the module, by the names of placeholders.

    The third of what it returns makes of the outputs of the calls, in a list, what the module returns.

    Raises:
        ArgumentError: The module can't be exported, or not for any number of images.
    """
    try:
        return _exported(module, module, _images(shapes, [getattr(torch, dtype)] * len(shapes)))
    except ArgumentError:
        if (run := _run_once(module, shapes, dtype)) is None:
            raise
        return _exported(*run)


def _images(shapes: Sequence[Shape], types: Sequence[Any], count: int = IMAGES) -> tuple[Any, ...]:
    """Zeros, as many images for each input."""
    return tuple(torch.zeros(count, *shape, dtype=kind) for shape, kind in zip(shapes, types, strict=True))


def _run_once(
    module: nn.Module, shapes: Sequence[Shape], dtype: str
) -> tuple[nn.Module, nn.Module, tuple[Any, ...]] | None:
    """What `_exported` takes, where a run says that there is more to know; None where it does not.

    A module may make buffers for images of this size when it is first run, and take whole numbers for an input.
    """
    for types in _types(shapes, dtype):
        images = _images(shapes, types)
        try:
            made = copy.deepcopy(module).eval()
            with torch.no_grad(), torch.random.fork_rng(devices=()):
                made(*images)
        except Exception:  # the module's own: what export says of it is raised
            continue
        sizes = [{name: buffer.shape for name, buffer in each.named_buffers()} for each in (module, made)]
        same = sizes[0] == sizes[1]
        if same and torch.int64 not in types:
            return None
        return module if same else made, module, images
    return None


def _types(shapes: Sequence[Shape], dtype: str) -> Iterator[tuple[Any, ...]]:
    """The types that the inputs may have: all the model's, all of whole numbers, or some of either."""
    kinds = (getattr(torch, dtype), torch.int64)
    alike = [(kind,) * len(shapes) for kind in kinds]
    yield from alike
    if len(shapes) <= MIXED:
        yield from (types for types in itertools.product(kinds, repeat=len(shapes)) if types not in alike)


def _exported(module: nn.Module, own: nn.Module, images: tuple[Any, ...]) -> Exported:
    """As `export`; the parameters are those of `own`, of which `module` may be a copy."""
    modes = [(each, each.training) for each in module.modules()]
    free = {0: torch.export.Dim("images")}
    try:
        module.eval()
        with warnings.catch_warnings(), _attention_kept(module):
            warnings.simplefilter("ignore")
            program = torch.export.export(module, images, strict=False, dynamic_shapes=[free] * len(images))
        _inline(program)
        settle(program.graph, module)
    except ArgumentError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ArgumentError(
            f"from_torch: torch.export can't follow {type(module).__name__}: "
            f"{reason[0].rstrip('.') if reason else type(error).__name__}."
        ) from None
    finally:
        for each, mode in modes:
            each.training = mode
    spec = program.call_spec.out_spec
    return program.graph, dict(_held(module, own, program)), lambda outputs: tree_unflatten(outputs, spec)


# Attention as one call: what PyTorch calculates within it moves the axis of the batch about.
_LIBRARY = torch.library.Library("colonnade", "DEF")
_LIBRARY.define(
    "attention(Tensor query, Tensor key, Tensor value, Tensor? key_padding_mask, bool need_weights, Tensor? attn_mask, "
    "bool average_attn_weights, bool is_causal, str path, SymInt[] sizes) -> (Tensor, Tensor)"
)
ATTENTION = torch.ops.colonnade.attention.default


def _attention(query: Any, *given: Any) -> tuple[Any, Any]:
    """Zeros of the right shapes: it is only asked which calls there are."""
    return torch.zeros_like(query), query.new_zeros(given[-1])


_LIBRARY.impl("attention", _attention, "CompositeExplicitAutograd")
torch.library.register_fake("colonnade::attention", _attention, lib=_LIBRARY)


@contextmanager
def _attention_kept(module: nn.Module) -> Iterator[None]:
    """Meanwhile each nn.MultiheadAttention within a module is one call, and nothing depends on what a mask holds."""
    kept = [(path, each) for path, each in module.named_modules() if known(each) is nn.MultiheadAttention]
    fast, detect = torch.backends.mha.get_fastpath_enabled(), nn.modules.transformer._detect_is_causal_mask
    torch.backends.mha.set_fastpath_enabled(False)
    nn.modules.transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: bool(is_causal)
    try:
        for path, each in kept:
            each.forward = _as_one_call(each, path)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        nn.modules.transformer._detect_is_causal_mask = detect
        for _, each in kept:
            each.__dict__.pop("forward", None)


def _as_one_call(module: Any, path: str) -> Callable[..., Any]:
    def forward(
        query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> Any:  # fmt: skip
        batch, steps = (0, 1) if module.batch_first else (1, 0)
        keys = key.shape[steps] + (module.bias_k is not None) + module.add_zero_attn
        heads = [] if average_attn_weights else [module.num_heads]
        sizes = [query.shape[batch], *heads, query.shape[steps], keys]
        y, weights = ATTENTION(
            query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal, path, sizes
        )
        return y, weights if need_weights else None

    return forward


def _inline(program: Any) -> None:
    """Put what stands in a block without autocast where the block is called: the numbers are not of half precision."""
    graph = program.graph
    for node in list(graph.nodes):
        if getattr(node.target, "__name__", "") != "wrap_with_autocast" or node.args[2]:
            continue
        within = program.graph_module.get_submodule(str(node.args[4].target)).graph
        inputs = [each for each in within.nodes if each.op == "placeholder"]
        with graph.inserting_before(node):
            outputs = graph.graph_copy(within, dict(zip(inputs, node.args[5:], strict=True)))
        for user in list(node.users):
            user.replace_all_uses_with(outputs[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)


def _held(module: nn.Module, own: nn.Module, program: Any) -> Iterator[tuple[str, Array]]:
    signature = program.graph_signature
    parameters = signature.inputs_to_parameters
    for name, path in (parameters | signature.inputs_to_buffers).items():
        tensor = _at(own if name in parameters else module, path)
        yield name, Array(path, tensor, tensor if isinstance(tensor, nn.Parameter) else None)
    for name, path in signature.inputs_to_lifted_tensor_constants.items():
        yield name, Array(path, program.constants[path])


def _at(module: nn.Module, path: str) -> Any:
    holder, _, name = path.rpartition(".")
    return getattr(module.get_submodule(holder), name)


def calls_of(graph: fx.Graph) -> list[fx.Node]:
    """The calls that the output is made from; what is checked was checked when the module was exported."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op in ("placeholder", "output") or node in needed:
            needed.update((node, *node.all_input_nodes))
    return [node for node in graph.nodes if node in needed]


def compare_training(module: nn.Module, shapes: Sequence[Shape], dtype: str) -> tuple[bool, set[str]]:
    """Whether the same functions are called in training as outside it, and the paths as in `tracing`; run on zeros."""
    with torch.random.fork_rng(devices=()):
        for types in _types(shapes, dtype):
            images = _images(shapes, types, count=2)
            with suppress(Exception):  # the module's own: it takes other types, or can't be run in training
                outside, _ = _recorded(module, images, training=False)
                inside, resting = _recorded(module, images, training=True)
                return outside == inside, resting
    return False, set()


def _recorded(module: nn.Module, images: tuple[Any, ...], training: bool) -> tuple[list[str], set[str]]:
    """The names of the functions that a forward pass of a copy calls, and the running means that stay as they are."""
    module = copy.deepcopy(module).train(training)
    paths = {id(buffer): path for path, buffer in module.named_buffers()}
    names: list[str] = []
    resting: set[str] = set()

    class Recorder(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if not (args and id(args[0]) in paths):  # a count of batches
                names.append(getattr(func, "__name__", str(func)))
            if func in (torch.batch_norm, nn.functional.batch_norm):
                given = dict(zip(BATCH_NORM[func is torch.batch_norm], args, strict=False)) | (kwargs or {})
                if not given.get("training", False):
                    resting.add(paths.get(id(given["running_mean"]), ""))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), _attention_kept(module), Recorder():
        module(*images)
    return names, resting
