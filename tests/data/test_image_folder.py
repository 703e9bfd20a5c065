"""Photographs in folders: what is taken, in which order, what is broken, what is kept."""

import _thread
import errno
import os
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
from colonnade.data import ImageFolder, Loader
from colonnade.data.images import read_images
from colonnade.errors import ArgumentError, DataError, ShapeError
from tests.interrupting import threads_come_back_to

from .pictures import folder, save


@pytest.fixture
def photographs(tmp_path):
    return folder(tmp_path / "photographs", daisy=4, rose=5, tulip=3)


def shades(images):
    return images[:, 0, 0, 0].tolist()


def pixels(images, workers=None, **options):
    loader = Loader(images, 4, dtype="float32", seed=1, workers=workers, **options)
    return [(batch.x.copy(), batch.targets) for epoch in (1, 2) for batch in loader.epoch(epoch)]


def same(one, other):
    for (x, targets), (other_x, other_targets) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(targets, other_targets)


def truncate(path):
    save(path, 100, (64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


# What is taken


def test_images_are_taken_by_their_positions(photographs):
    images = ImageFolder(photographs, 4)
    assert images.classes == ["daisy", "rose", "tulip"]
    assert images.targets.tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert images.targets.dtype == np.int64
    assert (len(images), images.shape) == (12, (3, 4, 4))
    taken = images.take(np.array([11, 0, 5]))
    assert (taken.shape, taken.dtype) == ((3, 3, 4, 4), np.uint8)
    assert taken.transpose(0, 2, 3, 1).flags.c_contiguous
    assert shades(taken) == [11, 0, 5]
    assert [path.name for path in images.paths[:5]] == ["000.png", "001.png", "002.png", "003.png", "000.png"]


def test_images_are_those_that_predict_would_read(photographs):
    for size, channels, shape in ((4, 3, (3, 4, 4)), ((2, 5), 1, (1, 2, 5))):
        images = ImageFolder(photographs, size, channels=channels)
        assert images.shape == shape
        np.testing.assert_array_equal(images.take(np.arange(12)), read_images(images.paths, shape))


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("jpg", 3), ("jpeg", 3), ("png", 0), ("webp", 6), ("gif", 6), ("bmp", 0)]
)
def test_every_format_is_read_of_any_size(tmp_path, kind, tolerance):
    for number, size in enumerate([(1, 1), (3, 70), (200, 90)]):
        save(tmp_path / "a" / f"{number}.{kind}", 60, size)
        save(tmp_path / "b" / f"{number}.{kind}", 200, size)
    taken = ImageFolder(tmp_path, 8).take(np.arange(6)).astype(int)
    expected = np.array([(60, 195, 7)] * 3 + [(200, 55, 7)] * 3)
    assert np.abs(taken - expected[:, :, None, None]).max() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_colour_or_grey(tmp_path, mode):
    image = Image.fromarray(np.full((9, 7, 3), 128, np.uint8))
    kind = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    deep = Image.fromarray(np.full((9, 7), 128 << 8, np.uint16))
    image = deep if mode == "I;16" else image.convert(mode)
    for name in "ab":
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / f"1.{kind}")
    for channels in (1, 3):
        taken = ImageFolder(tmp_path, 4, channels=channels).take(np.array([0, 1]))
        assert taken.shape == (2, channels, 4, 4)
        if mode != "1":
            assert np.abs(taken.astype(int) - 128).max() <= 3


def test_large_jpeg_unpacked_at_a_fraction_of_its_size_looks_the_same(tmp_path):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    for name in "ab":
        (tmp_path / name).mkdir()
        coarse.resize((480, 360), Image.Resampling.BICUBIC).save(tmp_path / name / "1.jpg", quality=95)
    taken = ImageFolder(tmp_path, 32).take(np.array([0]))[0].transpose(1, 2, 0).astype(int)
    with Image.open(tmp_path / "a" / "1.jpg") as image:
        whole = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(taken - whole).mean() < 1.5


# The order


def test_batches_are_the_same_bits_for_any_number_of_workers_with_and_without_cache(photographs, tmp_path):
    def noise(x, targets, draws):
        return x + draws.normal((3, 4, 4)).astype(x.dtype), targets

    expected = pixels(ImageFolder(photographs, 4), workers=0, augmentation=noise)
    cached = ImageFolder(photographs, 4, cache=tmp_path / "cache")
    for workers in (1, 2, 5):
        same(pixels(ImageFolder(photographs, 4), workers, augmentation=noise), expected)
        same(pixels(cached, workers, augmentation=noise), expected)


