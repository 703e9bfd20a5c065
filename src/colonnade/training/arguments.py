"""What `fit` and `evaluate` are given, held to the rules before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..data.batches import Batches
from ..data.dataset import Dataset
from ..data.examples import Arrays
from ..data.pairing import class_names, listed, paired
from ..data.parallel import Parallel
from ..data.pixels import Scale, unit
from ..data.stream import Stream
from ..errors import ArgumentError, DivergenceError, ShapeError
from ..losses import CrossEntropyLoss, Loss
from ..ops.layout import Array
from ..optimizers import AdamW
from ..schedules import ReduceLROnPlateau, Schedule
from . import recipes
from .callbacks import Callback
from .joint import JointLoss, joined
from .layout import require_shape
from .protocols import Criterion, Inputs, Learner, Objective, Targets, Trainable, Weights, ends, of_batch

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..data.loader import Augmentation

T = TypeVar("T")


def is_examples(x: Any) -> TypeGuard[Examples]:
    """Whether x has images and targets of its own, and hands them out as they are asked for."""
    return all(hasattr(x, name) for name in ("take", "targets", "shape", "__len__"))


def images(who: str, x: ArrayLike | Examples) -> Examples:
    """Images, whatever their targets.

    Raises:
        ArgumentError: No images.
    """
    if not is_examples(x):
        return Arrays(_array(who, x))
    if not len(x):
        raise ArgumentError(f"{who}: expected at least one image, got none.")
    return x


def by_names(who: str, what: str, names: Sequence[str], given: Any) -> tuple[Any, ...]:
    """What is given for each of these names: a dict by them, or a tuple or list in their order; one alone as it is.

    In a dict a tuple of names stands for what belongs to all of them.

    Raises:
        ArgumentError: A name that is missing or unknown, or another number.
    """
    if isinstance(given, Mapping):
        given = {joined(name) if isinstance(name, tuple) else name: each for name, each in given.items()}
        if missing := [name for name in names if name not in given]:
            raise ArgumentError(f"{who}: expected {what} for {', '.join(names)}, got none for {', '.join(missing)}.")
        if unknown := [str(name) for name in given if name not in names]:
            raise ArgumentError(
                f"{who}: expected {what} for {', '.join(names)}, got one for {listed(unknown)} as well."
            )
        return tuple(given[name] for name in names)
    if len(names) == 1:
        return (given,)
    if not isinstance(given, tuple | list) or len(given) != len(names):
        got = f"{len(given)} in a {type(given).__name__}" if isinstance(given, tuple | list) else type(given).__name__
        raise ArgumentError(
            f"{who}: expected {what} for each of {', '.join(names)}, in a tuple or a dict by name, got {got}."
        )
    return tuple(given)


def given(
    who: str,
    model: Trainable,
    x: Any,
    y: Any,
    loss: Criterion,
    classes: Sequence[str] | None = None,
    learns: bool = False,
) -> Examples | Parallel:
    """What a model is trained or tested on; where it has one input and one output, paired by the classes' names.

    Args:
        who: For messages.
        model: Says what its inputs and outputs are.
        x: As `fit` takes it.
        y: Likewise. Of several outputs there are targets of each loss, but where it takes none.
        loss: Says which outputs are compared together.
        classes: The names of the model's classes, if they have any.
        learns: Whether it may learn names.

    Raises:
        ArgumentError: No images, no targets, or targets twice; an input or output for which there is nothing.
        ShapeError: Targets of another number.
    """
    inputs, outputs = ends(model)
    if len(inputs) == len(outputs) == 1:
        found = examples(who, x, y)
        if y is not None and classes is None and not learns and (names := class_names(found)):
            raise ArgumentError(
                f"{who}: y holds names, {listed(names)}, and the model's classes have none: set model.classes."
            )
        return paired(who, found, classes)
    if isinstance(x, Parallel) and y is None:
        return x
    arrays = _of_inputs(who, inputs, x)
    if isinstance(loss, JointLoss):
        outputs = loss.names
        if y is None and not any(takes_targets(each) for each in loss.losses):
            y = dict.fromkeys(outputs)
    if y is None:
        raise ArgumentError(f"{who}: expected targets y for {', '.join(outputs)}, got none.")
    count = len(next(iter(arrays.values())))
    targets: dict[str, Array] = {}
    for name, each in zip(outputs, by_names(who, "targets", outputs, y), strict=True):
        targets[name] = np.empty((count, 0)) if each is None else arguments.array(who, f"y of {name!r}", each)
        if not targets[name].ndim or len(targets[name]) != count:
            raise ShapeError(
                f"{who}: expected a target of {name!r} for each of {count} examples, got {targets[name].shape}."
            )
    return Parallel(arrays, targets)


def asked(who: str, model: Trainable, x: Any) -> Examples | Parallel:
    """What a model is asked with, whatever the targets.

    Raises:
        ArgumentError: No images, or an input for which there are none.
        ShapeError: Images that do not fit the model.
    """
    inputs, outputs = ends(model)
    if len(inputs) == len(outputs) == 1:
        plain = images(who, x)
        if getattr(model, "input_axes", (0,)) == (0,):
            require_shape(who, model, len(plain), plain.shape)
        return plain
    found = Parallel(_of_inputs(who, inputs, x), {})
    if model.input_shape != found.shape:
        model.build(found.shape)
    return found


def _of_inputs(who: str, inputs: Sequence[str], x: Any) -> dict[str, Array]:
    """The array of each input, all of one length."""
    if is_examples(x) or isinstance(x, Stream):
        raise ArgumentError(
            f"{who}: expected arrays x and y for a model of several inputs or outputs, got {type(x).__name__}."
        )
    arrays = {
        name: _array(who, each, "x" if len(inputs) == 1 else f"x of {name!r}")
        for name, each in zip(inputs, by_names(who, "arrays", inputs, x), strict=True)
    }
    if len({len(each) for each in arrays.values()}) > 1:
        sizes = ", ".join(f"{len(each)} of {name!r}" for name, each in arrays.items())
        raise ShapeError(f"{who}: expected as many examples of each input, got {sizes}.")
    for name, each in arrays.items():
        if each.ndim < 2 or each.dtype.kind not in "buif":
            raise ShapeError(
                f"{who}: expected real numbers (n, ...) of {name!r}, got {each.dtype} of shape {each.shape}."
            )
    return arrays


def examples(who: str, x: ArrayLike | Examples, y: ArrayLike | None) -> Examples:
    """Images and a target for each; labels that are text become numbers, with the names for classes.

    Raises:
        ArgumentError: No images, no targets, or targets twice.
        ShapeError: Targets of another number.
    """
    if is_examples(x):
        if y is not None:
            raise ArgumentError(f"{who}: {type(x).__name__} has targets of its own, expected no y.")
        return images(who, x)
    array = _array(who, x)
    if y is None:
        raise ArgumentError(f"{who}: expected targets y, or x with targets of its own, got {type(x).__name__}.")
    names, targets = _text(y)
    if names is None:
        targets = arguments.array(who, "y", y)
    if not targets.ndim or len(array) != len(targets):
        raise ShapeError(f"{who}: expected a target for each of {len(array)} images, got y of shape {targets.shape}.")
    return Arrays(array, targets, names)


def _text(y: Any) -> tuple[list[str] | None, Array]:
    """The names that labels are, sorted, and the number of each label; no names of labels that are no text."""
    labels = np.empty(0)
    with suppress(ValueError, TypeError):  # rows of different lengths
        labels = np.asarray(y)
    texts: list[Any] = labels.ravel().tolist() if labels.dtype.kind in "OUT" else []
    if not texts or not all(isinstance(text, str) for text in texts):
        return None, labels
    names: list[str] = sorted(set(texts))
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[text] for text in texts], np.int64).reshape(labels.shape)


def _array(who: str, x: Any, name: str = "x") -> Array:
    if isinstance(x, Dataset):
        raise ArgumentError(f"{who}: expected one part of a data set, its train or its test, got {x!r}.")
    array = arguments.array(who, name, x)
    if not array.ndim or not len(array):
        raise ArgumentError(f"{who}: expected at least one image, got {name} of shape {array.shape}.")
    return array


def held_out(
    validation: tuple[Inputs, Targets] | Examples,
    model: Trainable,
    train: Examples | Parallel | Stream,
    loss: Criterion,
    classes: Sequence[str] | None,
    scale: Scale,
) -> Examples | Parallel:
    """The validation part, held to all that `evaluate` will ask of it: an epoch is a dear way to find out.

    Raises:
        ArgumentError: Neither a pair nor examples, no images, targets that are no class of the model, or pixels that
            can't be like those in training.
        ShapeError: Images of another shape than in training.
        DivergenceError: An array of images with NaN or infinity.
    """
    who = "fit: validation"
    if is_examples(validation):
        found = paired(who, images(who, validation), classes)
    elif isinstance(validation, tuple | list) and len(validation) == 2:
        found = given(who, model, *validation, loss, classes)
    else:
        raise ArgumentError(f"{who}: expected a pair (x, y), got {type(validation).__name__}.")
    if isinstance(train, Parallel) and not isinstance(found, Parallel):
        raise ArgumentError(f"{who}: expected a pair (x, y), got {type(validation).__name__}.")
    if tuple(found.shape) != tuple(train.shape):
        raise ShapeError(
            f"{who}: expected images of shape {tuple(train.shape)}, as in training, got {tuple(found.shape)}."
        )
    if isinstance(found, Arrays) and found.in_memory:
        try:
            Batches(found.x, model.dtype).require_finite()
        except DivergenceError as error:
            raise DivergenceError(f"{who}: {error}") from None
        unit(who, scale.known, found.x)
    elif isinstance(found, Parallel):
        for name, array in found.x.items():
            try:
                Batches(array, model.dtype).require_finite()
            except DivergenceError as error:
                raise DivergenceError(f"{who}: input {name!r}: {error}") from None
        if len(found.x) == 1:
            unit(who, scale.known, array)
    require_fit(who, model, found, loss)
    return found


def criterion(who: str, loss: str | Criterion | None, outputs: int = 1) -> Criterion:
    """The loss that is meant, of so many outputs: by name, a function of outputs and targets, or `CrossEntropyLoss()`.

    Raises:
        ArgumentError: Another name, or what can't be called; a class is none yet. A loss of another number of outputs,
            one that leaves its values as they are, or one whose images are not along the first axis.
    """
    if loss is None:
        loss = CrossEntropyLoss()
    if isinstance(loss, str):
        loss = _named(who, recipes.loss, loss)
    if isinstance(loss, type) or not callable(loss):
        raise _wrong(who, "loss", "a name or a loss", loss)
    if isinstance(loss, Loss):
        name = type(loss).__name__
        if len(loss.inputs) != outputs:
            reads = f"{len(loss.inputs)} outputs ({', '.join(loss.inputs)})" if len(loss.inputs) > 1 else "one output"
            raise ArgumentError(f"{who}: {name} reads {reads}, got {outputs}.")
        if loss.reduction == "none":
            raise ArgumentError(f"{who}: {name} must be one number, expected reduction='mean' or 'sum', got 'none'.")
        if loss.batch_axis != 0:
            raise ArgumentError(f"{who}: a model puts out the batch as first axis, expected {name}(batch_first=True).")
    return loss


def objective(who: str, model: Trainable, loss: Objective, weights: Weights = None) -> Criterion:
    """The loss of a model: of several outputs the weighted sum of losses.

    There is a loss of each output, or one for all of them; in a dict a tuple of names stands for a loss that reads
    these outputs together, and a loss of several outputs that stands alone reads all.

    Raises:
        ArgumentError: Another name, what can't be called, weights that are no numbers from 0 on or all 0, weights of
            one output, or an output that has no loss or weight.
    """
    outputs = ends(model)[1]
    if len(outputs) == 1:
        if weights is not None:
            raise ArgumentError(f"{who}: loss_weights are of a model of several outputs, this one has one.")
        return criterion(who, loss)  # type: ignore[arg-type]  # of a tuple it says that it is none
    if isinstance(loss, JointLoss) and weights is None and loss.outputs == outputs:
        return loss
    reads, each = _read(who, outputs, loss)
    names = tuple(map(joined, reads))
    given = (1.0,) * len(names) if weights is None else by_names(who, "a weight", names, weights)
    shares = [arguments.number(who, f"loss_weights of {name!r}", w, 0) for name, w in zip(names, given, strict=True)]
    if not any(shares):
        raise ArgumentError(f"{who}: loss_weights must not all be 0, got {arguments.shown(weights)}.")
    losses = [criterion(who, one, len(read)) for read, one in zip(reads, each, strict=True)]
    return JointLoss(outputs, losses, [float(share) for share in shares], reads)


def _read(who: str, outputs: tuple[str, ...], loss: Any) -> tuple[list[tuple[str, ...]], Sequence[Any]]:
    """The outputs that each loss reads, and the losses, as they were given."""
    apart: list[tuple[str, ...]] = [(name,) for name in outputs]
    if isinstance(loss, Mapping) and any(isinstance(name, tuple) for name in loss):
        reads = [name if isinstance(name, tuple) else (name,) for name in loss]
        by_names(who, "a loss", outputs, {name: None for read in reads for name in read})
        return reads, list(loss.values())
    if isinstance(loss, Mapping | tuple | list):
        return apart, by_names(who, "a loss", outputs, loss)
    if isinstance(loss, str):
        loss = _named(who, recipes.loss, loss)
    if isinstance(loss, Loss) and len(loss.inputs) > 1:
        return [outputs], [loss]
    return apart, (loss,) * len(outputs)


def takes_targets(loss: Criterion) -> bool:
    """Whether a loss may want targets; of a function nobody knows."""
    return not isinstance(loss, Loss) or loss.takes_targets


def learner(who: str, optimizer: str | Learner | None, model: Trainable) -> Learner:
    """The optimizer that is meant: by name, one of this model's parameters, or AdamW.

    Raises:
        ArgumentError: Another name, what is no optimizer, one whose steps need a closure, or one of another model's
            parameters.
    """
    if optimizer is None:
        return AdamW(model.parameters(), lr=1e-3)
    if isinstance(optimizer, str):
        return _named(who, recipes.optimizer, optimizer, model.parameters())
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in ("step", "lr", "state_dict")):
        raise _wrong(who, "optimizer", "a name or an optimizer", optimizer)
    if getattr(optimizer, "needs_closure", False):
        raise ArgumentError(
            f"{who}: {type(optimizer).__name__} asks for the loss several times a step, which fit has once: "
            "call optimizer.step(closure) by hand."
        )
    require_own(model, optimizer)
    return optimizer


def scheduler(
    schedule: str | Schedule | ReduceLROnPlateau | Callable[[Any, int], Any] | None, optimizer: Learner, steps: int
) -> Schedule | ReduceLROnPlateau | None:
    """The schedule that is meant: by name, one that is made, or what a function of optimizer and steps makes.

    Raises:
        ArgumentError: Another name, or what is no schedule.
    """
    if isinstance(schedule, str):
        schedule = _named("fit", recipes.schedule, schedule)
    if schedule is None or isinstance(schedule, Schedule | ReduceLROnPlateau):
        return schedule
    if isinstance(schedule, type) or not callable(schedule):
        raise _wrong("fit", "schedule", "a name, a schedule, or a function of an optimizer and its steps", schedule)
    made = schedule(optimizer, steps)
    if not isinstance(made, Schedule | ReduceLROnPlateau):
        raise _wrong("fit", "schedule", "a function that makes a schedule", made)
    return made


def listeners(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks as a list.

    Raises:
        ArgumentError: No list, or something in it that is told of nothing.
    """
    if not arguments.is_sequence(callbacks):
        raise _wrong("fit", "callbacks", "a list of callbacks", callbacks)
    told = [name for name in vars(Callback) if name.startswith("on_")]
    for each in callbacks:
        if isinstance(each, type) or not any(hasattr(each, name) for name in told):
            raise _wrong("fit", "callbacks", "callbacks, which have methods such as on_epoch_end", each)
    return list(callbacks)


