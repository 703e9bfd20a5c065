"""A look at a folder of photographs."""

import pytest
from PIL import Image

from colonnade.data.look import Look, look
from tests.data import pictures


@pytest.fixture
def photographs(tmp_path):
    for name in ("daisy", "roses"):
        for number in range(10):
            pictures.save(tmp_path / name / f"{number}.png", number, (20 + number, 50))
    return tmp_path


def test_a_look_tells_the_images_to_learn_from_and_their_shorter_side(photographs):
    assert look(photographs) == Look(images=16, side=24, grey=False)


def test_of_a_folder_that_is_divided_the_images_to_learn_from_count(tmp_path):
    for part, count in (("train", 5), ("val", 3)):
        pictures.shaded(tmp_path, part, daisy=count, roses=count)
    assert look(tmp_path) == Look(images=10, side=8, grey=False)


def test_images_that_cannot_be_read_tell_no_size(photographs):
    for number in range(9):
        (photographs / "daisy" / f"{number}.png").write_bytes(b"no image")
    (photographs / "roses" / "0.png").unlink()
    (photographs / "roses" / "0.png").symlink_to(photographs / "nowhere")
    assert look(photographs) == Look(images=16, side=25, grey=False)


def test_what_is_no_folder_of_photographs_tells_nothing(tmp_path):
    assert look(tmp_path) is None
    assert look(tmp_path / "nowhere") is None
    for name in ("daisy", "roses"):
        pictures.save(tmp_path / name / "0.png").write_bytes(b"no image")
    assert look(tmp_path) is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_images_are_grey_where_all_that_are_looked_at_are(photographs, mode):
    for path in photographs.rglob("*.png"):
        Image.open(path).convert("L").convert(mode).save(path)
    found = look(photographs)
    assert found is not None
    assert found.grey
    pictures.save(photographs / "roses" / "colour.png", 1, (20, 50))
    assert look(photographs) == found._replace(grey=False, images=found.images + 1)
