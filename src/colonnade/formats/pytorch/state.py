"""The weights in a file that PyTorch wrote."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ... import storage
from ...errors import ArgumentError, FileFormatError, MissingExtraError
from ...model import Model
from ...ops.layout import Array

# Under which a checkpoint holds the state dict.
NAMES = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
# A tensor may stand in a state dict under several names, but not so often that this is exceeded.
SHARED = 4
NAMED = 3  # so many of the names that differ are told


def load(path: str | os.PathLike[str], into: Model | None) -> dict[str, Array]:
    """See :func:`colonnade.formats.pytorch.load_torch`."""
    path = Path(path)
    is_safetensors = path.suffix.lower() == ".safetensors" or storage.is_index(path)
    state = storage.read(path)[0] if is_safetensors else _read(path)
    if into is not None:
        into.load_state_dict(_fitted(path, state, into))
    return state


def to_array(tensor: Any) -> Array:
    """The numbers of a tensor; of types that NumPy has not, as float32."""
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array


def _read(path: Path) -> dict[str, Array]:
    """The state dict that torch.save wrote. Nothing but tensors is made of what the file says."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a file of PyTorch, got a folder or a device.")
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            f"load_torch: {path} needs PyTorch, which is not installed: pip install torch"
        ) from None
    size = path.stat().st_size
    _require_plain(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile or damaged file makes of the reader
        raise FileFormatError(f"{path}: {_reason(error)}") from None
    tensors = _state_dict(path, content)
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise FileFormatError(f"{path}: {name} is a sparse, quantised, complex or empty tensor.")
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > SHARED * size:  # a stride of zero makes much of little
        raise FileFormatError(f"{path}: its tensors claim {claimed:,} bytes, the file has {size:,}.")
    return {name: to_array(tensor) for name, tensor in tensors.items()}


def _require_plain(path: Path) -> None:
    """Refuse an archive whose parts are compressed, which PyTorch never writes: they may grow without end."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [part.filename for part in archive.infolist() if part.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{path}: no file of PyTorch, or a damaged one ({error}).") from None
    if packed:
        raise FileFormatError(f"{path}: no file of PyTorch: {packed[0]!r} in it is compressed.")


def _reason(error: Exception) -> str:
    """Why torch.load gave up, in one line."""
    text = " ".join(str(error).split())
    if "unsupported global" in text.lower() or "unsupported class" in text.lower():
        return "it holds more than tensors, which is not unpickled: save module.state_dict(), not the module."
    if "weights only" in text.lower():  # what follows is PyTorch's advice to execute the file
        text = "it begins like a pickle and is no state dict"
    return f"no file of PyTorch, or a damaged one ({text[:120].rstrip('. ') or type(error).__name__})."


def _state_dict(path: Path, content: Any) -> dict[str, Any]:
    """Tensors by name, found by themselves or within a checkpoint."""
    import torch

    for _ in range(3):  # a checkpoint within a checkpoint, but not without end
        if not isinstance(content, Mapping):
            break
        within = [content[name] for name in NAMES if isinstance(content.get(name), Mapping)]
        if not within:
            break
        content = within[0]
    if not isinstance(content, Mapping) or not content:
        raise FileFormatError(f"{path}: expected a state dict, tensors by name, got {type(content).__name__}.")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise FileFormatError(
                f"{path}: expected a state dict, tensors by name; {name!r} is of type {type(tensor).__name__}."
            )
    return dict(content)


def _fitted(path: Any, state: Mapping[str, Array], model: Model) -> dict[str, Array]:
    """The state by the model's own names; raises ArgumentError where they can't be found."""
    wanted = model.state_dict()
    found = model.by_own_names(_without_prefix(state, {*wanted, *model.aliases}))
    for name in wanted:
        bare = name.removesuffix(".weight")
        if name not in found and bare in found and bare != name:  # an array of PyTorch's that is alone with its name
            found[name] = found.pop(bare)
    needed = model.needed()
    missing = [name for name in wanted if name not in found and name in needed]
    unexpected = [name for name in found if name not in wanted]
    if missing or unexpected:
        said = [f"it lacks {_listed(missing)}"] if missing else []
        said += [f"it holds {_listed(unexpected)}, which the model does not"] if unexpected else []
        raise ArgumentError(f"load_torch: {path} does not fit the model: {'; '.join(said)}.")
    return found


def _without_prefix(state: Mapping[str, Array], wanted: Iterable[str]) -> dict[str, Array]:
    """Names without what all of them begin with and the model's do not, such as "module."."""
    names = set(wanted)
    found = dict(state)
    while names.isdisjoint(found):
        heads = {name.partition(".")[0] for name in found}
        if len(heads) != 1 or "" in found or not all("." in name for name in found):
            return dict(state)
        found = {name.partition(".")[2]: array for name, array in found.items()}
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