def augmenter(who: str, augmentation: str | Augmentation | None) -> Augmentation | None:
    """The augmentation that is meant: a preset by name, or one that is made.

    Raises:
        ArgumentError: Another name.
    """
    if not isinstance(augmentation, str):
        return augmentation
    from ..data.augmentation import preset

    return _named(who, preset, augmentation)


def _named(who: str, make: Callable[..., T], *given: Any) -> T:
    """What a name stands for; errors say whose argument it was."""
    try:
        return make(*given)
    except ArgumentError as error:
        raise ArgumentError(f"{who}: {error}") from None


def _wrong(who: str, name: str, rule: str, value: Any) -> ArgumentError:
    return ArgumentError(f"{who}: {name} must be {rule}, got {arguments.shown(value)}{arguments.hint(value)}.")


def require_fit(who: str, model: Trainable, given: Examples | Parallel | Stream, loss: Criterion) -> None:
    """Have the images fit the model, and all targets the loss, not only those of the first batch; one must count.

    Of a loss of another kind nothing is known but what it does when called, of a stream's targets nothing at all.

    Raises:
        ArgumentError: Targets that are no class of the model, or none that counts.
        ShapeError: Images or targets that do not fit.
    """
    shape = tuple(given.shape)
    if isinstance(given, Parallel | Stream):
        if model.input_shape != shape:
            model.build(shape)
    else:
        require_shape(who, model, len(given), shape)
    if model.output_shape is None or isinstance(given, Stream):
        return
    if isinstance(loss, JointLoss):
        targets = given.targets if isinstance(given.targets, tuple) else (given.targets,)
        for name, *each in zip(loss.names, loss.losses, loss.read(model.output_shape), targets, strict=True):
            _require_targets(f"{who}: output {name!r}", len(given), *each)
    else:
        _require_targets(who, len(given), loss, model.output_shape, given.targets)


def _require_targets(who: str, images: int, loss: Criterion, shape: Any, given: Any) -> None:
    """Have all targets of an output fit its loss."""
    if not isinstance(loss, Loss):
        return
    outputs, targets = of_batch(images, shape), np.asarray(given)
    try:
        loss.check(outputs, targets)
        loss.check_meaning(outputs, targets)
    except ArgumentError as error:
        raise type(error)(f"{who}: {error}") from None
    if not loss.count(outputs, targets):
        raise ArgumentError(f"{who}: a mean needs a target that counts, got none in {targets.size}.")


def require_own(model: Trainable, optimizer: Learner) -> None:
    """Have an optimizer learn this model's parameters, some of them at least, and no others.

    Raises:
        ArgumentError: It learns those of another model.
    """
    learned: Sequence[Any] = getattr(optimizer, "parameters", [])
    own = set(map(id, model.parameters()))
    if strange := [parameter for parameter in learned if id(parameter) not in own]:
        raise ArgumentError(
            f"fit: the optimizer must learn this model's parameters, got {len(strange)} of another model, "
            f"such as {strange[0].name or 'one without a name'!r} of shape {strange[0].shape}."
        )