def test_images_are_decoded_by_threads_ahead_of_the_caller(photographs, monkeypatch):
    threads = []
    images = ImageFolder(photographs, 4)
    monkeypatch.setattr(
        "colonnade.data.image_folder.decode",
        lambda *arguments: threads.append(threading.get_ident()) or np.zeros((4, 4, 3), np.uint8),
    )
    batches = Loader(images, 3, dtype="float32", workers=2).epoch(1)
    next(batches)
    until = time.monotonic() + 30
    while len(threads) < 9 and time.monotonic() < until:  # the first batch and two ahead
        time.sleep(0.001)
    assert len(threads) >= 9
    assert threading.get_ident() not in threads
    batches.close()


def test_images_are_never_all_in_memory(tmp_path):
    images = ImageFolder(folder(tmp_path / "photographs", a=100, b=100), 64, cache=tmp_path / "cache")
    for source in (images, ImageFolder(tmp_path / "photographs", 64)):
        next(Loader(source, 2, dtype="float32", workers=2).epoch(1))
        tracemalloc.start()
        try:
            count = sum(len(batch.x) for batch in Loader(source, 2, dtype="float32", workers=2).epoch(1))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count == 200
        assert peak < 1.2e6  # all of them are 2.5 MB as bytes, 9.8 MB as float32


# Parts


def test_parts_in_sub_folders_are_loaded_with_the_same_classes(tmp_path):
    folder(tmp_path / "train", daisy=3, rose=2)
    folder(tmp_path / "val", daisy=1, rose=2)
    train, val = ImageFolder.load(tmp_path, 4)
    assert (len(train), len(val)) == (5, 3)
    assert train.classes == val.classes == ["daisy", "rose"]
    assert val.targets.tolist() == [0, 1, 1]


def test_parts_whose_systems_write_names_differently_have_the_same_classes(tmp_path):
    folder(tmp_path / "train", **{"cafe\u0301": 2, "bar": 2})
    folder(tmp_path / "val", **{"café": 1, "bar": 1})
    train, val = ImageFolder.load(tmp_path, 4)
    assert train.classes == val.classes == ["bar", "café"]


def test_class_that_only_one_part_has_is_refused(tmp_path):
    folder(tmp_path / "train", daisy=3, rose=2)
    folder(tmp_path / "val", daisy=1)
    with pytest.raises(DataError, match="val: expected the classes of the training part, 'rose' is missing"):
        ImageFolder.load(tmp_path)
    folder(tmp_path / "val", rose=1, tulip=1)
    with pytest.raises(DataError, match=r"val: .* 'tulip' is none of them"):
        ImageFolder.load(tmp_path)


@pytest.mark.parametrize("cached", [False, True])
def test_split_is_stratified_and_given_by_the_seed(tmp_path, cached):
    path = folder(tmp_path / "photographs", a=2, b=10, c=31)
    images = ImageFolder(path, 4, cache=cached and tmp_path / "cache")
    train, test = images.split(0.2, seed=3)
    assert np.bincount(train.targets).tolist() == [1, 8, 25]
    assert np.bincount(test.targets).tolist() == [1, 2, 6]
    assert sorted(train.paths + test.paths) == images.paths
    for part in (train, test):
        taken = part.take(np.arange(len(part)))
        assert shades(taken) == [images.paths.index(path) for path in part.paths]
    assert images.split(0.2, seed=3)[1].paths == test.paths
    assert images.split(0.2, seed=4)[1].paths != test.paths
    assert [path.name for path in ImageFolder.load(path, 4, seed=3)[1].paths] == [path.name for path in test.paths]


