"""What every augmentation promises: an image's own numbers, kept types and memory order, a configuration."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from colonnade.data import augmentation
from colonnade.data.augmentation import (
    PRESETS,
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    MixUp,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    from_config,
    preset,
)
from colonnade.data.draws import Draws
from colonnade.errors import ArgumentError, ShapeError

PAGE = Path(__file__).parents[2] / "docs" / "augmentation.md"

SINGLE = [  # of which an image's company changes nothing
    RandomHorizontalFlip(),
    RandomVerticalFlip(0.3),
    RandomCrop(padding=3),
    RandomCrop((20, 24), padding=(1, 2, 3, 4), fill=0.5),
    RandomCrop(padding=4, padding_mode="reflect"),
    RandomCrop((50, 60), pad_if_needed=True),
    RandomResizedCrop(),
    RandomResizedCrop((16, 20)),
    RandomResizedCrop(40, interpolation="nearest"),
    RandomResizedCrop((9, 70), scale=(0.5, 0.9), antialias=False),
    RandomRotation(30),
    RandomRotation((10, 200), "bilinear", fill=0.25, center=(3, 5)),
    RandomAffine(20, translate=(0.2, 0.1), scale=(0.7, 1.4), shear=(-10, 10, -5, 5)),
    RandomAffine(0, shear=15, interpolation="bilinear", fill=1),
    ColorJitter(brightness=0.4, contrast=(0.5, 1.5), saturation=0.6),
    RandomErasing(),
    RandomErasing(p=1, value="random"),
    Cutout(9),
    RandAugment(),
    RandAugment(num_ops=4, magnitude=20, interpolation="bilinear", fill=0.5),
    Compose([RandomCrop(padding=2), Compose([RandomHorizontalFlip()]), RandomRotation(5), RandomErasing()]),
    Compose([]),
]
HUE = ColorJitter(0.1, 0.1, 0.1, 0.1)
MIXING = [MixUp(0.4, 10), CutMix(classes=10)]
CONFIGURED = [*SINGLE, HUE, *MIXING]


def batch(images=5, channels=3, height=30, width=34, dtype=np.float32):
    """Images as a training batch lies in memory, which nothing may write to, and their classes."""
    pixels = np.random.default_rng(7).integers(0, 256, (images, height, width, channels))
    x = (pixels / 255).astype(dtype)
    targets = np.arange(images) % 10
    x.flags.writeable = targets.flags.writeable = False
    return x.transpose(0, 3, 1, 2), targets


def draws(images, seed=1, epoch=2, first=100):
    return Draws(seed, epoch, np.arange(first, first + images))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", [*SINGLE, HUE], ids=repr)
def test_an_image_alone_comes_out_as_in_a_batch_bit_for_bit(augment, channels):
    x, targets = batch(images=45, channels=channels, height=60)  # several tiles
    together, _ = augment(x, targets, draws(45))
    for image in (0, 17, 44):
        alone, target = augment(x[image : image + 1], targets[image : image + 1], draws(1, first=100 + image))
        np.testing.assert_array_equal(alone[0], together[image])
        assert target.tolist() == [targets[image]]
    other_way, _ = augment(x[::-1], targets[::-1], Draws(1, 2, np.arange(100, 145)[::-1]))
    np.testing.assert_array_equal(other_way[::-1], together)


@pytest.mark.parametrize("augment", [each for each in CONFIGURED if repr(each) != "Compose(transforms=[])"], ids=repr)
def test_seed_epoch_and_position_each_change_what_happens(augment):
    x, targets = batch(images=8)
    first, again = augment(x, targets, draws(8))[0], augment(x, targets, draws(8))[0]
    np.testing.assert_array_equal(first, again)
    for changed in (draws(8, seed=2), draws(8, epoch=3), draws(8, first=50)):
        assert not np.array_equal(augment(x, targets, changed)[0], first)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("augment", [*SINGLE, *MIXING], ids=repr)
def test_type_range_and_memory_order_are_kept(augment, channels, dtype):
    x, targets = batch(channels=channels, dtype=dtype)
    y, _ = augment(x, targets, draws(5))
    assert y.dtype == dtype
    assert y.shape[:2] == (5, channels)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert y.min() >= -1e-6
    assert y.max() <= 1 + 1e-6


@pytest.mark.parametrize("augment", CONFIGURED, ids=repr)
def test_images_that_lie_otherwise_in_memory_come_out_the_same(augment):
    x, targets = batch()
    y, labels = augment(x, targets, draws(5))
    others, other_labels = augment(np.ascontiguousarray(x), targets, draws(5))
    np.testing.assert_array_equal(others, y)
    np.testing.assert_array_equal(other_labels, labels)


@pytest.mark.parametrize("augment", [*SINGLE, HUE], ids=repr)
def test_targets_of_any_kind_are_left_alone(augment):
    x, _ = batch()
    for targets in (np.arange(5), np.random.default_rng(0).random((5, 10))):
        assert augment(x, targets, draws(5))[1] is targets


@pytest.mark.parametrize("augment", SINGLE, ids=repr)
def test_targets_of_pixels_move_with_the_pixels(augment):
    """Places, told by numbers of their own in the image and in the targets, are the same in both afterwards."""
    x, _ = batch()
    classes = np.arange(x[:, 0].size).reshape(x[:, 0].shape)
    y, moved = augment(x, classes, draws(5))
    np.testing.assert_array_equal(y, augment(x, np.arange(5), draws(5))[0])
    assert moved.shape == (5, *y.shape[2:])
    if not any(each.moves for each in flat(augment)):
        assert moved is classes
        return
    here, inside = moved, moved >= 0
    assert set(np.unique(here[~inside])) <= {-100}
    image = np.broadcast_to(np.arange(5)[:, None, None], here.shape)
    np.testing.assert_array_equal(here[inside] // (classes[0].size), image[inside])  # of its own image
    plain = not any(
        isinstance(each, RandAugment | RandomErasing | RandomResizedCrop)
        or getattr(each, "interpolation", "") == "bilinear"
        for each in flat(augment)
    )
    if plain:  # the image's pixels go from place to place as they are
        expected = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])[here[inside]]
        np.testing.assert_array_equal(y.transpose(0, 2, 3, 1)[inside], expected)
    both, in_two = augment(x, np.stack([classes, classes], axis=1), draws(5))
    np.testing.assert_array_equal(both, y)
    np.testing.assert_array_equal(in_two, np.stack([moved, moved], axis=1))


def flat(augment):
    """The augmentations that one is put together from."""
    return [part for each in augment.transforms for part in flat(each)] if isinstance(augment, Compose) else [augment]


def test_classes_go_where_a_smooth_image_goes():
    """The class is that of a pixel no further than those that the image is made of."""
    x = np.stack([np.linspace(0, 1, 40)[:, None] * np.ones((40, 30)), np.ones((40, 30))])
    x, classes = np.stack([x] * 5), np.broadcast_to(np.arange(40)[:, None], (5, 40, 30)) + 7
    for augment in (
        RandomAffine(0, translate=(0, 0.2), scale=(0.8, 1.5), interpolation="bilinear"),
        RandomResizedCrop(antialias=False),
        RandomRotation(20, "bilinear"),
    ):
        y, moved = augment(x, classes, draws(5))
        whole = y[:, 1] > 1 - 1e-9  # of pixels that are all inside
        assert whole.mean() > 0.5
        assert np.abs(39 * y[:, 0] + 7 - moved)[whole].max() <= 1


def test_images_as_targets_change_as_the_images_do():
    x, _ = batch()
    for augment in (RandomHorizontalFlip(), RandomAffine(20, scale=(0.7, 1.4), interpolation="bilinear", fill=0.5)):
        y, moved = augment(x, x.astype(np.float64), draws(5))
        assert moved.dtype == np.float64
        np.testing.assert_array_equal(moved, y)
        depth = augment(x, x[:, 0], draws(5))[1]
        np.testing.assert_array_equal(depth, y[:, 0])


@pytest.mark.parametrize("augment", CONFIGURED, ids=repr)
def test_configuration_makes_the_augmentation_again(augment):
    again = from_config(json.loads(json.dumps(augment.config())))
    assert repr(again) == repr(augment)
    x, targets = batch()
    for one, other in zip(augment(x, targets, draws(5)), again(x, targets, draws(5)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("augment", CONFIGURED, ids=repr)
def test_repr_makes_the_augmentation_again(augment):
    assert repr(eval(repr(augment), vars(augmentation))) == repr(augment)  # our own text


def test_configuration_holds_what_toml_and_json_know():
    made = Compose([RandomCrop((8, 9), padding=(1, 2)), RandomErasing(value="random"), RandomRotation(5)])
    assert made.config() == {
        "type": "Compose",
        "transforms": [
            {"type": "RandomCrop", "size": [8, 9], "padding": [1, 2], "pad_if_needed": False, "fill": 0.0,
             "padding_mode": "constant"},
            {"type": "RandomErasing", "p": 0.5, "scale": [0.02, 0.33], "ratio": [0.3, 3.3], "value": "random"},
            {"type": "RandomRotation", "degrees": [-5.0, 5.0], "interpolation": "nearest", "fill": 0.0},
        ],
    }  # fmt: skip


def test_configuration_names_known_classes_alone():
    with pytest.raises(ArgumentError, match=re.escape("There is no augmentation 'RandomCorp': did you mean 'RandomCr")):
        from_config({"type": "RandomCorp"})
    for name in ("Augmentation", "from_config", "__import__", "os.system"):
        with pytest.raises(ArgumentError, match=f"There is no augmentation '{name}'"):
            from_config({"type": name})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "expected a table with the entry 'type', got []"),
        ({"size": 3}, "expected a table with the entry 'type', got {'size': 3}"),
        ({"type": 3}, "expected a table with the entry 'type'"),
        ({"type": "RandomCrop", "padding": -1}, "RandomCrop: padding must be zero or more, got -1."),
        ({"type": "RandomCrop", "colour": 1}, "RandomCrop: got an unexpected keyword argument 'colour'."),
        ({"type": "Cutout"}, "Cutout: missing 1 required positional argument: 'size'."),
        ({"type": "Compose"}, "Compose: expected a list of 'transforms' and nothing else."),
        ({"type": "Compose", "transforms": [], "p": 1}, "Compose: expected a list of 'transforms' and nothing else."),
        ({"type": "Compose", "transforms": [{"type": "Compose", "transforms": [1]}]}, "expected a table"),
    ],
)
def test_a_broken_configuration_is_refused(config, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        from_config(config)


def test_a_configuration_nested_too_deep_is_refused():
    config = {"type": "Compose", "transforms": []}
    for _ in range(40):
        config = {"type": "Compose", "transforms": [config]}
    with pytest.raises(ArgumentError, match="nested more than 32 deep"):
        from_config(config)


def test_own_classes_may_be_used_and_named():
    class Darker(augmentation.Augmentation):
        def __init__(self, factor=0.5):
            self.factor = factor

        def images(self, x, draws):
            return x * x.dtype.type(self.factor)

    made = from_config(Compose([Darker(0.25)]).config(), custom=[Darker])
    x, targets = batch()
    np.testing.assert_array_equal(made(x, targets, draws(5))[0], x * np.float32(0.25))

    class Nothing(augmentation.Augmentation):
        def images(self, x, draws):
            return x

    assert repr(Nothing()) == "Nothing()"


def test_compose_applies_one_after_the_other():
    x, targets = batch()
    crop, brighter = RandomCrop(padding=5), ColorJitter(brightness=(0.5, 0.5))
    numbers = draws(5)
    step, _ = crop(x, targets, numbers)
    np.testing.assert_array_equal(
        Compose([crop, brighter])(x, targets, draws(5))[0], brighter(step, targets, numbers)[0]
    )


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48), (2, 5, 7)])
def test_presets_take_images_of_any_size(name, shape):
    x, targets = batch(4, *shape)
    y, labels = preset(name)(x, targets, draws(4))
    assert y.shape == x.shape
    assert labels is targets
    assert (name == "none") == np.array_equal(x, y)
    assert repr(from_config(preset(name).config())) == repr(preset(name))


def test_an_unknown_preset_is_refused():
    with pytest.raises(ArgumentError, match="There is no augmentation 'photograph': did you mean 'photographs'"):
        preset("photograph")
    with pytest.raises(
        ArgumentError, match=r"expected one of none, flip, light, characters, objects, photographs, strong\."
    ):
        preset("xyz")


@pytest.mark.parametrize("augment", [*SINGLE[:-1], *MIXING], ids=repr)
def test_what_is_no_batch_of_floating_point_images_is_refused(augment):
    x, targets = batch()
    name = type(augment.transforms[0] if isinstance(augment, Compose) else augment).__name__
    with pytest.raises(ShapeError, match=rf"{name}: expected images of shape \(n, c, h, w\), got shape \(3, 30, 34\)."):
        augment(x[0], targets, draws(5))
    with pytest.raises(ArgumentError, match=f"{name}: expected floating point pixels in .0, 1., got uint8."):
        augment((x * 255).astype(np.uint8), targets, draws(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p must lie between 0 and 1, got 1.5."),
        (lambda: RandomVerticalFlip("x"), "RandomVerticalFlip: p must be a finite number, got 'x'."),
        (lambda: RandomHorizontalFlip(float("nan")), "RandomHorizontalFlip: p must be a finite number, got nan."),
        (lambda: RandomCrop(0), "RandomCrop: size must be positive, got 0."),
        (lambda: RandomCrop(2.5), "RandomCrop: size must be a whole number or a pair of them, got 2.5."),
        (lambda: RandomCrop((1, 2, 3)), "RandomCrop: size must be a whole number or a pair of them, got (1, 2, 3)."),
        (lambda: RandomCrop(padding=(1, 2, 3)), "RandomCrop: padding must be one, two or four whole numbers, got (1"),
        (lambda: RandomCrop(padding=-1), "RandomCrop: padding must be zero or more, got -1."),
        (lambda: RandomCrop(fill="red"), "RandomCrop: fill must be a finite number, got 'red'."),
        (lambda: RandomCrop(padding_mode="wrap"), "padding_mode must be one of constant, edge, reflect, symm"),
        (lambda: RandomResizedCrop(scale=(0, 1)), "RandomResizedCrop: scale must be positive, got (0, 1)."),
        (lambda: RandomResizedCrop(scale=(0.5, 2)), "RandomResizedCrop: scale must lie between 0 and 1, got 2."),
        (lambda: RandomResizedCrop(scale=0.5), "RandomResizedCrop: scale must be two numbers, from and to, got 0.5."),
        (lambda: RandomResizedCrop(ratio=(2, 1)), "ratio must go from the smaller to the greater number, got (2, 1)."),
        (lambda: RandomResizedCrop(interpolation="cubic"), "interpolation must be 'nearest' or 'bilinear', got 'cubic"),
        (lambda: RandomRotation(-5), "RandomRotation: degrees must be zero or more, got -5."),
        (lambda: RandomRotation((5, -5)), "degrees must go from the smaller to the greater number, got (5, -5)."),
        (lambda: RandomRotation(5, center=3), "RandomRotation: center must be two numbers, column and row, got 3."),
        (lambda: RandomAffine(5, translate=0.1), "RandomAffine: translate must be two numbers, across and down, got 0"),
        (lambda: RandomAffine(5, translate=(0.1, 2)), "RandomAffine: translate must lie between 0 and 1, got 2."),
        (lambda: RandomAffine(5, scale=(0, 1)), "RandomAffine: scale must be positive, got (0, 1)."),
        (lambda: RandomAffine(5, scale=0), "RandomAffine: scale must be two numbers, from and to, got 0."),
        (lambda: RandomAffine(5, shear=90), "RandomAffine: shear must lie between 0 and 89.9, got 90."),
        (lambda: RandomAffine(5, shear=(0, 1, 2)), "RandomAffine: shear must be two numbers, from and to, got (0, 1,"),
        (lambda: ColorJitter(brightness=-1), "ColorJitter: brightness must be zero or more, got -1."),
        (lambda: ColorJitter(contrast=(-1, 1)), "ColorJitter: contrast must be zero or more, got -1."),
        (lambda: ColorJitter(saturation="much"), "ColorJitter: saturation must be a finite number, got 'm"),
        (lambda: ColorJitter(hue=0.6), "ColorJitter: hue must lie between 0 and 0.5, got 0.6."),
        (lambda: RandomErasing(2), "RandomErasing: p must lie between 0 and 1, got 2."),
        (lambda: RandomErasing(scale=(0.1, 1.1)), "RandomErasing: scale must lie between 0 and 1, got 1.1."),
        (lambda: RandomErasing(value="noise"), "RandomErasing: value must be a finite number, got 'noise'."),
        (lambda: Cutout(0), "Cutout: size must be positive, got 0."),
        (lambda: MixUp(0), "MixUp: alpha must be positive, got 0."),
        (lambda: CutMix(classes=0), "CutMix: classes must be positive, got 0."),
        (lambda: RandAugment(-1), "RandAugment: num_ops must be zero or more, got -1."),
        (lambda: RandAugment(magnitude=31), "RandAugment: magnitude must be under 31, got 31."),
        (lambda: RandAugment(num_magnitude_bins=1), "RandAugment: num_magnitude_bins must be at least 2, got 1."),
        (lambda: Compose([abs]), "Compose: expected augmentations, got <built-in function abs>."),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (RandomCrop(40), "RandomCrop: the window 40×40 is larger than the images 30×34, padding included."),
        (RandomCrop(padding=1, fill=(0, 0.5)), "RandomCrop: expected a fill value for each of 3 channels, got 2."),
        (RandomErasing(value=(0, 1)), "RandomErasing: expected a fill value for each of 3 channels, got 2."),
        (RandomRotation(9, fill=(0,) * 4), "RandomRotation: expected a fill value for each of 3 channels, got 4."),
    ],
)
def test_images_that_do_not_fit_are_refused(augment, message):
    x, targets = batch()
    with pytest.raises(ShapeError, match=re.escape(message)):
        augment(x, targets, draws(5))


@pytest.mark.parametrize("channels", [2, 4])
def test_a_hue_needs_one_or_three_channels(channels):
    x, targets = batch(channels=channels)
    with pytest.raises(ShapeError, match=f"ColorJitter: a hue needs images of 1 or 3 channels, got {channels}."):
        HUE(x, targets, draws(5))


def test_the_page_shows_every_augmentation_and_its_code_runs():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in [*augmentation.__all__, *PRESETS] if name != "PRESETS" and f"`{name}" not in page] == [
        "Augmentation",
        "from_config",
    ]
    drawn = (PAGE.parents[1] / "scripts" / "draw_augmentation.py").read_text(encoding="utf-8")
    assert [name for name in augmentation.presets.KNOWN if f"{name}(" not in drawn] == []
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)  # our own page


def test_what_mirrors_is_known():
    mirrors = augmentation.mirrors
    assert {name for name in augmentation.PRESETS if mirrors(augmentation.preset(name))} == {
        *("flip", "light", "objects", "photographs", "strong")
    }
    assert mirrors(augmentation.Compose([augmentation.Compose([augmentation.RandomHorizontalFlip(0.1)])]))
    assert not mirrors(augmentation.RandomHorizontalFlip(0))
    assert not mirrors(augmentation.RandomVerticalFlip())
