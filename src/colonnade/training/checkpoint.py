"""Checkpoints: all that another process needs to go on with a run, bit for bit, in one safetensors file.

It holds the model, the optimizer and the callbacks as they were after a step, the place in the epoch with the sums of
its steps so far, the history, and the settings of the run. Orders, augmentation and dropout depend on the seed, the
epoch, the step and the image alone, so no random generator has to be stored. Those who resume bring their own model,
optimizer and data: `require_same` says what about them differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import storage
from ..data.stream import Stream
from ..documents import parse_json, refusing
from ..errors import ArgumentError, FileFormatError
from ..ops.layout import Array
from .callbacks import Callback, Scheduler
from .records import EpochRecord

if TYPE_CHECKING:
    from ..data.examples import Examples
    from .run import Run

VERSION = 2
FORMAT = "colonnade checkpoint"
# Images that are looked at to tell one data set from another.
SAMPLE = 8
# What only follows from another setting, where that differs: it is not named beside it.
FOLLOWS = {
    "schedule": {"epochs", "batch_size", "optimizer", "data", "classes"},
    "data": {"classes"},
    "validation": {"data", "classes"},
    "normalization": {"data", "classes"},
    "input_shape": {"data"},
    "architecture": {"classes"},
}
LONGEST_SHOWN = 40
MOST_SHOWN = 8  # classes
# What its metadata must be, so that a run can go on from there.
LAST = 1 << 62  # of what is counted
NUMBER, NOTHING = (int, float), (int, float, type(None))
PLACE: dict[str, tuple[type, ...]] = {
    **{"epoch": (int,), "step": (int,), "mean": (dict,), "seconds": NUMBER, "waiting": NUMBER, "lr": NUMBER},
    **{"stopped": (str, type(None)), "callbacks": (dict,)},
}
MEAN: dict[str, tuple[type, ...]] = {
    **{"images": (int,), "loss": NUMBER, "weight": NUMBER, "correct": (int,), "labels": (int,)},
}
EPOCH: dict[str, tuple[type, ...]] = {
    **{"epoch": (int,), "train_loss": NUMBER, "train_accuracy": NOTHING, "test_loss": NOTHING},
    **{"test_accuracy": NOTHING, "seconds": NUMBER, "images_per_second": NUMBER, "waiting": NUMBER, "lr": NUMBER},
}


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        path: Its file.
        settings: What `require_same` compares.
        place: Where the run stood, as JSON says it.
        history: Its epochs.
        tensors: Arrays by name, each below `model.`, `optimizer.` or the name of a callback.
    """

    path: Path
    settings: dict[str, Any]
    place: dict[str, Any]
    history: list[EpochRecord]
    tensors: dict[str, Array]

    def part(self, prefix: str) -> dict[str, Array]:
        """The arrays below a prefix."""
        return {name.removeprefix(prefix): array for name, array in self.tensors.items() if name.startswith(prefix)}


def write(
    path: Path,
    settings: Mapping[str, Any],
    place: Mapping[str, Any],
    history: Sequence[EpochRecord],
    tensors: Mapping[str, Array],
) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: What the disk says; the checkpoint of before stays whole, and the message says so.
    """
    import json

    text = {"settings": settings, "place": place, "history": history}
    metadata = {"format": FORMAT, "version": str(VERSION), "run": json.dumps(text)}
    try:
        storage.write(path, tensors, metadata)
    except OSError as error:
        kept = "the one before stays whole" if path.exists() else "there is none yet"
        raise OSError(error.errno, f"{error.strerror}: the checkpoint can't be written; {kept}", str(path)) from error


def find(path: storage.StrPath) -> Path:
    """A checkpoint's file, or that in the folder of a run.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "checkpoint.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such checkpoint to resume.")
    return path


