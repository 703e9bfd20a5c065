"""Which images a folder holds, and of which classes."""

import os
from pathlib import Path

import pytest

from colonnade.data.folders import parts, scan
from colonnade.errors import DataError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_classes_are_the_sub_folders_and_their_images_come_in_order(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/10.JPEG", "a/z.png", "a/deep/er/y.webp", "b/x.gif", "b/w.bmp", "a/notes.txt")
    touch(tmp_path, ".git/c.png", "b/.hidden.png", "b/.thumbs/t.png", "stray.png")
    found = scan(tmp_path)
    assert found.classes == ["a", "b"]
    assert [str(path.relative_to(tmp_path)) for path in found.paths] == [
        str(Path(name)) for name in ("a/deep/er/y.webp", "a/z.png", "b/10.JPEG", "b/2.jpg", "b/w.bmp", "b/x.gif")
    ]
    assert found.targets == [0, 0, 1, 1, 1, 1]


def test_classes_that_are_given_keep_their_order(tmp_path):
    touch(tmp_path, "b/1.png", "a/2.png")
    found = scan(tmp_path, ["b", "a"])
    assert found.classes == ["b", "a"]
    assert [path.name for path in found.paths] == ["1.png", "2.png"]


def test_one_class_that_is_asked_for_is_enough(tmp_path):
    assert scan(touch(tmp_path, "b/1.png"), ["b"]).targets == [0]


def refused(folder, message, classes=None):
    with pytest.raises(DataError, match=message) as caught:
        scan(folder, classes)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_what_is_no_folder_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "expected a folder of images, got nothing")
    refused(touch(tmp_path, "file") / "file", "got a file")


def test_empty_folder_is_refused(tmp_path):
    refused(tmp_path, "a sub-folder for each class, got an empty one")
    refused(touch(tmp_path, "1.png", "2.jpg"), "got 2 images that lie in none")


def test_folder_with_one_class_is_refused(tmp_path):
    refused(touch(tmp_path, "only/1.png"), "at least two classes, a sub-folder each, got one: 'only'")


def test_class_without_images_is_refused(tmp_path):
    refused(touch(tmp_path, "a/1.png", "b/notes.txt"), r"b: expected images \(\.jpg, .*\) of this class, got none")


@pytest.mark.parametrize(
    ("first", "second"),
    [("rose.jpg", "rose.png"), ("rose.jpg", "Rose.jpg"), ("rose.jpg", "ROSE.JPG"), ("é.png", "É.png")],
)
def test_two_files_of_one_name_are_refused(tmp_path, first, second):
    touch(tmp_path, f"a/{first}", f"a/{second}", "b/1.png")
    if len(list((tmp_path / "a").iterdir())) == 1:
        pytest.skip("this disk does not tell upper from lower case")
    refused(
        tmp_path, rf"names that differ in more than case and kind, got a.{min(first, second)}, a.{max(first, second)}\."
    )


def test_two_classes_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "rose/1.png", "Rose/2.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this disk does not tell upper from lower case")
    refused(tmp_path, "got Rose, rose")


def test_names_with_points_in_them_are_no_duplicates(tmp_path):
    touch(tmp_path, "v1.0/a.1.png", "v1.0/a.2.png", "v1.0/a.png", "v1.1/a.1.png", "v1.0/deep/a.png")
    assert len(scan(tmp_path).paths) == 5


def test_classes_of_another_part_are_missing_or_too_many(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png")
    refused(tmp_path, "expected the classes of the training part, 'c' is missing", ["a", "b", "c"])
    refused(tmp_path, "'b' is none of them", ["a"])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not hold for this user")
def test_folder_that_can_not_be_opened_is_not_taken_for_an_empty_one(tmp_path):
    touch(tmp_path, "a/1.png", "a/deep/2.png", "b/1.png")
    (tmp_path / "a" / "deep").chmod(0)
    try:
        with pytest.raises(PermissionError):
            scan(tmp_path)
    finally:
        (tmp_path / "a" / "deep").chmod(0o700)


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("held_out", ["val", "valid", "validation", "test", "Testing"])
def test_parts_are_found_by_their_names(tmp_path, train, held_out):
    touch(tmp_path, f"{train}/a/1.png", f"{held_out}/a/1.png")
    assert parts(tmp_path) == (tmp_path / train, tmp_path / held_out)


def test_validation_comes_before_test_and_training_alone_is_split(tmp_path):
    touch(tmp_path, "train/a/1.png")
    assert parts(tmp_path) == (tmp_path / "train", None)
    touch(tmp_path, "test/a/1.png", "val/a/1.png")
    assert parts(tmp_path) == (tmp_path / "train", tmp_path / "val")


def test_folder_without_parts_is_itself(tmp_path):
    assert parts(touch(tmp_path, "a/1.png", "b/1.png", "val/1.png")) == (tmp_path, None)