def test_split_never_takes_all_and_refuses_what_can_not_be_split(photographs):
    images = ImageFolder(photographs, 4)
    assert np.bincount(images.split(0.99)[0].targets).tolist() == [1, 1, 1]
    assert np.bincount(images.split(0.01)[1].targets).tolist() == [1, 1, 1]
    for share in (0, 1, -0.5, 2):
        with pytest.raises(ArgumentError, match=f"held_out must be above 0 and below 1, got {share}"):
            images.split(share)
    for number in (1, 2):
        (photographs / "tulip" / f"00{number}.png").unlink()
    with pytest.raises(DataError, match="tulip: expected two images at least, to hold one out, got one"):
        ImageFolder.load(photographs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"held_out": "a"}, "ImageFolder: held_out must be a finite number, got 'a'."),
        ({"held_out": float("nan")}, "ImageFolder: held_out must be a finite number, got nan."),
        ({"seed": "a"}, "ImageFolder: seed must be a whole number, got 'a'."),
        ({"seed": -1}, "ImageFolder: seed must be zero or more, got -1."),
    ],
)
def test_a_split_that_can_not_be_is_refused_in_one_line(photographs, given, message):
    for split in (ImageFolder(photographs, 4).split, lambda **said: ImageFolder.load(photographs, 4, **said)):
        with pytest.raises(ArgumentError, match=f"^{message}$"):
            split(**given)


# Broken images


@pytest.mark.parametrize("cached", [False, True])
def test_broken_image_is_named_when_it_is_its_turn(photographs, tmp_path, cached):
    path = truncate(photographs / "rose" / "002.png")
    if cached:
        for _ in range(2):  # when the cache is made, and when it is there
            with pytest.raises(DataError, match=r"rose/002\.png: the image can't be read"):
                ImageFolder(photographs, 4, cache=tmp_path / "cache")
        return
    images = ImageFolder(photographs, 4)
    images.take(np.arange(6))
    with pytest.raises(DataError, match="the image can't be read") as caught:
        pixels(images)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("cached", [False, True])
def test_broken_images_are_left_out_named_and_counted(photographs, tmp_path, cached):
    broken = [truncate(photographs / "rose" / "002.png"), photographs / "daisy" / "000.png"]
    broken[1].write_text("no image")
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"daisy/000\.png: .* another kind\. So are 1 others: see `broken`"):
            images = ImageFolder(photographs, 4, on_error="skip", cache=cached and tmp_path / "cache")
        assert list(images.broken) == broken[::-1]
        assert "can't be read" in images.broken[broken[0]]
        assert len(images) == 10
        assert shades(images.take(np.arange(10))) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
        assert images.targets.tolist() == [0] * 3 + [1] * 4 + [2] * 3
        assert "10 images" in repr(images)
        assert "2 broken" in repr(images)
        assert not set(broken) & set(images.split()[0].paths + images.split()[1].paths)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("target", ["gone", "itself"])
def test_link_to_nothing_is_a_broken_image(photographs, tmp_path, cached, target):
    link = photographs / "rose" / "002.png"
    link.unlink()
    link.symlink_to(link if target == "itself" else tmp_path / "gone.png")
    cache = cached and tmp_path / "cache"
    for _ in range(2):  # when the cache is made, and when it is there
        with pytest.raises(DataError, match=r"rose/002\.png: a link to a file that is not there\."):
            pixels(ImageFolder(photographs, 4, cache=cache))
        with pytest.warns(UserWarning, match=r"an image is left out\. .*rose/002\.png: a link to a file"):
            images = ImageFolder(photographs, 4, on_error="skip", cache=cache)
        assert list(images.broken) == [link]
        assert shades(images.take(np.arange(11))) == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    link.unlink()
    save(link, 6)
    assert shades(ImageFolder(photographs, 4, on_error="skip", cache=cache).take(np.arange(12))) == list(range(12))


def test_files_of_other_kinds_are_left_out_with_a_word(photographs):
    for name in ("rose/1.heic", "rose/2.HEIC", "tulip/notes.txt", "tulip/.DS_Store"):
        (photographs / name).touch()
    save(photographs / "rose" / "@eaDir" / "000.png" / "SYNOPHOTO_THUMB_M.jpg", 200)
    with pytest.warns(UserWarning, match=r"photographs: left out 3 files: \.heic 2, \.txt 1\.") as said:
        images = ImageFolder(photographs, 4)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert images.left_out == {".heic": 2, ".txt": 1}
    assert "left out 3 files: .heic 2, .txt 1" in repr(images)
    assert shades(images.take(np.arange(12))) == list(range(12))


def test_class_of_which_no_image_can_be_read_is_refused(photographs):
    for number in range(3):
        truncate(photographs / "tulip" / f"00{number}.png")
    with pytest.raises(DataError, match="tulip: none of the images of this class can be read"):
        ImageFolder(photographs, on_error="skip")