def read(path: storage.StrPath) -> Checkpoint:
    """The checkpoint in a file, or in the folder of a run.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is damaged, of another kind, or of another version of Colonnade.
    """
    path = find(path)
    tensors, metadata = storage.read(path)
    if metadata.get("format") != FORMAT:
        kind = "a model" if "colonnade" in metadata else "another kind of safetensors file"
        raise FileFormatError(f"{path}: expected a checkpoint, got {kind}.")
    if metadata.get("version") != str(VERSION):
        raise FileFormatError(
            f"{path}: a checkpoint of another version of Colonnade "
            f"(format {metadata.get('version')}, this one reads {VERSION})."
        )
    with refusing(f"{path}: a damaged checkpoint: it does not say of what run", ours=True):
        run = parse_json(metadata["run"])
        settings, place, history = dict(run["settings"]), dict(run["place"]), list(run["history"])
    with refusing(f"{path}: a damaged checkpoint"):
        _require_kinds("its place", place, PLACE)
        for sums in place["mean"].get("outputs", {"": place["mean"]}).values():  # of each of several outputs
            _require_kinds("the sums of its epoch", sums, MEAN)
        for number, record in enumerate(history, 1):
            _require_kinds(f"epoch {number} of its history", record, EPOCH)
            if record["epoch"] != number:
                raise ValueError(f"epoch {number} of its history calls itself {record['epoch']!r}")
        if place["epoch"] - len(history) not in (0, 1):
            raise ValueError(f"it stands in epoch {place['epoch']} after {len(history)}")
    return Checkpoint(path, settings, place, history, tensors)


def _require_kinds(owner: str, given: Any, kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Have a dict hold values of these types, numbers not negative; raises ValueError."""
    if not isinstance(given, dict):
        raise ValueError(f"{owner} is no record")
    for name, kind in kinds.items():
        value = given[name]
        whole = isinstance(value, int) and value <= LAST
        fits = isinstance(value, kind) and not isinstance(value, bool) and (whole or not isinstance(value, int))
        if not fits or (isinstance(value, int | float) and "loss" not in name and not value >= 0):
            raise ValueError(f"{owner}: {name} can't be {value!r}")


def settings(run: Run) -> dict[str, Any]:
    """What the continuation of a run must have in common with it, as JSON can say it."""
    model, loader = run.model, run.loader
    schedules = [callback.schedule for callback in run.callbacks if isinstance(callback, Scheduler)]
    return {
        "epochs": run.epochs,
        "batch_size": loader.batch_size,
        "accumulate": run.accumulate,
        "shuffle": loader.shuffle,
        "seed": loader.seed,
        "clip": run.clip,
        "optimizer": describe_optimizer(run.optimizer, schedules),
        "loss": describe(run.criterion),
        "callbacks": {name: describe_arguments(callback) for name, callback in stateful(run.callbacks).items()},
        "augmentation": describe(loader.augmentation),
        "normalization": describe(loader.normalization),
        "architecture": model.config(),
        "input_shape": model.input_shape,
        "dtype": str(model.dtype),
        "model_seed": model.seed,
        "classes": run.classes,
        "data": fingerprint(loader.examples),
        "validation": None if run.held_out is None else fingerprint(run.held_out),
    }


@contextmanager
def readable(checkpoint: Checkpoint) -> Iterator[None]:
    """What can't be taken over from a checkpoint is the checkpoint's fault.

    Raises:
        FileFormatError: It lacks something, or holds something else in its place.
    """
    with refusing(f"{checkpoint.path}: a damaged checkpoint", ours=True):
        yield


def require_same(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> None:
    """Have a run be the one whose checkpoint this is; only `epochs` may be others, where no schedule depends on them.

    Raises:
        ArgumentError: It is another; everything that differs is named, but for what only follows from it.
    """
    import json

    now = _parts(json.loads(json.dumps(settings)))
    with readable(checkpoint):
        before = _parts(checkpoint.settings)
    found = {name: _differences(before.get(name), now.get(name), name) for name in [*before, *now]}
    found = {name: texts for name, texts in found.items() if texts}
    if "schedule" not in found:
        found.pop("epochs", None)
    follow = {name for name, others in FOLLOWS.items() if others & found.keys()}
    if _type(before.get("schedule")) != _type(now.get("schedule")):
        follow.discard("schedule")
    if named := [text for name, texts in found.items() if name not in follow for text in texts]:
        raise ArgumentError(f"fit: {checkpoint.path} is of another run: {'; '.join(named)}.")


def _parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of `fit`'s arguments, where it has such: those of its own callbacks among them."""
    parts = dict(settings)
    for name, callback in parts.pop("callbacks").items():
        kind, number, rest = name.partition(" ")
        if kind == "Scheduler":
            parts[f"schedule{number}{rest}"] = callback["schedule"] | {"each": callback["each"]}
        else:
            parts["average" if name == "Average" else name] = callback
    return parts


def _type(described: Any) -> Any:
    return described.get("type") if isinstance(described, dict) else None


def _differences(before: Any, now: Any, name: str) -> list[str]:
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict) and before.get("type") == now.get("type"):
        found = []
        for key in [*before, *(key for key in now if key not in before)]:
            found += _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    if name == "classes" and isinstance(before, list) and isinstance(now, list):
        changes = [f"{each!r} is missing" for each in before if each not in now]
        changes += [f"{each!r} is new" for each in now if each not in before]
        return [f"classes differ: {', '.join(changes[:MOST_SHOWN]) or 'they are in another order'}"]
    shown = [repr(value.get("type", value) if isinstance(value, dict) else value) for value in (before, now)]
    if shown[0] == shown[1] or max(map(len, shown)) > LONGEST_SHOWN or "sha256:" in shown[0]:
        return [f"{name} differs"]
    return [f"{name} was {shown[0]}, is now {shown[1]}"]


