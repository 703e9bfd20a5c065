"""Which images a folder holds, and of which classes."""

import os
from pathlib import Path

import pytest

from colonnade.data.folders import divided, listed, parts, scan
from colonnade.data.images import SUFFIXES
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
    refused(touch(tmp_path, "a/1.png", "b/deep/notes.txt"), r"b: expected images \(\.jpg, .*\) of this class, got none")
    touch(tmp_path, "b/1.heic", "b/2.HEIC")
    refused(tmp_path, r"of this class, got none, but 3 files: \.heic 2, \.txt 1\.")


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


def test_classes_that_are_called_like_parts_are_classes(tmp_path):
    vehicles = touch(tmp_path / "vehicles", "car/1.png", "bus/deep/1.png", "train/1.png")
    assert parts(vehicles) == (vehicles, None)
    assert scan(vehicles).classes == ["bus", "car", "train"]
    dogs = touch(tmp_path / "dogs", "test/deep/1.png", "val/1.png", "a/1.png")
    assert divided(dogs) == {}


def test_what_may_be_a_part_or_a_class_is_refused(tmp_path):
    touch(tmp_path, "car/1.png", "train/steam/1.png", "train/diesel/1.png")
    with pytest.raises(DataError, match=r"got 'car', like a class, beside .*train, like a part: name the part itself"):
        parts(tmp_path)


def test_other_folders_beside_parts_are_none(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "docs/deep/1.txt", "more/c/1.png")
    assert parts(tmp_path) == (tmp_path / "train", None)
    touch(tmp_path, "unlabelled/1.png", "val/a/1.png")
    assert parts(tmp_path) == (tmp_path / "train", tmp_path / "val")


@pytest.mark.parametrize("train", ["train/1.png", "train/a/1.png"])
def test_parts_without_classes_are_parts_and_not_classes(tmp_path, train):
    touch(tmp_path, train, "test/1.png", "test/2.png")
    assert parts(tmp_path) == (tmp_path / "train", tmp_path / "test")
    refused(tmp_path / "test", "got 2 images that lie in none")


def test_all_parts_are_found_and_those_held_out_alone_are_nothing_to_learn_from(tmp_path):
    touch(tmp_path, "val/a/1.png", "Test/a/1.png", ".git/a/1.png")
    assert divided(tmp_path) == {"test": tmp_path / "Test", "val": tmp_path / "val"}
    with pytest.raises(DataError, match=r"a part to learn from \(train or training\), got test, val"):
        parts(tmp_path)


# What systems and programs leave


SYSTEM = [
    *("@eaDir", "@EADIR", "__MACOSX", ".hidden", ".git", ".Trash-1000", ".Spotlight-V100", ".thumbnails", ".@__thumb"),
    *("$RECYCLE.BIN", "System Volume Information", "RECYCLER", "#recycle", "#snapshot", "@Recycle", "lost+found"),
    *("Thumbs", "thumbnails", "Network Trash Folder", "Temporary Items", "~snapshot", ".ipynb_checkpoints"),
]


@pytest.mark.parametrize("name", SYSTEM)
def test_what_lies_in_a_systems_folder_is_no_image_wherever_it_is(tmp_path, name):
    touch(tmp_path, "a/1.png", "a/deep/2.png", "b/3.png")
    before = scan(tmp_path)
    for place in (name, f"a/{name}", f"a/deep/{name}", f"b/{name}/1.jpg"):
        touch(tmp_path, f"{place}/SYNOPHOTO_THUMB_M.jpg", f"{place}/deep/4.png")
    assert scan(tmp_path) == before
    assert parts(tmp_path) == (tmp_path, None)
    touch(tmp_path / "whole", "train/a/1.png", "val/a/1.png", f"{name}/a/1.png")
    assert parts(tmp_path / "whole") == (tmp_path / "whole" / "train", tmp_path / "whole" / "val")


