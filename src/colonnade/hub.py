"""Trained networks of the Hugging Face Hub: what timm and torchvision have learned, as networks of the zoo."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import arguments, storage, zoo
from .documents import is_folder, parse_json, read_bytes, refusing
from .errors import ArgumentError, DataError, FileFormatError, MissingExtraError
from .model import Model
from .tensor import Shape

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"  # of weights in several files
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BYTES = {"kind": "bytes", "least": 0, "most": 255}
LARGEST = 4096  # pixels of a side
NAMES = Path(__file__).with_name("imagenet_1k.names")  # see imagenet_1k.txt
# What names and tags of networks for ImageNet's classes have in them: resnet18.a1_in1k, IMAGENET1K_V1.
OF_IMAGENET = re.compile(r"(?i)(?<![a-z0-9])(in1k|imagenet-?1k)")
# What timm's configurations may say of a network that changes none of its numbers outside training.
HARMLESS = {"drop_rate", "drop_path_rate", "img_size", "in_chans", "num_classes"}


class Architecture(NamedTuple):
    """A network as timm or torchvision knows it.

    Attributes:
        make: That of the zoo.
        options: Its own.
        pool: What it makes one of the numbers of all places by, in timm's words.
    """

    make: Callable[..., Model]
    options: dict[str, Any]
    pool: str = "avg"


def _convnext(depths: Sequence[int], widths: Sequence[int]) -> Architecture:
    return Architecture(zoo.convnext_tiny, {"depths": depths, "widths": widths, "patch_size": 4})


def _vit(width: int) -> Architecture:
    return Architecture(zoo.vit_tiny, {"width": width, "heads": width // 64, "patch_size": 16}, "token")


_RESNET18 = Architecture(zoo.resnet18, {"stem": "imagenet"})
_SQUEEZENET = Architecture(zoo.squeezenet, {"stem": "imagenet"})
_TINY, _SMALL = _convnext((3, 3, 9, 3), (96, 192, 384, 768)), _convnext((3, 3, 27, 3), (96, 192, 384, 768))

ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": _RESNET18,
    "squeezenet1_1": _SQUEEZENET,
    **{
        name: Architecture(zoo.mobilenet_v2, {"width": width, "stem": "imagenet"})
        for name, width in {
            "mobilenet_v2": 1.0,
            "mobilenetv2_035": 0.35,
            "mobilenetv2_050": 0.5,
            "mobilenetv2_075": 0.75,
            "mobilenetv2_100": 1.0,
            "mobilenetv2_140": 1.4,
        }.items()
    },
    "convnext_atto": _convnext((2, 2, 6, 2), (40, 80, 160, 320)),
    "convnext_femto": _convnext((2, 2, 6, 2), (48, 96, 192, 384)),
    "convnext_pico": _convnext((2, 2, 6, 2), (64, 128, 256, 512)),
    "convnext_nano": _convnext((2, 2, 8, 2), (80, 160, 320, 640)),
    "convnext_tiny": _TINY,
    "convnext_small": _SMALL,
    "vit_b_16": _vit(768),
    **{
        f"{kind}_{size}_patch16_{pixels}": _vit(width)
        for kind in ("vit", "deit")
        for size, width in {"tiny": 192, "small": 384, "base": 768}.items()
        for pixels in (224, 384)
    },
}


def load(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    input_shape: Shape | None = None,
    cache: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Model:
    """A trained network of the Hugging Face Hub, as a network of the zoo.

        model = cn.hub.load("timm/resnet18.a1_in1k")
        model.classify("photo.jpg")

    The repository holds `config.json`, which says what the network is, as timm writes it or flat, with torchvision's
    words, and `model.safetensors` with its weights; or, of weights in several files, `model.safetensors.index.json`,
    which names them. What was downloaded before is taken from the cache; a download that broke off goes on where it
    was. Nothing is ever unpickled, and all shapes are compared before anything is allocated.

    Args:
        name: Of a repository, "owner/name", a revision behind an "@" if need be; or a folder with the same files.
        revision: A branch, a tag or a commit, so that the weights stay what they are; by default the newest.
        input_shape: One image's, (c, h, w), for images of another size; by default what the configuration says. Of a
            vision transformer the size is part of its weights.
        cache: The folder for downloads; by default that of huggingface_hub (HF_HOME).
        options: `Model`'s: seed, dtype, share_memory.

    Returns:
        The network, with its normalization, and its classes' names where the configuration has them, or where it is of
        ImageNet-1k: a network of 1,000 classes with `in1k` in its name or its tag.

    Raises:
        MissingExtraError: The package huggingface_hub is not installed.
        ArgumentError: A name that can be no repository's.
        DataError: No such repository, revision or file; one without safetensors; or no connection and nothing in the
            cache.
        FileFormatError: A configuration or weights that are damaged, of another kind, or that do not fit together;
            an architecture that the zoo does not have.
        LimitError: More memory or work than there may be.
    """
    weights = _weights(name, revision, cache)
    folder = weights.parent
    config = _config(folder / CONFIG)
    with refusing(f"{folder / CONFIG}: no configuration of timm's or torchvision's"):
        told = dict(config.get("pretrained_cfg") or {}) | {
            key: each for key, each in config.items() if each is not None
        }
        known = _architecture(folder, told)
        classes = arguments.whole("hub.load", "num_classes", told.get("num_classes", 1000), 1)
        shape = _input_shape(told) if input_shape is None else input_shape
        normalization = {key: _numbers(told.get(key, IMAGENET[key]), shape[0]) for key in IMAGENET}
        names = _names(told, classes, os.fspath(name))
    model = known.make(input_shape=shape, classes=classes, weights=weights, **known.options, **options)
    model.normalization, model.classes, model.pixels = normalization, names, dict(BYTES)
    return model


def _weights(name: str | os.PathLike[str], revision: str | None, cache: str | os.PathLike[str] | None) -> Path:
    """Where the weights of a repository lie, or their index, beside the configuration; downloaded if need be."""
    arguments.path("hub.load", "name", name)
    if is_folder(name if isinstance(name, str) else os.fspath(name)):
        folder = Path(name)
        held = sorted(each.name for each in folder.iterdir())
        if CONFIG not in held:
            raise DataError(_lacks(str(folder), CONFIG, held))
        if found := [file for file in (WEIGHTS, INDEX) if file in held]:
            return folder / found[0]
        raise DataError(_lacks(str(folder), WEIGHTS, held))
    repository = os.fspath(name).removeprefix("hf-hub:").removeprefix("hf_hub:")
    repository, _, behind = repository.partition("@")
    return _downloaded(repository, revision or behind or None, cache)


def _downloaded(repository: str, revision: str | None, cache: str | os.PathLike[str] | None) -> Path:
    try:
        from huggingface_hub import HfApi, errors, hf_hub_download
    except ImportError:
        raise MissingExtraError('hub.load needs the package huggingface_hub: pip install "colonnade[hub]".') from None

    where = None if cache is None else os.fspath(cache)
    what = repository if revision is None else f"{repository}, revision {revision}"
    file = CONFIG

    def get(name: str, at: str | None) -> Path:
        nonlocal file
        file = name
        return Path(hf_hub_download(repository, name, revision=at, cache_dir=where, library_name="colonnade"))

    try:
        # All of one commit, whatever is published in between: the cache has a folder for each.
        commit = get(CONFIG, revision).parent.name
        try:
            return get(WEIGHTS, commit)
        except errors.EntryNotFoundError as error:
            try:
                index = get(INDEX, commit)
            except errors.EntryNotFoundError:
                file = WEIGHTS
                raise error from None
        for part in storage.indexed(index):
            get(part, commit)
        return index
    except errors.HFValidationError:
        raise ArgumentError(
            f"hub.load: expected a folder, or a repository's name such as timm/resnet18.a1_in1k, got {repository!r}."
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise DataError(
            f"{what}: {file} is not in the cache, and the Hub can't be reached. Try again with a connection, or name "
            f"a folder that holds {CONFIG} and {WEIGHTS}."
        ) from error
    except errors.EntryNotFoundError:
        held = HfApi().list_repo_files(repository, revision=revision)
        raise DataError(_lacks(what, file, held)) from None
    except errors.GatedRepoError:
        raise DataError(f"{what}: its owner asks for an agreement first: see huggingface.co/{repository}.") from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{what}: the repository has no such revision.") from None
    except errors.RepositoryNotFoundError:
        raise DataError(f"{what}: the Hub has no such repository, or it is private.") from None
    except (OSError, errors.FileMetadataError) as error:
        raise DataError(f"{what}: {file} can't be downloaded ({error}).") from error


def _lacks(what: str, file: str, held: Sequence[str]) -> str:
    pickled = [each for each in held if each.lower().endswith((".bin", ".pth", ".pt", ".ckpt", ".pkl"))]
    found = f"only {', '.join(pickled[:3])}, which is pickled" if pickled and file == WEIGHTS else ", ".join(held[:5])
    why = " Nothing is unpickled: ask its owner for safetensors." if pickled and file == WEIGHTS else ""
    return f"{what}: expected a file {file}, there is {found or 'nothing'}.{why}"


def _config(path: Path) -> Mapping[str, Any]:
    with refusing(f"{path}: no configuration", ours=True):
        config = parse_json(read_bytes(path))
    if not isinstance(config, dict):
        raise FileFormatError(f"{path}: expected an object of JSON.")
    return config


def _architecture(folder: Path, told: Mapping[str, Any]) -> Architecture:
    """The network that a configuration names; what it says of it must be what that of the zoo is.

    Raises:
        FileFormatError: One that the zoo does not have, or with settings that it does not.
    """
    name = str(told.get("architecture") or told.get("arch") or "")
    known = ARCHITECTURES.get(name.partition(".")[0])
    if known is None:
        raise FileFormatError(
            f"{folder}: the architecture {name!r} is not among those of the zoo, {', '.join(ARCHITECTURES)}; one that "
            "PyTorch has made comes over with colonnade.from_torch(module)."
        )
    pool = told.get("global_pool", known.pool)
    changed = [key for key in dict(told.get("model_args") or {}) if key not in HARMLESS]
    if pool != known.pool or changed:
        found = ", ".join([*changed, *([f"global_pool={pool}"] if pool != known.pool else [])])
        raise FileFormatError(
            f"{folder}: {name} differs from the zoo's by {found}; colonnade.from_torch(module) takes it over."
        )
    return known


def _input_shape(told: Mapping[str, Any]) -> Shape:
    shape = told.get("input_size")
    if shape is None:
        size = told.get("crop_size", 224)
        sides = list(size) if isinstance(size, list) else [size]
        shape = [3, sides[0], sides[-1]]
    c, h, w = arguments.wholes("hub.load", "input_size", shape)
    if not (1 <= c <= LARGEST and 1 <= h <= LARGEST and 1 <= w <= LARGEST):
        raise ArgumentError(f"hub.load: input_size must be of 1 to {LARGEST:,}, got {shape}.")
    return c, h, w


def _numbers(values: Any, channels: int) -> list[float]:
    found = [float(value) for value in values]
    return found if len(found) == channels else found[:1] * channels


def _names(told: Mapping[str, Any], classes: int, name: str) -> list[str] | None:
    """The classes' names, as people say them: those that a configuration lists, or ImageNet's where it says so."""
    names = told.get("label_names") or told.get("categories")
    described = told.get("label_descriptions") or {}
    if isinstance(names, dict):  # by number, as text
        names = [names.get(str(number)) for number in range(classes)]
    if isinstance(names, list) and len(names) == classes and None not in names:
        return [str(described.get(each, each)) for each in names]
    tags = (name, *(str(told.get(key, "")) for key in ("tag", "architecture", "weights")))
    return imagenet_names() if classes == 1000 and any(map(OF_IMAGENET.search, tags)) else None


def imagenet_names() -> list[str]:
    """The names of the 1,000 classes of ImageNet-1k, in the order of timm's and torchvision's networks.

    `load` gives them to networks that say they are of it; for weights from elsewhere::

        model = cn.zoo.resnet18(weights="resnet18.safetensors")
        model.classes = cn.hub.imagenet_names()

    The words are WordNet's.
    """
    return NAMES.read_text(encoding="utf-8").splitlines()