def test_image_that_vanished_is_named(photographs):
    images = ImageFolder(photographs, 4)
    images.paths[3].unlink()
    with pytest.raises(DataError, match=r"daisy/003\.png: there is no such file"):
        pixels(images)


# The cache


def entries(path: Path):
    return sorted(path.iterdir())


def test_cache_is_one_file_that_is_read_instead_of_the_images(photographs, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    expected = pixels(ImageFolder(photographs, 4))
    same(pixels(ImageFolder(photographs, 4, cache=cache)), expected)
    (file,) = entries(cache)
    monkeypatch.setattr("colonnade.data.image_folder.decode", None)  # must not be called
    images = ImageFolder(photographs, 4, cache=cache)
    same(pixels(images), expected)
    assert entries(cache) == [file]
    taken = images.take(np.array([2]))
    taken[:] = 99  # the caller's own
    assert shades(images.take(np.array([2]))) == [2]


def test_cache_loads_with_the_plain_safetensors_package(photographs, tmp_path):
    from safetensors.numpy import load_file

    truncate(photographs / "rose" / "002.png")
    with pytest.warns(UserWarning, match="left out"):
        ImageFolder(photographs, (4, 5), on_error="skip", cache=tmp_path / "cache")
    held = load_file(entries(tmp_path / "cache")[0])
    assert held["images"].shape == (12, 4, 5, 3)
    assert np.flatnonzero(held["broken"]).tolist() == [6]
    assert held["images"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 7, 8, 9, 10, 11]


def test_cache_lies_in_the_users_folder_unless_told(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("COLONNADE_CACHE", str(tmp_path / "users"))
    ImageFolder(photographs, 4)
    assert not (tmp_path / "users").exists()
    ImageFolder(photographs, 4, cache=True)
    assert len(entries(tmp_path / "users")) == 1
    ImageFolder(photographs, 4, cache=tmp_path / "other")
    assert len(entries(tmp_path / "other")) == 1


def test_every_folder_and_shape_has_a_cache_of_its_own(photographs, tmp_path):
    cache = tmp_path / "cache"
    other = folder(tmp_path / "other" / "photographs", a=2, b=2)
    for path, options in (
        (photographs, {}),
        (photographs, {"channels": 1}),
        (photographs, {"size": (4, 5)}),
        (other, {}),
    ):
        ImageFolder(path, **{"size": 4, "cache": cache, **options})
    assert len(entries(cache)) == 4


@pytest.mark.parametrize("name", ["ä" * 120, os.fsdecode(b"caf\xe9")])
def test_a_folder_of_any_name_has_a_cache(tmp_path, name):
    path = folder(tmp_path / name, a=2, b=2)
    ImageFolder(path, 4, cache=tmp_path / "cache")
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.parametrize("change", ["content", "time", "new", "gone", "renamed"])
def test_cache_is_made_again_when_a_file_changes(photographs, tmp_path, change):
    cache = tmp_path / "cache"
    before = ImageFolder(photographs, 4, cache=cache)
    written = entries(cache)[0].stat().st_ino
    path = photographs / "rose" / "001.png"
    if change == "content":
        save(path, 77, (40, 40))
    elif change == "time":
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif change == "new":
        save(photographs / "rose" / "0005.png", 79)
    elif change == "gone":
        path.unlink()
    else:
        path.rename(photographs / "rose" / "009.png")
    images = ImageFolder(photographs, 4, cache=cache)
    np.testing.assert_array_equal(
        images.take(np.arange(len(images))), ImageFolder(photographs, 4).take(np.arange(len(images)))
    )
    assert len(entries(cache)) == 1
    assert entries(cache)[0].stat().st_ino != written
    assert shades(before.take(np.arange(12))) == list(range(12))  # the old file, for as long as it is mapped


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"", lambda c: c[:30], lambda c: b"x" * len(c)])
def test_cache_that_is_not_whole_is_made_again(photographs, tmp_path, damage):
    ImageFolder(photographs, 4, cache=tmp_path / "cache")
    (file,) = entries(tmp_path / "cache")
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(damage(whole))
    assert shades(ImageFolder(photographs, 4, cache=tmp_path / "cache").take(np.arange(12))) == list(range(12))
    assert file.read_bytes() == whole


