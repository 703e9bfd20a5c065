"""What a file of ours says of the model that it was made of.

ONNX has no place for much that a model is: how often a dropout drops, what is frozen, the seed, one attention rather
than the ten nodes that compute it. So the whole description stands in the file's metadata, with a digest of the graph:
where the graph is still the one that was written, the model is the one that it was; where others have changed it, it is
read as any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from onnx import ModelProto, helper

from ...composites import construct_body
from ...documents import parse_json, refusing
from ...errors import FileFormatError
from ...limits import Limits
from ...model import FORMAT_VERSION, Model, restored
from ..native import require_normalization, require_sizes
from .reading import Source, parse

KEY = "colonnade"


def sign(made: ModelProto, model: Model) -> None:
    """Write the model's description into a file that was made of it."""
    state = model.state_dict()
    source = parse(made)
    description = model.description() | {
        "graph": digest(source, state),
        "unread": {name: array.tolist() for name, array in state.items() if name not in source.constants},
    }
    entries = {entry.key: entry.value for entry in made.metadata_props}
    helper.set_model_props(made, entries | {KEY: json.dumps(description)})


def original(source: Source, limits: Limits) -> Model | None:
    """The model that a file was made of; None where it says nothing, is another by now, or holds own layers."""
    if KEY not in source.metadata:
        return None
    try:
        with refusing("not a whole description"):
            description = parse_json(source.metadata[KEY])
            body = construct_body(description["architecture"])
            names = require_sizes(body, source.constants, optional=description["unread"])
            if description["version"] > FORMAT_VERSION or description["graph"] != digest(source, names):
                return None
            state = {name: source.constants[name] for name in names if name in source.constants}
            model = restored(body, description, state | description["unread"], limits=limits)
            require_normalization(model)
            return model
    except FileFormatError:
        return None


def digest(source: Source, state: Collection[str]) -> str:
    """Of a graph: all but the numbers of its weights."""
    found = hashlib.sha256(repr((source.inputs, source.outputs)).encode())
    for node in source.nodes:
        found.update(node.proto.SerializeToString(deterministic=True))
    for name, array in sorted(source.constants.items()):
        found.update(repr((name, array.dtype.str, array.shape)).encode())
        found.update(b"" if name in state else array.tobytes())
    return found.hexdigest()
