"""Features kept on disk: what a frozen part of a model makes of a data set is computed once, and learned from often."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments
from .data.examples import Arrays, Examples
from .data.loader import Loader
from .data.pairing import class_names
from .data.pixels import Scale
from .data.prefetch import default_workers, prefetch
from .errors import ArgumentError, DataError
from .model import Model
from .ops.layout import Array, as_laid, as_written, laid_shape
from .tensor import Shape

if TYPE_CHECKING:
    from pathlib import Path

HASHED_AT_ONCE = 256  # images


def cached_features(
    model: Model,
    examples: Examples,
    folder: str | os.PathLike[str],
    *,
    batch_size: int = 256,
    workers: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Arrays:
    """What a model makes of a data set, from a file where it has been computed before.

    A head that is trained on these arrays learns what it would as the only trainable part of the whole model, without
    the rest being run at every step::

        body, head = model.split("avgpool")
        features = cn.cached_features(body, data.train, "cache")
        head.fit(*features, epochs=20)

    The file is memory-mapped. Its name holds a hash of the model, of its weights, and of all the images: a change of
    any of them makes a new file, and the old one stays until somebody removes it. It takes its place when it is
    whole. To know the hash the images are read once, also where the features are there.

    Args:
        model: Run as outside training, its normalization applied. One input and one output.
        examples: The images, such as `Arrays` or `ImageFolder`. They are not augmented.
        folder: Where the file lies; made if it is not there.
        batch_size: Images that are run together.
        workers: Threads that read images; see `colonnade.data.Loader`.
        watch: Told after each batch of how many images the features are computed, and of how many in all.

    Returns:
        The features, (n, ...), and the targets of the examples.

    Raises:
        ArgumentError: A model of several inputs or outputs, no images, no path, or a number below one.
        ShapeError: Images that do not fit the model.
        DataError: An image that can't be read, or a folder that can't be written to.
        DivergenceError: NaN or infinity in an image.
    """
    from pathlib import Path

    if not isinstance(model, Model) or len(model.inputs) > 1:
        raise ArgumentError(f"cached_features: expected a model of one input, got {_kind(model)}.")
    model.build(examples.shape)
    if isinstance(model.output_shape[0], tuple):
        raise ArgumentError(f"cached_features: expected a model of one output, got {len(model.output_shape)}.")
    loader = Loader(
        examples,
        batch_size,
        dtype=model.dtype,
        normalization=model.normalization,
        shuffle=False,
        workers=workers,
        scale=Scale("cached_features", model.pixels),
    )
    path = Path(
        arguments.path("cached_features", "folder", folder), f"features-{_fingerprint(model, examples, workers)}.npy"
    )
    laid = laid_shape((len(examples), *model.output_shape))
    stored = _read(path, laid, model.dtype)
    if stored is None:
        _write(path, laid, model.dtype, _outputs(model, loader, len(examples), watch))
        stored = _read(path, laid, model.dtype)
        if stored is None:
            raise DataError(f"{path}: the features were changed by another program; try again.")
    return Arrays(as_written(stored), examples.targets, class_names(examples))


def _outputs(model: Model, loader: Loader, images: int, watch: Callable[[int, int], None] | None) -> Iterator[Array]:
    done = 0
    for batch in loader.epoch(0):
        yield model(batch.x)
        done += len(batch.x)
        if watch is not None:
            watch(done, images)


def _fingerprint(model: Model, examples: Examples, workers: int | None) -> str:
    """A hash of all that the features depend on."""
    import hashlib
    import json

    described = model.description()
    told = {name: described[name] for name in ("version", "architecture", "dtype", "normalization")}
    digest = hashlib.sha256(json.dumps([told, len(examples), examples.shape]).encode())
    for name, array in model.state_dict().items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    positions = np.arange(len(examples))
    chunks = [positions[start : start + HASHED_AT_ONCE] for start in range(0, len(positions), HASHED_AT_ONCE)]
    for images in prefetch(examples.take, chunks, default_workers() if workers is None else workers):
        digest.update(str(images.dtype).encode())
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()[:32]


def _read(path: Path, shape: Shape, dtype: np.dtype[Any]) -> Array | None:
    """The features, memory-mapped; None where they are not, or not whole."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # whatever NumPy makes of a file of another kind, or a broken one
        return None
    return stored if (stored.shape, stored.dtype) == (shape, dtype) else None


def _write(path: Path, shape: Shape, dtype: np.dtype[Any], outputs: Iterator[Array]) -> None:
    """Write features as they come; the file takes its place when it is whole."""
    from .storage import replacing

    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for output in outputs:
                file.write(np.ascontiguousarray(as_laid(output)).data)
    except OSError as error:
        raise DataError(f"{path}: the features can't be written ({error.strerror}).") from error


def _kind(model: object) -> str:
    return f"one of {len(model.inputs)}" if isinstance(model, Model) else type(model).__name__
