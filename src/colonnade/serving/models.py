"""Models that are served: read from their files, warmed up, read anew where a file has changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import classification, explain
from ..errors import ArgumentError, ColonnadeError, ShapeError
from ..formats import load
from ..ops.layout import Array, channels_first
from ..printable import printable
from ..runs import model_file
from ..training.inference import answering, prepared
from .batching import Batcher, Observe
from .protocol import NAMES
from .settings import Settings

if TYPE_CHECKING:
    from ..model import Model

# What a name in an address has; everything else in a file's name becomes a hyphen.
NAMELESS = re.compile(r"[^A-Za-z0-9._~-]+")
VERSION = "1"
Stamp = tuple[int, int, int]
OpenShape = tuple[int | None, ...] | None  # None for a size that is open; None of a shape that nobody knows


class Loaded:
    """A model that is ready, with its queue.

    Args:
        name: In messages.
        model: The model.
        batcher: Its queue.
    """

    def __init__(self, name: str, model: Model, batcher: Batcher) -> None:
        self.name, self.model, self.batcher = name, model, batcher
        self.image_shape, self.classes = _classifies(model)
        self.users = 0  # requests that are being answered
        self.unused = asyncio.Event()  # set once nobody uses what was replaced

    def prepare(self, inputs: Mapping[str, Array]) -> tuple[Array, ...]:
        """What a client gave, as the model takes it: scaled and normalised as in training.

        Raises:
            ArgumentError: Other inputs than the model has, or numbers that can't be meant.
            ShapeError: Arrays that do not fit.
            DivergenceError: NaN or infinity in an image.
        """
        model = self.model
        if inputs.keys() != set(model.inputs):
            raise ArgumentError(
                f"{self.name}: expected the inputs {', '.join(map(printable, model.inputs))}, "
                f"got {', '.join(map(printable, inputs))}."
            )
        arrays = [inputs[name] for name in model.inputs]
        for name, array, axis, shape in zip(model.inputs, arrays, model.input_axes, shapes_of(model), strict=True):
            if not _fits(array, axis, shape):
                raise ShapeError(
                    f"{self.name}: input {printable(name)} is of shape {_sizes(axis, shape)}, got {list(array.shape)}."
                )
        ends = zip(arrays, model.input_axes, strict=True)
        counts = {array.shape[axis] for array, axis in ends if axis is not None}
        if len(counts) > 1:
            raise ShapeError(f"{self.name}: expected as many images of each input, got {sorted(counts)}.")
        with np.errstate(over="ignore"):  # infinity is what is too large for the model's type
            if len(arrays) > 1 or model.input_axes != (0,):
                return tuple(array.astype(model.dtype, copy=False) for array in arrays)
            return (prepared(self.name, model, arrays[0]),)

    def picture(self, pixels: Array) -> Array:
        """A picture (h, w, c) of bytes as the model takes it, (1, c, h, w)."""
        return prepared(self.name, self.model, channels_first(pixels[np.newaxis]))

    def heat(self, pixels: Array, number: int | None) -> Array:
        """Where in a picture (h, w, c) the evidence for a class lies, (h, w) in [0, 1]; see `explain.grad_cam`."""
        return explain.grad_cam(self.model, channels_first(pixels[np.newaxis])[0], number)

    def metadata(self) -> dict[str, Any]:
        """As the Open Inference Protocol has it."""
        model, kind = self.model, NAMES[np.dtype(self.model.dtype)]
        outs = model.output_shape if len(model.outputs) > 1 else (model.output_shape,)
        ends = {
            "inputs": zip(model.inputs, model.input_axes, shapes_of(model), strict=True),
            "outputs": zip(model.outputs, model.output_axes, outs or [None] * len(model.outputs), strict=True),
        }
        described = {
            end: [{"name": name, "datatype": kind, "shape": _sizes(axis, shape)} for name, axis, shape in each]
            for end, each in ends.items()
        }
        return {"name": self.name, "versions": [VERSION], "platform": "colonnade", **described}


class Served:
    """A model under a name, whatever its file holds by now.

    Args:
        name: In addresses.
        source: The file that it is read from, and read anew when it changes; or a model of the caller's.
        settings: Of the server.
        pool: Where it computes.
        observe: Is told of each batch.

    Attributes:
        reloads: How often the file was read anew.
        fault: Why the file as it is now can't be served; None where it is.
    """

    def __init__(self, name: str, source: Path | Model, settings: Settings, pool: Executor, observe: Observe) -> None:
        self.name = name
        self.file = source if isinstance(source, Path) else None
        self.reloads = 0
        self.fault: str | None = None
        self._settings, self._pool, self._observe = settings, pool, observe
        self._stamp = _stamp(self.file)
        self._model: Model = load(model_file(source)) if isinstance(source, Path) else source
        self._loaded: Loaded | None = None

    async def start(self) -> None:
        """Compute something, so that all is compiled and planned for the first request; then take requests."""
        self._loaded = await self._warmed(self._model)

    async def close(self) -> None:
        """Answer what waits, and take nothing more."""
        if self._loaded is not None:
            await self._loaded.batcher.close()

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._loaded is not None

    @property
    def waiting(self) -> int:
        """Images that wait."""
        return self._loaded.batcher.waiting if self._loaded is not None else 0

    @property
    def known(self) -> Loaded:
        """The model as it is now."""
        assert self._loaded is not None
        return self._loaded

    @contextmanager
    def used(self) -> Iterator[Loaded]:
        """The model as it is now, which stays until it is let go of."""
        loaded = self.known
        loaded.users += 1
        try:
            yield loaded
        finally:
            loaded.users -= 1
            if loaded is not self._loaded and not loaded.users:
                loaded.unused.set()

    async def refresh(self) -> bool:
        """Read the file anew if it has changed, and say whether it was; requests go on meanwhile.

        A file that can't be served leaves the model as it is, and `fault` says why.
        """
        stamp = _stamp(self.file)
        if self.file is None or stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            model = await asyncio.get_running_loop().run_in_executor(None, load, model_file(self.file))
            loaded = await self._warmed(model)
        except (ColonnadeError, OSError) as error:
            self.fault = str(error)
            return False
        before, self._loaded, self.fault = self.known, loaded, None
        self.reloads += 1
        if before.users:
            await before.unused.wait()
        await before.batcher.close()
        return True

    async def _warmed(self, model: Model) -> Loaded:
        ask = answering(self.name, model)

        def run(inputs: tuple[Array, ...]) -> tuple[Array, ...]:
            outputs = ask(inputs if len(inputs) > 1 else inputs[0])
            return outputs if isinstance(outputs, tuple) else (outputs,)

        together = _independent(model)
        # Where batches compute, so that they do not get in each other's way.
        await asyncio.get_running_loop().run_in_executor(self._pool, _warm, model, run, self._settings, together)
        return Loaded(self.name, model, Batcher(run, self._settings, self._pool, self._observe, together))


def named(paths: Iterable[Path]) -> dict[str, Path]:
    """A name for each model: that of its file without suffix, or of its run's folder.

    Raises:
        ArgumentError: Two of one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        own = path.resolve().name if path.is_dir() else path.stem
        name = NAMELESS.sub("-", own).strip("-.") or "model"
        if name in found:
            raise ArgumentError(f"serve: {found[name]} and {path} would both be called {name!r}; rename one.")
        found[name] = path
    return found


