"""A classifier of images that is one of scikit-learn's estimators: in pipelines, searches and cross-validation.

Imported by its name alone, `from colonnade.sklearn import ImageClassifier`; it needs the extra `sklearn`.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import training, zoo
from .data import augmentation
from .data.loader import Augmentation
from .data.pairing import pair
from .errors import ArgumentError, MissingExtraError, ShapeError
from .layers import Dense, ReLU
from .model import Model
from .ops.layout import Array
from .tensor import Parameter, Shape

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import assert_all_finite, check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_array,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise MissingExtraError(
        'colonnade.sklearn needs scikit-learn 1.6 or newer: pip install "colonnade[sklearn]".'
    ) from error

Network = Callable[..., Model]
LEAST_STEPS = 300  # that a training run takes where nobody says how many epochs
HIDDEN = 128  # features of the dense network for rows that are no images
MOST_CHANNELS = 4  # an axis so short may be that of the channels: grey, grey and alpha, RGB, RGB and alpha
SAMPLES_AT_ONCE = 1024  # that sums over all images take in float64 together


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network as one of scikit-learn's classifiers.

    X is any of these, as an array, a list, a data frame or anything with `__array__`; bytes or other real numbers:

    | X | taken as |
    | --- | --- |
    | (n, h, w) | grey images |
    | (n, c, h, w), (n, h, w, c) | images with channels on the axis of at most 4; where both are, `channels` must say |
    | (n, features) | rows of pixels, each reshaped to `image_shape` and then taken as above |

    Without `image_shape`, rows are reshaped to the input of a `model` that has one of that size, else to a square.
    With `model="auto"`, rows too short for an image of 4×4, or no square, are features without places; if they could
    be square colour images, `image_shape` must say.

    Bytes are divided by 255. Then the mean is subtracted and the deviation divided by, of each channel (of each
    feature, without places), as the training images have them. A given Model that has a normalization keeps it.

    Args:
        model: `"auto"` for the standard CNN, or for rows without places two dense layers with a ReLU between; the name
            of a function of `colonnade.zoo`; a function that is called with `input_shape=`, `classes=` and `seed=` and
            returns a Model; or a Model, which is copied: its weights are where training starts. Where it has names of
            classes, labels that are text are paired with them by name.
        epochs: Times that every image is seen; by default 20, or as many more as make 300 steps.
        batch_size: Images in a step.
        optimizer: `"sgd"`, `"adam"`, `"adamw"`, or what takes the parameters and returns an optimizer: a class of
            `colonnade.optimizers`, or one with settings by `functools.partial`. With `lr` it is called with that too.
        lr: The learning rate; by default one that suits the optimizer.
        class_weight: What an image of each class counts in the loss, by class; or `"balanced"` for n / (classes ·
            images of the class).
        image_shape: What each row is reshaped to: (h, w), (c, h, w) or (h, w, c); or `"flat"` for features without
            places.
        channels: `"first"`, `"last"` or `"auto"`: where images of three axes have their channels.
        augmentation: Changes the training images: one of `colonnade.data.augmentation`, or a preset's name there.
        validation_fraction: Share of the images, the same of each class, that is not trained on but evaluated after
            each epoch, in [0, 1): columns `test_loss` and `test_accuracy` of `history_`.
        patience: Stop after so many epochs in a row without a smaller loss on the images held out, and keep the best
            weights.
        random_state: Of the first weights, the order of the images and dropout: a number for the same result every
            time, a `RandomState`, or None.
        verbose: Print a line an epoch.

    Attributes:
        classes_: The labels, sorted, (classes,).
        n_features_in_: Numbers in one image.
        feature_names_in_: The columns of a data frame, (n_features_in_,).
        image_shape_: The shape of one image as `fit` was given it, or as it made it of a row.
        channels_: `"first"` or `"last"`; None without an axis of channels.
        model_: The trained Model, with the classes' names and the normalization: `model_.save("digits.safetensors")`
            makes the file that `cn.load` and the command line read.
        history_: A record an epoch, see :class:`colonnade.training.History`.

    Raises:
        ArgumentError: At `fit`, an argument that breaks its rule, or images whose channels can't be told.
        ShapeError: Rows that do not fit `image_shape`, or images of another shape than those `fit` saw.
        ValueError: What scikit-learn finds wrong with X, y or the weights.
        MissingExtraError: At the import of this module, without scikit-learn.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> ImageClassifier(random_state=0).fit(X, y).predict(X[:3])
        array([0, 1, 2])
    """

    def __init__(
        self,
        model: str | Network | Model = "auto",
        *,
        epochs: int | None = None,
        batch_size: int = 64,
        optimizer: str | Callable[..., training.Learner] = "adamw",
        lr: float | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        image_shape: Sequence[int] | Literal["flat"] | None = None,
        channels: Literal["first", "last", "auto"] = "auto",
        augmentation: str | Augmentation | None = None,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.class_weight = class_weight
        self.image_shape = image_shape
        self.channels = channels
        self.augmentation = augmentation
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> ImageClassifier:  # noqa: N803
        """Train anew.

        Args:
            X: Images, as the class says.
            y: A label for each, (n,): numbers or text.
            sample_weight: What each image counts in the loss and in the normalization, (n,), not negative; those of
                weight 0 are left out. (Batch norm sees the others alike.)
        """
        images = self._validated(X, reset=True)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_consistent_length(images, labels)
        check_classification_targets(labels)
        encoder = LabelEncoder()
        targets = encoder.fit_transform(labels).astype(np.int64)
        weights: Array | None = None
        if sample_weight is not None:
            weights = _sample_weights(sample_weight, len(images))
            seen = weights > 0
            images, targets, weights = images[seen], targets[seen], weights[seen]
        self.classes_ = encoder.classes_
        self.image_shape_ = self._shape_of(images)
        self.channels_ = self._channels()
        x = self._arranged(images)

        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        train, held_out = self._split(targets, random)
        model = self._network(x.shape[1:], seed)
        self._places = self._pair(model)
        places = np.argsort(self._places)
        model.classes = [str(label) for label in self.classes_[places]]
        normalization = model.normalization or _normalization(x[train], None if weights is None else weights[train])
        epochs = self._epochs(len(x[train]))
        self.history_ = training.fit(
            model,
            x[train],
            self._at_their_places(self._weighted(targets, weights, model)[train]),
            epochs=epochs,
            batch_size=self.batch_size,
            optimizer=self._optimizer(model.parameters()),
            validation=(x[held_out], self._places[targets[held_out]]) if self.validation_fraction else None,
            seed=seed,
            normalization=normalization,
            augmentation=self._augmentation(),
            callbacks=self._callbacks(epochs),
            progress=False,
        )
        self.model_ = model
        return self

    def predict(self, X: ArrayLike) -> Array:  # noqa: N803
        """The likeliest label of each image, (n,), of those in `classes_`."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: ArrayLike) -> Array:  # noqa: N803
        """The probability of each label for each image, (n, classes), in the order of `classes_`."""
        check_is_fitted(self)
        images = self._validated(X, reset=False)
        if images.ndim > 2 and images.shape[1:] != self.image_shape_:
            raise ShapeError(
                f"ImageClassifier: expected images of shape {self.image_shape_}, as in fit, got {images.shape[1:]}."
            )
        probabilities: Array = self.model_.predict_proba(self._arranged(images))
        return probabilities[:, self._places]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # From what is given to images

    def _validated(self, X: ArrayLike, reset: bool) -> Array:  # noqa: N803
        """X as an array of finite real numbers, with two axes or more; bytes stay bytes."""
        if not hasattr(X, "shape"):
            X = np.asarray(X)  # noqa: N806
        if len(X.shape) < 3:
            return np.asarray(validate_data(self, X, reset=reset))  # keeps the names of columns
        images = np.asarray(check_array(X, allow_nd=True, estimator=self))
        if reset:
            self.n_features_in_ = math.prod(images.shape[1:])
            if hasattr(self, "feature_names_in_"):  # those of a data frame that came before
                del self.feature_names_in_
        return images

    def _shape_of(self, images: Array) -> Shape:
        """The shape of one image, before its channels are told apart; of a row, what it is reshaped to."""
        given = images.shape[1:]
        if self.image_shape is None:
            return given if len(given) > 1 else self._shape_of_rows(given[0])
        if isinstance(self.image_shape, str):
            if self.image_shape != "flat" or len(given) > 1:
                raise ArgumentError(
                    f"ImageClassifier: image_shape must be sizes, or 'flat' for rows of features, "
                    f"got {self.image_shape!r} and images of shape {given}."
                )
            return given
        shape = tuple(self.image_shape)
        if len(shape) not in (2, 3) or not all(isinstance(size, int | np.integer) and size > 0 for size in shape):
            raise ArgumentError(
                f"ImageClassifier: image_shape must be two or three positive whole numbers, got {self.image_shape!r}."
            )
        if given != shape and given != (math.prod(shape),):
            raise ShapeError(
                f"ImageClassifier: image_shape {shape} asks for {math.prod(shape)} numbers an image, "
                f"got images of shape {given}."
            )
        return shape

    def _shape_of_rows(self, features: int) -> Shape:
        known = self.model.input_shape if isinstance(self.model, Model) else None
        if known is not None and math.prod(known) == features:
            return (*known[1:], known[0]) if self.channels == "last" else known
        automatic = isinstance(self.model, str) and self.model == "auto"
        side = math.isqrt(features)
        if side**2 == features and (side >= 4 or not automatic):
            return side, side
        colour_side = math.isqrt(features // 3)
        if automatic and not (3 * colour_side**2 == features and colour_side >= 4):
            return (features,)
        raise ArgumentError(
            f"ImageClassifier: rows of {features} numbers are no square images of one channel: "
            f"give image_shape, such as (h, w) or (c, h, w), or 'flat'."
        )

    def _channels(self) -> Literal["first", "last"] | None:
        """Which axis of images like `image_shape_` has the channels."""
        if self.channels not in ("first", "last", "auto"):
            raise ArgumentError(f"ImageClassifier: channels must be 'first', 'last' or 'auto', got {self.channels!r}.")
        shape = self.image_shape_
        if len(shape) > 3:
            raise ShapeError(f"ImageClassifier: expected images of two or three axes, got images of shape {shape}.")
        if len(shape) < 3:
            return None
        if self.channels != "auto":
            return self.channels
        if isinstance(self.model, Model) and self.model.input_shape == shape:
            return "first"
        first, last = shape[0] <= MOST_CHANNELS, shape[2] <= MOST_CHANNELS
        if first == last:
            which = "both the first and the last axis are" if first else "neither the first nor the last axis is"
            raise ArgumentError(
                f"ImageClassifier: {which} at most {MOST_CHANNELS}, which the channels are told by, in images of shape "
                f"{shape}: say channels='first' or 'last'."
            )
        return "first" if first else "last"

    def _arranged(self, images: Array) -> Array:
        """Images, or rows, as the model takes them: (n, c, h, w), or (n, features); a view."""
        images = images.reshape(len(images), *self.image_shape_)
        if self.channels_ == "last":
            return images.transpose(0, 3, 1, 2)
        return images[:, np.newaxis] if images.ndim == 3 else images

    # From arguments to a training run

    def _network(self, input_shape: Shape, seed: int) -> Model:
        """A network for these images and classes, built."""
        classes = len(self.classes_)
        if isinstance(self.model, Model):
            model = deepcopy(self.model)
        else:
            make = self.model if callable(self.model) else self._named(flat=len(input_shape) == 1)
            model = make(input_shape=input_shape, classes=classes, seed=seed)
            if not isinstance(model, Model):
                raise ArgumentError(f"ImageClassifier: model must return a Model, got {type(model).__name__}.")
        model.build(input_shape)
        if model.output_shape != (classes,):
            raise ShapeError(
                f"ImageClassifier: model must put out ({classes},), a number for each class, got {model.output_shape}."
            )
        return model

    def _pair(self, model: Model) -> Array:
        """At which output of the model each label is, (classes,): where it names them so, else in their order."""
        labels = self.classes_.tolist()
        text = all(isinstance(label, str) for label in labels)
        known = model.classes if isinstance(self.model, Model) else None
        if known is None or not (text or {str(label) for label in labels} <= set(known)):
            return np.arange(len(labels))
        return pair("ImageClassifier", [str(label) for label in labels], known)

    def _at_their_places(self, targets: Array) -> Array:
        """Class numbers, or rows of a number a class, as the model counts the classes."""
        return self._places[targets] if targets.ndim == 1 else targets[:, np.argsort(self._places)]

    def _named(self, flat: bool) -> Network:
        if self.model == "auto":
            return _dense if flat else zoo.cnn
        known: dict[str, Network] = {
            name: make
            for name, make in inspect.getmembers(zoo, inspect.isfunction)
            if make.__annotations__.get("return") in ("Model", Model) and not name.startswith("_")
        }
        if isinstance(self.model, str) and self.model in known:
            return known[self.model]
        near = difflib.get_close_matches(str(self.model), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected 'auto', {', '.join(known)}, a function or a Model."
        raise ArgumentError(f"ImageClassifier: there is no model {self.model!r}: {hint}")

    def _epochs(self, images: int) -> int:
        """How many there are by default depends on the steps in one."""
        if not isinstance(self.batch_size, int | np.integer) or self.batch_size < 1:
            raise ArgumentError(
                f"ImageClassifier: batch_size must be a positive whole number, got {self.batch_size!r}."
            )
        if self.epochs is not None:
            return self.epochs
        return max(20, math.ceil(LEAST_STEPS / math.ceil(images / self.batch_size)))

    def _optimizer(self, parameters: Iterable[Parameter]) -> training.Learner:
        if callable(self.optimizer):
            return self.optimizer(parameters, **({} if self.lr is None else {"lr": self.lr}))
        return training.optimizer(self.optimizer, parameters, self.lr)

    def _augmentation(self) -> Augmentation | None:
        return augmentation.preset(self.augmentation) if isinstance(self.augmentation, str) else self.augmentation

    def _callbacks(self, epochs: int) -> list[training.Callback]:
        callbacks: list[training.Callback] = [_Lines(epochs)] if self.verbose else []
        if self.patience is not None:
            if not self.validation_fraction:
                raise ArgumentError("ImageClassifier: patience looks at images held out: give a validation_fraction.")
            callbacks.append(training.EarlyStopping("test_loss", self.patience))
        return callbacks

    def _split(self, targets: Array, random: np.random.RandomState) -> tuple[Any, Any]:
        """Places of the images to train on and of those held out, the same share of each class."""
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0 <= fraction < 1:
            raise ArgumentError(f"ImageClassifier: validation_fraction must be in [0, 1), got {fraction!r}.")
        if not fraction:
            return slice(None), slice(0)  # no copy is made
        from sklearn.model_selection import train_test_split

        return tuple(
            train_test_split(np.arange(len(targets)), test_size=fraction, stratify=targets, random_state=random)
        )

    def _weighted(self, targets: Array, weights: Array | None, model: Model) -> Array:
        """Class numbers, (n,); where images count differently, one-hot rows times their weights, (n, classes).

        The mean weight is one. Divided by the number of images, not by the batch's weights: a batch counts by what is
        in it.
        """
        if self.class_weight is not None:
            by_class = compute_sample_weight(self._numbered_class_weight(), targets)
            weights = by_class if weights is None else weights * by_class
        if weights is None or np.ptp(weights) == 0:
            return targets
        distribution = np.zeros((len(targets), len(self.classes_)), model.dtype)
        distribution[np.arange(len(targets)), targets] = weights / weights.mean()
        return distribution

    def _numbered_class_weight(self) -> Any:
        """`class_weight` by class number instead of label."""
        if isinstance(self.class_weight, str):
            return self.class_weight
        if not isinstance(self.class_weight, Mapping):
            raise ArgumentError(
                f"ImageClassifier: class_weight must be a number by label, or 'balanced', got {self.class_weight!r}."
            )
        labels = self.classes_.tolist()
        if unknown := [label for label in self.class_weight if label not in labels]:
            raise ArgumentError(f"ImageClassifier: class_weight names {unknown[0]!r}, which is no label in y.")
        return {number: self.class_weight.get(label, 1.0) for number, label in enumerate(labels)}


class _Lines(training.Callback):
    """Prints a line an epoch, as scikit-learn's own estimators do."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, record: training.EpochRecord) -> None:
        measured = {"train loss": record["train_loss"], "train accuracy": record["train_accuracy"]}
        measured |= {"test loss": record["test_loss"], "test accuracy": record["test_accuracy"]}
        numbers = [f"{name} {value:.4f}" for name, value in measured.items() if value is not None]
        print(f"epoch {record['epoch']}/{self.epochs}: {', '.join(numbers)}")  # noqa: T201


def _dense(input_shape: Shape, classes: int, seed: int) -> Model:
    """Two dense layers with a ReLU between, for features without places."""
    return Model([Dense(input_shape[0], HIDDEN), ReLU(), Dense(HIDDEN, classes)], seed=seed)


def _sample_weights(sample_weight: ArrayLike, images: int) -> Array:
    weights = np.asarray(check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"))
    if weights.shape != (images,):
        raise ShapeError(
            f"ImageClassifier: sample_weight must have a number for each of {images} images, got shape {weights.shape}."
        )
    if weights.min() < 0 or not weights.any():
        raise ArgumentError(
            f"ImageClassifier: sample_weight must not be negative, nor all zero, got {weights.min():g} as the least."
        )
    return weights


def _normalization(x: Array, weights: Array | None) -> dict[str, list[float]]:
    """Weighted mean and standard deviation of each channel, (n, channels, ...); bytes as numbers in [0, 1]."""
    weights = np.ones(len(x)) if weights is None else weights
    pixels_each = math.prod(x.shape[2:])

    def mean_of(function: Callable[[Array], Array]) -> Array:
        total = np.zeros(x.shape[1])
        for start in range(0, len(x), SAMPLES_AT_ONCE):
            chunk = slice(start, start + SAMPLES_AT_ONCE)
            pixels = function(x[chunk].astype(np.float64)).reshape(*x[chunk].shape[:2], pixels_each)
            total += weights[chunk] @ pixels.sum(axis=2)
        return np.asarray(total / (weights.sum() * pixels_each))

    mean = mean_of(lambda pixels: pixels)
    column = mean.reshape(-1, *[1] * (x.ndim - 2))
    std = np.sqrt(mean_of(lambda pixels: (pixels - column) ** 2))
    # What varies by no more than float32 resolves tells nothing; a deviation of 1 leaves it at about zero.
    std = np.where(std > np.finfo(np.float32).eps * np.abs(mean), std, 1)
    unit = 255 if x.dtype == np.uint8 else 1
    return {"mean": (mean / unit).tolist(), "std": (std / unit).tolist()}