def test_image_that_could_not_be_read_then_but_can_now_is_not_left_out(photographs, tmp_path, monkeypatch):
    from colonnade.data import image_folder

    def fails(path, *arguments):
        if path.name == "004.png":
            raise DataError(f"{path}: the disk was asleep.")
        return decode(path, *arguments)

    decode = image_folder.decode
    monkeypatch.setattr(image_folder, "decode", fails)
    with pytest.warns(UserWarning, match="asleep"):
        assert len(ImageFolder(photographs, 4, on_error="skip", cache=tmp_path / "cache")) == 11
    monkeypatch.undo()
    images = ImageFolder(photographs, 4, on_error="skip", cache=tmp_path / "cache")
    assert shades(images.take(np.arange(12))) == list(range(12))


@pytest.mark.parametrize("failing", ["while it is written", "at the last moment"])
def test_full_disk_leaves_the_old_cache_whole_and_is_one_line(photographs, tmp_path, monkeypatch, failing):
    resource = pytest.importorskip("resource", reason="the size of files can't be limited here")
    cache = tmp_path / "cache"
    ImageFolder(photographs, cache=cache)
    (file,) = entries(cache)
    whole = file.read_bytes()
    save(photographs / "rose" / "001.png", 77, (40, 40))
    before = _thread._count()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if failing == "while it is written":
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, limits[1]))
    else:

        def sync(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("colonnade.storage.os.fsync", sync)
    try:
        reason = "File too large" if failing == "while it is written" else "No space left on device"
        with pytest.raises(DataError, match=rf"can't be written \({reason}\); make room, .*cache=False") as caught:
            ImageFolder(photographs, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert threads_come_back_to(before)
    assert entries(cache) == [file]
    assert file.read_bytes() == whole
    assert shades(ImageFolder(photographs, cache=cache).take(np.array([5]))) == [77]


def test_cache_folder_that_can_not_be_made_is_one_line(photographs, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"can't be written \(Not a directory\)"):
        ImageFolder(photographs, 4, cache=tmp_path / "file" / "cache")


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be positive, got 0"),
        ({"size": (4, -1)}, "size must be"),
        ({"size": 2.5}, "size must be"),
        ({"size": (4, 4, 3)}, "size must be"),
        ({"size": "64"}, "size must be .* got '64'"),
        ({"channels": 4}, "channels must be 1 or 3, got 4"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', got 'ignore'"),
        ({"size": True}, "size must be a whole number or a pair of them, got True"),
        ({"channels": []}, r"channels must be a whole number, got \[\]"),
        ({"cache": 3}, "cache must be a path, got 3"),
        ({"classes": "ab"}, "classes must be a list of names, got 'ab'"),
    ],
)
def test_wrong_arguments_are_refused(photographs, options, message):
    with pytest.raises(ArgumentError, match=message):
        ImageFolder(photographs, **options)


def test_load_of_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: expected a folder of images, got nothing"):
        ImageFolder.load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="got a file"):
        ImageFolder.load(tmp_path / "file")


def test_images_of_other_channels_than_the_models_are_refused(photographs):
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU(), cn.Flatten(), cn.Dense(8, 3)], seed=0)
    batch = next(Loader(ImageFolder(photographs, 4), 4, dtype="float32").epoch(1))
    with pytest.raises(ShapeError, match=r"expected 1 input channel.* got .*3, 4, 4"):
        model(batch.x)
    model.build(ImageFolder(photographs, 4, channels=1).shape)
    with pytest.raises(ShapeError, match=r"expected 1 input channel.* got .*3, 4, 4"):
        model(batch.x)


# Real photographs


@pytest.fixture
def flowers():
    path = Path(os.environ.get("COLONNADE_DATA", "."), "flowers")
    if not path.is_dir():
        pytest.skip("COLONNADE_DATA names no folder that holds flowers")
    return path


def test_real_photographs_are_read(flowers):
    train, val = ImageFolder.load(flowers)
    assert (len(train), len(val), len(train.classes)) == (600, 150, 5)
    taken = train.take(np.arange(0, 600, 60))
    assert taken.std(axis=(1, 2, 3)).min() > 10
    np.testing.assert_array_equal(taken, read_images([train.paths[n] for n in range(0, 600, 60)], (3, 64, 64)))