def describe(thing: Any) -> Any:
    """What tells the settings of two runs apart, as JSON can say it.

    Of an object it is the type and the public attributes, without what changes as a run goes on.
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, np.ndarray):
        return {"shape": list(thing.shape), "numbers": digest(thing)}
    if isinstance(thing, Mapping):
        return {str(name): describe(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple | set | frozenset):
        return [describe(value) for value in thing]
    if isinstance(thing, type) or callable(getattr(thing, "__get__", None)):  # a class, a function
        return f"{thing.__module__}.{thing.__qualname__}"
    changing = {"optimizer", *getattr(thing, "state_dict", dict)()} - {"base_lr"}
    attributes = getattr(thing, "__dict__", {})
    return {
        "type": type(thing).__name__,
        **{name: describe(v) for name, v in attributes.items() if not name.startswith("_") and name not in changing},
    }


def describe_arguments(thing: Any, without: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """The type and the constructor's arguments of what keeps them as attributes of their names."""
    import inspect

    names = [name for name in inspect.signature(type(thing).__init__).parameters if name not in {"self", *without}]
    described = {name: describe(getattr(thing, name)) for name in names if hasattr(thing, name)}
    return {"type": type(thing).__name__, **described}


def describe_optimizer(optimizer: Any, schedules: Sequence[Any]) -> dict[str, Any]:
    """An optimizer as it was made, apart from what schedules move."""
    moved = {"params", *({"lr"} if schedules else ())}
    if any(getattr(schedule, "momentum", None) for schedule in schedules):
        moved |= {"momentum", "betas"}
    described = describe_arguments(optimizer, moved)
    if "lr" in described and getattr(optimizer, "initial_lr", None) is not None:
        described["lr"] = optimizer.initial_lr
    if len(groups := getattr(optimizer, "groups", ())) > 1:
        described["groups"] = [
            {"parameters": len(each.parameters), "share": each.share, "weight_decay": each.weight_decay}
            for each in groups
        ]
    return described


def stateful(callbacks: Iterable[Any]) -> dict[str, Callback]:
    """The callbacks that say what they depend on, by names of their own."""
    found: dict[str, Callback] = {}
    for callback in callbacks:
        kind = type(callback)
        if isinstance(callback, Callback) and kind.state_dict is not Callback.state_dict:
            same = sum(type(other) is kind for other in found.values())
            found[kind.__name__ + (f" {same + 1}" if same else "")] = callback
    return found


def fingerprint(examples: Examples | Stream) -> dict[str, Any]:
    """What tells one data set from another: the number of images, their shape, all targets and a few images.

    Of a stream nothing is known before it runs but the number of its steps.
    """
    if isinstance(examples, Stream):
        return {"steps": examples.steps, "shape": list(examples.shape)}
    few = np.unique(np.linspace(0, len(examples) - 1, SAMPLE).astype(np.int64))
    return {
        "images": len(examples),
        "shape": list(examples.shape),
        "targets": _digests(examples.targets),
        "pixels": _digests(examples.take(few)),
    }


def _digests(arrays: Any) -> Any:
    """The digest of an array, or those of a tuple of them."""
    return [*map(_digests, arrays)] if isinstance(arrays, tuple) else digest(np.asarray(arrays))


def digest(array: Array) -> str:
    """The beginning of the SHA-256 of an array's type and numbers."""
    import hashlib

    array = np.ascontiguousarray(array)
    return "sha256:" + hashlib.sha256(array.dtype.str.encode() + array.tobytes()).hexdigest()[:16]
