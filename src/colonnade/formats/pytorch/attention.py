"""Attention and the layers of transformers, as the modules of torch.nn have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ... import layers
from .values import NOTHING, STEPS_FIRST, Array, Fixed, Tensor, Turned, Unconvertible, Value, arrays_of

if TYPE_CHECKING:
    from .importer import Importer


def attention_layer(module: Any, **how: Any) -> layers.MultiheadAttention:
    """The layer of an nn.MultiheadAttention, made for what it takes in a call."""
    size = module.embed_dim
    return layers.MultiheadAttention(
        size,
        module.num_heads,
        module.dropout,
        module.in_proj_bias is not None,
        module.bias_k is not None,
        module.add_zero_attn,
        None if module.kdim == size else module.kdim,
        None if module.vdim == size else module.vdim,
        **how,
    )


def attend(
    graph: Importer, module: Any, path: str, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
    need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> Any:  # fmt: skip
    """Attention: what it puts out, and the weights where anybody reads them."""
    sequences = [batch_first(graph, module.batch_first, each) for each in (query, key, value)]
    if sequences[0] == sequences[1] == sequences[2]:
        sequences = sequences[:1]
    if is_causal and attn_mask is None:
        raise Unconvertible("is_causal says of an attn_mask what it is, and there is none")
    wanted = need_weights and graph.reads_more_than_first(path)
    _require_pairs(attn_mask, sequences)
    how: dict[str, Any] = {"return_weights": wanted, "zero_empty_rows": not need_weights}
    masks = []
    if is_causal_mask(attn_mask):
        how["is_causal"] = True
    elif attn_mask is not None:
        how["attn_mask"], mask = _of_pairs(graph, attn_mask, module.num_heads)
        masks.append(mask)
    if key_padding_mask is not None:
        mask = graph.value(key_padding_mask)
        how["key_padding_mask"] = _says(graph, mask)
        masks.append(mask)
    layer = attention_layer(module, **how)
    y = graph.value(graph.weighed(layer, arrays_of(layer, module, path), *sequences, *masks, name=path or "0"))
    if not wanted:
        return _laid(module, y, path), NOTHING
    weights = graph.value(graph.put(layers.Slice(2, module.embed_dim), y, name=at(path, "weights")))
    length, numbers = weights.known
    shape = (length, module.num_heads, numbers // module.num_heads)
    weights = graph.value(graph.put(layers.Reshape(shape), weights, name=at(path, "weights")))
    last = layers.Mean(2) if average_attn_weights else layers.Permute((0, 2, 1, 3))
    y = graph.value(graph.put(layers.Slice(2, 0, module.embed_dim), y, name=at(path, "output")))
    return _laid(module, y, path), graph.put(last, weights, name=at(path, "weights"))


def at(path: str, name: str) -> str:
    """Where a part of a module is."""
    return f"{path}.{name}" if path else name


def batch_first(graph: Importer, first: bool, x: Any) -> Value:
    """A sequence with the batch first, whatever a module's batch_first says of its input."""
    if first:
        return graph.value(x)
    if isinstance(x, Turned) and x.steps:
        return graph.sequence(x)
    raise Unconvertible(
        "it has batch_first=False, and of its input the batch is the first axis: put transpose(0, 1) before it"
    )


def _laid(module: Any, x: Any, path: str) -> Tensor:
    """The other way."""
    return x if module.batch_first else Turned(x, STEPS_FIRST, f"{path}_permute")


def is_causal_mask(mask: Any) -> bool:
    """Whether a mask is known, and has each position look at none behind it."""
    if not isinstance(mask, Array) or mask.parameter is not None or mask.images or mask.tensor.ndim != 2:
        return False
    added = _added(mask.tensor)
    hidden = torch.ones(added.shape, dtype=torch.bool).triu(1)
    return bool(torch.equal(added, torch.zeros_like(added).masked_fill(hidden, -torch.inf)))


def _added(mask: Any) -> Any:
    """A mask as numbers to add, where true says that nothing is looked at."""
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape).masked_fill(mask, -torch.inf)
    return mask.to(torch.float64)  # of which every type's numbers are a part; the model's is what it is stored as


def _of_pairs(graph: Importer, mask: Any, heads: int) -> tuple[str, Value]:
    """What a mask of pairs of positions says, and the mask itself, (n, t, s) or (n, heads, t, s)."""
    if isinstance(mask, Fixed) or (isinstance(mask, Array) and not mask.images):
        if isinstance(mask, Array) and mask.parameter is None:
            if mask.tensor.ndim != 2:
                raise Unconvertible("its attn_mask of three axes must be made of the batch")
            mask = Array(mask.path, _added(mask.tensor))
        return "float", graph.constant(mask, 3)
    value = graph.value(mask)
    if value.windows not in (0, heads) or (heads > 1 and not value.windows):
        raise Unconvertible(f"its attn_mask must have {heads} masks for each image, one for each head")
    return _says(graph, value), graph.together(value)


def _require_pairs(mask: Any, sequences: list[Value]) -> None:
    """Raise Unconvertible for a known mask of another shape than the pairs of positions have."""
    if isinstance(mask, Array) and mask.tensor.ndim == 2 and all(each.shape for each in sequences):
        pairs = (sequences[0].known[0], sequences[-1].known[0])
        if tuple(mask.tensor.shape) != pairs:
            raise Unconvertible(f"its attn_mask must have the shape {pairs}, got {tuple(mask.tensor.shape)}")


def _says(graph: Importer, mask: Value) -> str:
    """What a computed mask says: an input of the model is of true and false, as PyTorch's masks mostly are."""
    truth = graph.is_truth(mask)
    return "bool" if truth or truth is None else "float"