@pytest.mark.parametrize(
    "name",
    [
        *("._1.jpg", ".2.png", ".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "Icon\r"),
        *("AlbumArtSmall.jpg", "AlbumArt_{1B9C3D0E}_Large.jpg", "SYNOPHOTO_THUMB_XL.jpg", "SYNOPHOTO:THUMB_S.jpg"),
    ],
)
def test_a_systems_own_files_are_passed_over_without_a_word(tmp_path, name):
    touch(tmp_path, "a/1.png", "b/3.png")
    before = scan(tmp_path)
    touch(tmp_path, name, f"a/{name}", f"b/deep/{name}")
    assert scan(tmp_path) == before


def test_classes_of_names_that_only_begin_like_those_of_systems_are_classes(tmp_path):
    names = ["#1", "$5", "@home", "_train", "thumbs up", "~", "recycle"]
    touch(tmp_path, *(f"{name}/1.png" for name in names))
    assert scan(tmp_path).classes == sorted(names)


def test_every_suffix_of_an_image_is_taken_in_capitals_too(tmp_path):
    touch(tmp_path, *(f"a/{number}{suffix}" for number, suffix in enumerate(SUFFIXES)), "b/1.png")
    touch(tmp_path, *(f"c/{number}{suffix.upper()}" for number, suffix in enumerate(SUFFIXES)))
    found = scan(tmp_path)
    assert found.targets == [0] * len(SUFFIXES) + [1] + [2] * len(SUFFIXES)
    assert found.left_out == {}


def test_files_that_are_left_out_are_counted_by_their_suffixes(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.HEIC", "a/deep/3.heic", "a/4.txt", "b/1.png", "b/Makefile", "b/5.jpg.part")
    touch(tmp_path, "README", "labels.csv", "stray.jpg")
    left_out = scan(tmp_path).left_out
    assert left_out == {".heic": 2, ".txt": 1, "": 1, ".part": 1, ".jpg in no class": 1}
    assert listed(left_out) == (
        "6 files: .heic 2, without a suffix 1, .jpg in no class 1, .part 1, .txt 1"
    )  # fmt: skip


def test_a_list_of_suffixes_stays_short_and_printable():
    assert listed({".txt": 1}) == "1 file: .txt 1"
    many = listed({f".{number:02}": 1000 for number in range(50)})
    assert many.endswith(".07 1,000, and 42 other kinds")
    strange = listed({".\x1b[31m": 1, "." + "x" * 1000: 1})
    assert strange.startswith(r"2 files: .\x1b[31m 1, .xxxxxxxxxx…(")
    assert len(strange) < 80


# Links


@pytest.fixture
def elsewhere(tmp_path):
    return touch(tmp_path / "elsewhere", "9.png", "deep/8.png")


def names(found):
    return [path.name for path in found.paths]


def test_a_linked_class_and_a_linked_sub_folder_are_what_they_lead_to(tmp_path, elsewhere):
    root = touch(tmp_path / "root", "a/1.png", "b/2.png")
    (root / "a" / "more").symlink_to(elsewhere)
    (root / "c").symlink_to(elsewhere)
    found = scan(root)
    assert found.classes == ["a", "b", "c"]
    assert names(found) == ["1.png", "9.png", "8.png", "2.png", "9.png", "8.png"]
    assert found.paths[1] == root / "a" / "more" / "9.png"


def test_links_that_go_in_circles_are_walked_once(tmp_path, elsewhere):
    root = touch(tmp_path / "root", "a/1.png", "a/deep/2.png", "b/3.png")
    before = scan(root)
    for link, target in (
        *(("a/self", "a"), ("a/deep/up", "a"), ("a/root", "."), ("a/above", ".."), ("b/root", "."), ("whole", ".")),
        *(("above", ".."), ("a/disk", "/")),
    ):
        (root / link).symlink_to((root / target).resolve())
    assert scan(root) == before
    (elsewhere / "deep" / "back").symlink_to(elsewhere)
    (root / "b" / "one").symlink_to(elsewhere)
    (root / "b" / "other").symlink_to(elsewhere)
    assert names(scan(root)) == ["1.png", "2.png", "3.png", "9.png", "8.png"]


def test_a_folder_reached_by_a_link_is_walked_like_itself(tmp_path):
    root = touch(tmp_path / "root", "a/1.png", "b/2.png")
    (root / "a" / "up").symlink_to(root)
    (tmp_path / "link").symlink_to(root)
    assert names(scan(tmp_path / "link")) == names(scan(root)) == ["1.png", "2.png"]


def test_links_to_nothing_are_taken_if_they_were_images_and_said_beside_the_classes(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "3.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "a" / "4.png").symlink_to(tmp_path / "a" / "4.png")
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "gone")
    (tmp_path / "c").symlink_to(tmp_path / "gone")
    (tmp_path / "d").symlink_to(tmp_path / "d")
    found = scan(tmp_path)
    assert names(found) == ["1.png", "3.png", "4.png", "2.png"]
    assert found.left_out == {"": 1, "dead link": 2}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_taken_for_one(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.png")
    os.mkfifo(tmp_path / "a" / "3.png")
    assert names(scan(tmp_path)) == ["1.png", "2.png"]


# The two forms of é in Unicode


ONE_SIGN, TWO_SIGNS = "café", "cafe\u0301"


def test_a_class_has_one_name_whatever_system_wrote_it(tmp_path):
    mac = touch(tmp_path / "mac", f"{TWO_SIGNS}/1.png", "b/2.png")
    linux = touch(tmp_path / "linux", f"{ONE_SIGN}/1.png", "b/2.png")
    assert scan(mac).classes == scan(linux).classes == ["b", ONE_SIGN]
    for classes in (["b", ONE_SIGN], ["b", TWO_SIGNS]):
        assert scan(mac, classes).classes == ["b", ONE_SIGN]
        assert len(scan(mac, classes).paths) == len(scan(linux, classes).paths) == 2


@pytest.mark.parametrize("place", ["", "a/"])
def test_two_names_that_are_one_in_unicode_are_refused(tmp_path, place):
    touch(tmp_path, "a/1.png", "b/1.png", f"{place}{ONE_SIGN}/2.png", f"{place}{TWO_SIGNS}/2.png")
    if len(list((tmp_path / place).iterdir())) < 4 - bool(place):
        pytest.skip("this disk does not tell the two forms apart")
    refused(tmp_path, r"caf.xe9.*' in two forms of Unicode")