def shapes_of(model: Model) -> list[OpenShape]:
    """Of an image of each input."""
    said = model.open_shape or model.input_shape
    if said is None:
        return [None] * len(model.inputs)
    return [tuple(each) for each in (said if len(model.inputs) > 1 else [said])]


def _warm(model: Model, run: Any, settings: Settings, together: bool) -> None:
    """Run a model once for each size of a batch, where the size of its images is known."""
    said = [shape for shape in shapes_of(model) if shape is not None]
    shapes = [tuple(size for size in shape if size is not None) for shape in said]
    if shapes != said or len(shapes) < len(model.inputs) or {*model.input_axes} != {0}:
        return
    images = 1
    while True:
        run(tuple(np.zeros((images, *shape), model.dtype) for shape in shapes))
        if images >= settings.max_batch or not together:
            return
        images = min(2 * images, settings.max_batch)


def _independent(model: Model) -> bool:
    """Whether each image's answer is its own, whoever else is in the batch, and images come first everywhere."""
    ends = {*model.input_axes, *model.output_axes}
    return ends == {0} and not any(step.layer.sums(False) for step in model.steps)


def _classifies(model: Model) -> tuple[tuple[int | None, int | None, int | None] | None, Sequence[str] | None]:
    """The shape of the pictures that it classifies, and the names of their classes; None where it does not."""
    try:
        shape = classification.taken("serving", model)
    except (ArgumentError, ShapeError):
        return None, None
    outputs = model.output_shape
    if shape[0] not in (None, 1, 3) or outputs is None or len(outputs) != 1:
        return None, None
    return shape, model.classes or [str(number) for number in range(outputs[0])]


def _fits(array: Array, axis: int | None, shape: OpenShape) -> bool:
    """Whether an array may be a batch of images of that shape, which lie along `axis`."""
    if axis is not None:
        if array.ndim <= axis:
            return False
        own = array.shape[:axis] + array.shape[axis + 1 :]
    else:
        own = array.shape
    if shape is None:
        return bool(own)
    return len(own) == len(shape) and all(want in (None, have) for want, have in zip(shape, own, strict=True))


def _sizes(axis: int | None, shape: OpenShape) -> list[int]:
    """A shape as the protocol has it, with the batch in its place: -1 for what is open."""
    sizes = [-1 if size is None else size for size in shape or ()]
    if axis is not None:
        sizes.insert(axis, -1)
    return sizes


def _stamp(file: Path | None) -> Stamp | None:
    """What changes when a file does; None where there is none."""
    if file is None:
        return None
    try:
        found = Path(model_file(file)).stat()
    except (ColonnadeError, OSError):
        return None  # it is being written, or gone: what is in memory serves on
    return found.st_mtime_ns, found.st_size, found.st_ino
