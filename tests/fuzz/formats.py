"""The formats that are read: small files to begin with, how they are changed, and all that is done with one."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import colonnade as cn
from colonnade import report
from colonnade.cli import config
from colonnade.cli.main import main
from colonnade.data import cifar, idx
from colonnade.data.images import read_images
from colonnade.errors import ColonnadeError
from colonnade.formats.onnx import load as load_onnx
from tests.data import official_files
from tests.formats import onnx_graphs
from tests.fuzz import mutation
from tests.test_contract import CHAINS, GRAPHS, LAYERS

MOST_TRIED = 200_000  # numbers in a batch that a model is tried with
SHAPE = (2, 6, 6)  # of the images that the small networks take


class Format(NamedTuple):
    """One format.

    Attributes:
        suffix: Of its files.
        seeds: Makes the files to begin with, in a folder of its own.
        mutate: Changes one.
        read: Does with a file what a person would. What it raises but errors of ours is a fault.
    """

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    mutate: mutation.Mutate
    read: Callable[[Path], None]


# What a person sees


def _run(*arguments: object) -> None:
    """The command line: one line of error and status 2, or none and 0, and nothing that a terminal obeys."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(each) for each in arguments])
    for stream in (out, err):
        stream.getvalue().encode("utf-8")
        _require_printable(stream.getvalue())
    if (status, bool(err.getvalue())) not in ((0, False), (2, True)):
        raise AssertionError(f"status {status} with the error {err.getvalue()!r}")
    if status and err.getvalue().count("\n") != 1:
        raise AssertionError(f"not one line: {err.getvalue()!r}")


def _require_printable(text: str) -> None:
    hidden = [each for each in text if each != "\n" and not each.isprintable() and unicodedata.category(each) != "Zs"]
    if hidden:
        raise AssertionError(f"{hidden[0]!r} is printed as it is: {text[:200]!r}")


def _try(net: cn.Model) -> None:
    """A table, a prediction and a training step, where the model knows its input's shape and that is small."""
    net.summary()
    repr(net)
    shapes = net.input_shape if len(net.inputs) > 1 else (net.input_shape,)
    if sum(map(math.prod, shapes)) > MOST_TRIED:
        return
    batch = tuple(np.zeros((2, *shape), net.dtype) for shape in shapes)
    with np.errstate(all="ignore"):
        net(batch if len(batch) > 1 else batch[0])
        made = net(batch if len(batch) > 1 else batch[0], training=True)
        net.backward(tuple(map(np.ones_like, made)) if isinstance(made, tuple) else np.ones_like(made))


# Models


def _saved(model: cn.Model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


def _network() -> cn.Model:
    model = cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten(), cn.Dense(12, 2)])
    model.build(SHAPE)
    model.classes, model.normalization = ["cat", "dog"], {"mean": [0.5, 0.5], "std": [0.2, 0.3]}
    return model


def _networks() -> Iterator[cn.Model]:
    yield _network()
    alone = [([layer], shape) for layer, shape in LAYERS]
    for layers, shape in [*alone, *CHAINS, *GRAPHS.values()]:
        yield cn.Model(layers).build(shape)


@cache
def _models(folder: Path) -> list[bytes]:
    return [_saved(model, folder / "seed.safetensors") for model in _networks()]


def _read_model(path: Path) -> None:
    _run("summary", path)
    net = cn.load(path)
    if net.input_shape is None:
        net.build(SHAPE)
    _try(net)
    net.save(path.with_name("again.safetensors"))
    cn.load(path.with_name("again.safetensors"))