# Transformers


def encoder_layer(
    graph: Importer, module: Any, path: str, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Tensor:  # fmt: skip
    """A layer of a transformer's encoder, as the modules it consists of."""

    def attention(x: Value) -> Value:
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        return _attended(graph, module.self_attn, at(path, "self_attn"), x, x, **masks)

    def feed_forward(x: Value) -> Value:
        return _feed_forward(graph, module, path, x)

    parts = [attention, feed_forward]
    return _laid(
        module.self_attn,
        _sublayers(graph, module, path, batch_first(graph, module.self_attn.batch_first, src), parts),
        path,
    )


def decoder_layer(
    graph: Importer, module: Any, path: str, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
    tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool = False,
    memory_is_causal: bool = False,
) -> Tensor:  # fmt: skip
    """A layer of a transformer's decoder, likewise."""
    remembered = batch_first(graph, module.multihead_attn.batch_first, memory)

    def own(x: Value) -> Value:
        masks = {"attn_mask": tgt_mask, "key_padding_mask": tgt_key_padding_mask, "is_causal": tgt_is_causal}
        return _attended(graph, module.self_attn, at(path, "self_attn"), x, x, **masks)

    def other(x: Value) -> Value:
        masks = {"attn_mask": memory_mask, "key_padding_mask": memory_key_padding_mask, "is_causal": memory_is_causal}
        return _attended(graph, module.multihead_attn, at(path, "multihead_attn"), x, remembered, **masks)

    def feed_forward(x: Value) -> Value:
        return _feed_forward(graph, module, path, x)

    x = _sublayers(
        graph, module, path, batch_first(graph, module.self_attn.batch_first, tgt), [own, other, feed_forward]
    )
    return _laid(module.self_attn, x, path)


def _attended(graph: Importer, attention: Any, path: str, x: Value, memory: Value, **masks: Any) -> Value:
    asked, answering = _laid(attention, x, path), _laid(attention, memory, path)
    y, _ = graph.call_module(path, asked, answering, answering, need_weights=False, **masks)
    return batch_first(graph, attention.batch_first, y)


def _feed_forward(graph: Importer, module: Any, path: str, x: Any) -> Value:
    hidden = graph.call_module(at(path, "linear1"), x)
    if isinstance(module.activation, nn.Module):
        hidden = graph.call_module(at(path, "activation"), hidden)
    else:
        graph.name = at(path, "activation")
        hidden = graph.call_function(module.activation, hidden)
    hidden = graph.call_module(at(path, "dropout"), hidden)
    return graph.value(graph.call_module(at(path, "linear2"), hidden))


def _sublayers(graph: Importer, module: Any, path: str, x: Value, parts: list[Any]) -> Value:
    """Each with a shortcut and a norm, before it or behind the sum."""
    for number, part in enumerate(parts, 1):

        def norm(each: Any, number: int = number) -> Any:
            return graph.value(graph.call_module(at(path, f"norm{number}"), each))

        y = graph.call_module(at(path, f"dropout{number}"), part(norm(x) if module.norm_first else x))
        x = graph.value(graph.put(layers.Add(), x, y, name=at(path, "add")))
        x = x if module.norm_first else norm(x)
    return x


def encoder(
    graph: Importer, module: Any, path: str, src: Any, mask: Any = None, src_key_padding_mask: Any = None,
    is_causal: bool | None = None,
) -> Tensor:  # fmt: skip
    """The layers of a transformer's encoder, one after the other."""
    for number in range(len(module.layers)):
        src = graph.call_module(at(path, f"layers.{number}"), src, mask, src_key_padding_mask, bool(is_causal))
    return _normed(graph, module, path, src)


def decoder(
    graph: Importer, module: Any, path: str, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
    tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool | None = None,
    memory_is_causal: bool = False,
) -> Tensor:  # fmt: skip
    """The layers of a transformer's decoder, one after the other."""
    masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
    for number in range(len(module.layers)):
        tgt = graph.call_module(
            at(path, f"layers.{number}"), tgt, memory, *masks, bool(tgt_is_causal), bool(memory_is_causal)
        )
    return _normed(graph, module, path, tgt)


def _normed(graph: Importer, module: Any, path: str, x: Any) -> Tensor:
    """The norm behind all layers, if there is one."""
    if module.norm is None:
        return x  # type: ignore[no-any-return]
    attention = module.layers[0].self_attn
    normed = graph.value(graph.call_module(at(path, "norm"), batch_first(graph, attention.batch_first, x)))
    return _laid(attention, normed, path)


def transformer(
    graph: Importer, module: Any, path: str, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None,
    memory_mask: Any = None, src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None,
    memory_key_padding_mask: Any = None, src_is_causal: bool | None = None, tgt_is_causal: bool | None = None,
    memory_is_causal: bool = False,
) -> Any:  # fmt: skip
    """An encoder, and a decoder that reads what it puts out."""
    memory = graph.call_module(at(path, "encoder"), src, src_mask, src_key_padding_mask, src_is_causal)
    masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
    return graph.call_module(at(path, "decoder"), tgt, memory, *masks, tgt_is_causal, memory_is_causal)


COMPOUND: dict[type[nn.Module], Any] = {
    nn.MultiheadAttention: attend,
    nn.Transformer: transformer,
    nn.TransformerDecoder: decoder,
    nn.TransformerDecoderLayer: decoder_layer,
    nn.TransformerEncoder: encoder,
    nn.TransformerEncoderLayer: encoder_layer,
}
