"""The folder of a run: which file its model is, where a new run may go, and what it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

import colonnade as cn
from colonnade import runs
from colonnade.errors import ArgumentError, DataError, FileFormatError


def hold(folder: Path, name: str = runs.METRICS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    return folder


@pytest.mark.parametrize("name", [runs.MODEL, runs.CHECKPOINT, runs.METRICS])
def test_a_new_run_gets_a_folder_that_holds_none(tmp_path, name):
    place = tmp_path / "digits-cnn"
    assert runs.free(place) == runs.last(place) == place
    place.mkdir()
    (place / runs.CONFIG).touch()  # is no run yet
    assert runs.free(place) == place
    hold(place, name)
    assert runs.free(place) == tmp_path / "digits-cnn-2"
    hold(tmp_path / "digits-cnn-2", name)
    hold(tmp_path / "digits-cnn-10", name)
    assert runs.free(place) == tmp_path / "digits-cnn-3"
    assert runs.last(place) == tmp_path / "digits-cnn-10"
    (tmp_path / "digits-cnn-11").mkdir()
    hold(tmp_path / "digits-cnn-012", name)
    hold(tmp_path / "digits-cnn-wide-99", name)
    assert runs.last(place) == tmp_path / "digits-cnn-10"


def test_a_folder_that_holds_a_run_is_refused_with_what_may_be_done(tmp_path):
    runs.require_free(tmp_path)
    with pytest.raises(
        ArgumentError, match=r"holds a run: go on with it \(--resume\), have it replaced \(--overwrite\)"
    ):
        runs.require_free(hold(tmp_path))


def test_a_run_is_loaded_by_its_folder(tmp_path):
    cn.zoo.lenet5().save(tmp_path / runs.MODEL)
    for place in (tmp_path, str(tmp_path)):
        assert len(cn.load(place).layers) == len(cn.zoo.lenet5().layers)


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path):
    with pytest.raises(FileFormatError, match=r"expected a model or the folder of a run, got a folder without model\."):
        cn.load(tmp_path)
    hold(tmp_path, runs.CHECKPOINT)
    with pytest.raises(FileFormatError, match=r"has not come to its end .* go on with: colonnade train --resume --out"):
        cn.load(tmp_path)


def test_paths_of_data_are_relative_to_the_run(tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "flowers").mkdir()
    assert runs.data_of(tmp_path, {"data": "flowers"}).name == str(tmp_path / "flowers")
    assert runs.data_of(tmp_path, {"data": "digits"}, cn.data.NAMES).name == "digits"
    assert runs.data_of(tmp_path, {"data": "elsewhere", "data_dir": "there"})[:2] == (
        "elsewhere",
        str(tmp_path / "there"),
    )
    assert runs.data_of(tmp_path, {"data": "digits", "on_error": "skip"}).on_error == "skip"
    assert runs.data_of(tmp_path, {"data": "digits", "on_error": 3}).on_error == "raise"
    for options in ({}, {"data": 3}, {"data": "digits", "data_dir": 3}, {"data": "a\0b"}):
        with pytest.raises(DataError, match="does not say of which data set"):
            runs.data_of(tmp_path, options)


def test_a_model_is_of_a_run_by_the_file_beside_it(tmp_path):
    model = tmp_path / "model.safetensors"
    assert runs.data_of_run(tmp_path) is runs.data_of_run(model) is None
    (tmp_path / runs.CONFIG).write_text("colour = 3")  # another's
    assert runs.data_of_run(tmp_path) is None
    (tmp_path / runs.CONFIG).write_text('data = "mnist"')
    assert runs.data_of_run(tmp_path) == runs.data_of_run(model) == ("mnist", None, "raise")
    (tmp_path / runs.CONFIG).write_text("= 3")
    with pytest.raises(FileFormatError, match=r"config\.toml: not a TOML file"):
        runs.data_of_run(tmp_path)
