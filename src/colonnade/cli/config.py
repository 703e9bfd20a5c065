"""The settings of a run: the command line before a file, the file before what suits the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from .. import claims, runs
from ..compiled import wanted
from ..documents import is_folder, parse_toml, read_bytes
from ..errors import ArgumentError, DataError, FileFormatError
from ..limits import BYTES, amount
from ..training.callbacks import Callback, Run

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
AUTO = "auto"
LEAST_SIDE = 16  # that the networks for photographs take
# What a run that is resumed may have otherwise: how it runs, and where. Data that moved are told by what they hold.
FREE = {"out", "data", "data_dir", "threads", "compiled", "workers", "memory", "max_time"}
# What counts only where the whole network learns.
OF_EPOCHS = (
    *("steps", "optimizer", "lr", "schedule", "augmentation", "average", "label_smoothing", "clip", "accumulate"),
    *("patience", "max_time", "memory", "find_lr"),
)


@dataclass(frozen=True)
class Settings:
    """The options of `colonnade train`, all of them decided; None stands for what is not asked for."""

    data: str
    data_dir: str | None
    model: str
    epochs: int
    steps: int | None
    batch_size: int
    optimizer: str
    lr: float
    schedule: str
    augmentation: str
    average: float
    label_smoothing: float
    mirrored: bool
    clip: float | None
    accumulate: int
    patience: int | None
    max_time: float | None
    memory: float | None
    seed: int
    threads: int | None
    compiled: bool
    workers: int | None
    size: int | None
    on_error: str
    out: str


# What a file may hold: numbers with a unit may be text there, too.
KINDS: dict[str, tuple[type, ...]] = {
    field.name: {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}[
        str(field.type).removesuffix(" | None")
    ]
    for field in fields(Settings)
} | {"max_time": (int, float, str), "memory": (int, float, str)}
SAID = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def decide(given: Mapping[str, Any], file: Path | None, resume: bool = False, overwrite: bool = False) -> Settings:
    """The settings of a run.

    Args:
        given: What the command line said, by the names of its options; None where one was left out.
        file: Of `--config`. A resumed run takes the one that it wrote itself, where there is one.
        resume: Whether to go on with a run: where none is named, the last that these options have made.
        overwrite: Whether a run may be replaced; else one that names no folder gets one of its own.

    Raises:
        ArgumentError: A key that is no option, a value of another kind, or of a resumed run another than it had.
        FileFormatError: A file that is no TOML.
        OSError: No such file.
    """
    said = {name: value for name, value in given.items() if name in KINDS and value is not None}
    said |= {name: str(value) for name, value in said.items() if isinstance(value, Path)}
    read = {} if file is None else load(file)
    if resume and file is None:
        folder = Path(_decided(said, {})["out"])
        folder = folder if "out" in said else runs.last(folder)
        read = load(folder / runs.CONFIG) if (folder / runs.CONFIG).exists() else {}
        read.pop("max_time", None)  # is that of a call, not of the run
        said["out"] = str(folder)
        if read:
            with claims.held(folder):  # of a run that is still under way, that is the first thing to say
                pass
            _require_as_begun(folder, _decided(said, read), _decided({"out": str(folder)}, read), said)
    settings = _decided(said, read)
    if not (resume or overwrite or "out" in said):
        settings["out"] = str(runs.free(Path(settings["out"])))
    return Settings(**settings)


def _require_as_begun(folder: Path, now: Mapping[str, Any], before: Mapping[str, Any], said: Iterable[str]) -> None:
    """Have a run go on with the options that it began with; those that nobody named only follow from others."""
    free = FREE | ({"epochs", "steps"} if before["schedule"] == "constant" else set())
    changed = [name for name in said if name not in free and now[name] != before[name]]
    if changed:
        found = "; ".join(f"{name} was {before[name]}, is now {now[name]}" for name in changed)
        raise ArgumentError(
            f"{folder}: a run goes on as it began: {found}. Leave that out, or begin another run, with another --out."
        )


def require_epochs(settings: Settings, given: Mapping[str, Any]) -> None:
    """Refuse what is of epochs where there are none, since a new head alone is trained.

    Args:
        settings: The options.
        given: What the command line said.

    Raises:
        ArgumentError: A network that is not trained yet, an option that would have no effect, or a run to resume.
    """
    from .networks import is_pretrained

    if settings.epochs:
        return
    if not is_pretrained(settings.model):
        raise ArgumentError("--epochs 0 is for a network that is trained already, --model: a new head alone learns.")
    if given["resume"]:
        raise ArgumentError(f"{settings.out}: a new head alone was trained, and nothing is left to resume.")
    without = [f"--{name.replace('_', '-')}" for name in OF_EPOCHS if given[name] not in (None, False)]
    if without:
        raise ArgumentError(
            f"{', '.join(without)}: a new head alone learns, in no epoch of the whole network; say --epochs 10, too."
        )


def _decided(said: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, Any]:
    from ..data.augmentation import mirrors, preset
    from ..training import OPTIMIZERS, Recipe, recipe
    from ..training.recipes import PHOTOGRAPH
    from ..tuning import fine_tuning
    from .networks import called, is_pretrained

    chosen = dict(read) | dict(said)
    data = chosen.get("data", "digits")
    # A run that says all has its size, too, were it that of before photographs were looked at.
    seen = Seen(0, None, 3) if chosen.keys() >= set(Recipe._fields) else _look(data, chosen)
    side = seen.size or PHOTOGRAPH[1]
    suited = recipe(data, seen.images, (seen.channels, side, side))
    if is_pretrained(chosen.get("model", AUTO)):
        suited = fine_tuning(seen.images, mirrored=suited.mirrored)
        seen = seen._replace(size=chosen.get("size"))  # the network's own, unless one is said
    settings: dict[str, Any] = dict.fromkeys(KINDS) | {"data": data, "seed": 0, "accumulate": 1, "on_error": "raise"}
    settings["size"] = seen.size
    settings |= suited._asdict()
    if chosen.get("model") == AUTO:
        del chosen["model"]
    optimizer = chosen.get("optimizer", suited.optimizer)
    if optimizer != suited.optimizer and optimizer in OPTIMIZERS:
        settings["lr"] = OPTIMIZERS[optimizer][1]["lr"]
    settings |= chosen
    if settings["mirrored"] is None:
        settings["mirrored"] = mirrors(preset(settings["augmentation"]))
    # Either way has bits of its own, so a run that is resumed goes on as it began.
    settings["compiled"] = wanted(settings["compiled"], "float32")
    settings["out"] = settings["out"] or str(Path("runs", f"{Path(data).resolve().name}-{called(settings['model'])}"))
    settings["memory"] = amount("--memory", settings["memory"], BYTES)
    settings["max_time"] = _seconds(settings["max_time"])
    return settings


def _seconds(value: float | str | None) -> float | None:
    """A time in seconds: a number, alone or with a unit, or several such, as in 1h30m."""
    several = re.findall(r"\d+[hms]", value) if isinstance(value, str) else []
    if isinstance(value, str) and len(several) > 1 and "".join(several) == value.replace(" ", ""):
        return sum(amount("--max-time", each, SECONDS) or 0 for each in several)
    return amount("--max-time", value, SECONDS)


class Seen(NamedTuple):
    """What is known of a folder of photographs.

    Attributes:
        images: How many there are to learn from.
        size: Pixels of a side to which they are brought; None for what all have of which nothing else is known.
        channels: 3, or 1 where they are grey.
    """

    images: int
    size: int | None
    channels: int


def _look(data: str, chosen: Mapping[str, Any]) -> Seen:
    """Photographs that are small, and many, are left as small as they are."""
    from ..data import NAMES
    from ..data.datasets import find
    from ..data.look import look
    from ..training.recipes import MANY, SMALL

    try:
        found = None if data in NAMES else look(find(data, chosen.get("data_dir")))
    except DataError:  # is said when the data are loaded
        found = None
    if found is None:
        return Seen(0, chosen.get("size"), 3)
    own = max(found.side, LEAST_SIDE) if found.side <= SMALL and found.images >= MANY else None
    return Seen(found.images, chosen.get("size", own), 1 if found.grey else 3)


def load(file: Path) -> dict[str, Any]:
    """The options in a TOML file. Paths in it are relative to the folder that it lies in.

    Raises:
        ArgumentError: A key that is no option, or a value of another kind.
        FileFormatError: A file that is no TOML.
        OSError: No such file.
    """
    from ..data import NAMES

    content = read_bytes(file)
    try:
        read = parse_toml(content)
    except FileFormatError as error:
        raise FileFormatError(f"{file}: {error}") from None
    read.pop(runs.RAN, None)
    for name, value in read.items():
        if name not in KINDS:
            import difflib

            near = difflib.get_close_matches(name, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected some of {', '.join(KINDS)}."
            raise ArgumentError(f"{file}: there is no option {name!r}: {hint}")
        if not isinstance(value, KINDS[name]) or isinstance(value, bool) != (bool in KINDS[name]):
            raise ArgumentError(f"{file}: {name} must be {SAID[KINDS[name][-1]]}, got {value!r}.")
        if isinstance(value, str) and "\0" in value:
            raise ArgumentError(f"{file}: {name} must be text without zero characters, got {value!r}.")
    for name in ("data", "data_dir", "out"):
        # A folder may stand beside the file, or wherever data sets lie.
        if name in read and (name != "data" or (read[name] not in NAMES and is_folder(file.parent / read[name]))):
            read[name] = str(file.parent / read[name])
    return read


def ran(file: Path) -> dict[str, Any]:
    """What a run has written of how it went; nothing where there is no such file, or none that says so."""
    found = parse_toml(read_bytes(file)).get(runs.RAN) if file.exists() else None
    return found if isinstance(found, dict) else {}


def text(settings: Settings, ran: Mapping[str, Any]) -> str:
    """The settings as a TOML file that lies in their `out` folder, and how the run went: its threads, its time."""
    import tomli_w

    options = {name: value for name, value in asdict(settings).items() if value is not None}
    for name in ("data", "data_dir"):
        if name in options and is_folder(options[name]):
            options[name] = str(Path(options[name]).resolve())
    return tomli_w.dumps(options | {"out": ".", runs.RAN: dict(ran)})


class WriteConfig(Callback):
    """Leaves the options of a run in its folder, once they are known to be right.

    Args:
        settings: The options.
        resume: Whether the folder holds the run that goes on.
        overwrite: Whether it may hold another.
    """

    def __init__(self, settings: Settings, resume: bool, overwrite: bool) -> None:
        self._settings = settings
        self._resume, self._overwrite = resume, overwrite

    def on_train_begin(self, run: Run) -> None:
        """Write them."""
        self.write(run.accumulate)  # a budget of memory may have asked for more

    def write(self, accumulate: int) -> None:
        """Write them, with the parts that a step is computed in."""
        from .. import storage
        from ..workers import get_threads

        settings = replace(self._settings, accumulate=accumulate)
        if not (self._resume or self._overwrite):  # another run may have come and gone since
            runs.require_free(Path(settings.out))
        path = Path(settings.out, runs.CONFIG)
        went = (ran(path) if self._resume else {}) | {"threads": get_threads()}
        if settings.steps is not None and settings.max_time is not None:
            # The steps say it all: whoever repeats the run elsewhere gets the same, however long it takes there.
            settings, went = replace(settings, max_time=None), went | {"max_time": settings.max_time}
        storage.replace(path, text(settings, went).encode())