def _onnx(folder: Path) -> list[bytes]:
    seeds = []
    for model in _networks():
        with contextlib.suppress(ColonnadeError):
            cn.export_onnx(model, folder / "seed.onnx")
            seeds.append((folder / "seed.onnx").read_bytes())
    rng = np.random.default_rng(0)
    op = onnx_graphs.op
    nodes = [
        op("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        op("Resize", "c - s", "z", mode="linear"),
        op("Shape", "z", "h"),
    ]
    nodes += [
        op("Gather", "h zero", "n"),
        op("Concat", "n rest", "t", axis=0),
        op("Reshape", "z t", "f"),
        op("Gemm", "f v"),
    ]
    weights = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    made = onnx_graphs.graph(
        nodes,
        ("N", 2, 4, 4),
        w=weights,
        s=np.array([1, 1, 2, 2], np.float32),
        zero=[0],
        rest=[-1],
        v=np.ones((192, 2), np.float32),
    )
    return [*seeds, made.SerializeToString()]


def _read_onnx(path: Path) -> None:
    _try(load_onnx(path))


# Runs

EXAMPLES = np.arange(8 * 72, dtype=np.float32).reshape(8, *SHAPE) / 100, np.arange(8) % 2


def _fit(**options: Any) -> None:
    model = cn.Model([cn.Flatten(), cn.Dense(72, 2)], seed=0)
    optimizer = cn.NAdam(model.build(SHAPE).parameters(), lr=0.01)
    callbacks = [cn.training.EarlyStopping(patience=3, monitor="train_loss")]
    with np.errstate(all="ignore"):
        model.fit(*EXAMPLES, batch_size=4, epochs=3, optimizer=optimizer, average=0.5, callbacks=callbacks, **options)


def _checkpoints(folder: Path) -> list[bytes]:
    seeds = []

    class Stop(cn.training.Callback):
        def on_batch_end(self, record: cn.training.BatchRecord) -> None:
            if (record.epoch, record.step) == self.place:
                raise KeyboardInterrupt

    for place in ((1, 1), (2, 2), (3, 1)):
        stop = Stop()
        stop.place = place
        with contextlib.suppress(KeyboardInterrupt):
            model = cn.Model([cn.Flatten(), cn.Dense(72, 2)], seed=0)
            optimizer = cn.NAdam(model.build(SHAPE).parameters(), lr=0.01)
            early = cn.training.EarlyStopping(patience=3, monitor="train_loss")
            options = {"batch_size": 4, "epochs": 3, "optimizer": optimizer, "average": 0.5, "callbacks": [early, stop]}
            model.fit(*EXAMPLES, out=folder / "run", **options)
        seeds.append((folder / "run" / "checkpoint.safetensors").read_bytes())
    return seeds


def _read_checkpoint(path: Path) -> None:
    _fit(resume=path)


def _configurations(folder: Path) -> list[bytes]:
    lines = 'data = "digits"\nmodel = "lenet5"\nepochs = 2\nbatch_size = 64\noptimizer = "adam"\nlr = 0.01\nseed = 3\n'
    more = 'memory = "2G"\nmax_time = "90m"\nclip = 1.0\nworkers = 2\nthreads = 1\nout = "here"\npatience = 3\n'
    return [lines.encode(), (lines + more).encode()]


def _read_configuration(path: Path) -> None:
    config.text(config.decide({}, path, resume=False), {})


def _metrics(folder: Path) -> list[bytes]:
    _fit(out=folder / "reported")
    return [(folder / "reported" / "metrics.jsonl").read_bytes()]


def _read_run(path: Path) -> None:
    run = path.with_name("reported")
    run.mkdir(exist_ok=True)
    for name in ("metrics.jsonl", "config.toml"):
        (run / name).unlink(missing_ok=True)
    (run / path.with_suffix("").name).with_suffix("")  # its name says which of the files it is
    path.replace(run / ("config.toml" if path.suffix == ".toml" else "metrics.jsonl"))
    page = report.render(report.collect(run, steps=0, data="digits"))
    page.encode("utf-8")
    _require_printable(page.replace("\t", " "))


# Data


def _idx(folder: Path) -> list[bytes]:
    images, labels = np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 4), np.arange(5, dtype=np.uint8)
    return [official_files.idx(images), official_files.idx(labels)]


def _zipped_idx(folder: Path) -> list[bytes]:
    return [gzip.compress(each) for each in _idx(folder)]


def _read_idx(path: Path) -> None:
    for dimensions in (3, 1):
        with contextlib.suppress(ColonnadeError):
            idx.read(path, dimensions)
    idx.read(path, 3)


def _cifar(folder: Path) -> list[bytes]:
    return [np.arange(3 * (labels + 3072)).astype(np.uint8).tobytes() for labels in (1, 2)]


def _read_cifar(path: Path) -> None:
    with contextlib.suppress(ColonnadeError):
        cifar.read([path], 1)
    cifar.read([path], 2)


def _archives(folder: Path) -> list[bytes]:
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in ("test_batch.bin", "data_batch_1.bin"):
            member = tarfile.TarInfo(f"cifar/{name}")
            member.size = 3073
            archive.addfile(member, io.BytesIO(bytes(3073)))
    return [file.getvalue()]


def _read_archive(path: Path) -> None:
    cifar.unpack(path, ["test_batch.bin", "data_batch_1.bin"], path.with_name("unpacked"))


IMAGES = {"JPEG": {}, "GIF": {}, "BMP": {}, "WEBP": {}, "TIFF": {"compression": "tiff_lzw"}, "PPM": {}}


def _images(folder: Path) -> list[bytes]:
    seeds = []
    pixels = (np.indices((12, 10, 3)).sum(axis=0) * 7 % 256).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, options in IMAGES.items():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options, **({"exif": exif} if kind in ("JPEG", "WEBP") else {}))
        seeds.append(file.getvalue())
    return seeds


def _pngs(folder: Path) -> list[bytes]:
    seeds = []
    pixels = (np.indices((12, 10, 4)).sum(axis=0) * 7 % 256).astype(np.uint8)
    for image in (pixels, pixels[..., :3], pixels[..., 0], pixels[..., 0].astype(np.uint16) * 100):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        seeds.append(file.getvalue())
    palette = io.BytesIO()
    Image.fromarray(pixels[..., :3]).convert("P").save(palette, "PNG", transparency=3)
    return [*seeds, palette.getvalue()]


def _read_image(path: Path) -> None:
    for shape in ((1, 4, 4), (3, 16, 16)):
        read_images([path], shape)


FORMATS = {
    "model": Format(".safetensors", _models, mutation.in_safetensors, _read_model),
    "checkpoint": Format(".safetensors", _checkpoints, mutation.in_safetensors, _read_checkpoint),
    "onnx": Format(".onnx", _onnx, mutation.in_protobuf, _read_onnx),
    "idx": Format(".idx", _idx, mutation.in_header(16), _read_idx),
    "idx.gz": Format(".gz", _zipped_idx, mutation.in_gzip(mutation.in_header(16)), _read_idx),
    "cifar": Format(".bin", _cifar, mutation.in_bytes, _read_cifar),
    "cifar.tar.gz": Format(".gz", _archives, mutation.in_gzip(mutation.in_header(1536)), _read_archive),
    "image": Format(".jpg", _images, mutation.in_header(200), _read_image),
    "png": Format(".png", _pngs, mutation.in_png, _read_image),
    "toml": Format(".toml", _configurations, mutation.in_toml, _read_configuration),
    "run, metrics": Format(".jsonl", _metrics, mutation.in_lines_of_json, _read_run),
    "run, configuration": Format(".toml", _configurations, mutation.in_toml, _read_run),
}
