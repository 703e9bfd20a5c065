"""A run to report on, and a browser to open its page in."""

import shutil
from pathlib import Path

import pytest

import colonnade as cn


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the digits, in two epochs. Nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "digits-small"
    digits = cn.data.load("digits")
    layers = [cn.Conv2d(1, 8, 3), cn.BatchNorm2d(8), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten(), cn.Dense(72, 10)]
    model = cn.Model(layers, seed=0).build(digits.input_shape)
    model.classes = digits.classes
    model.fit(*digits.train, epochs=2, validation=digits.test, normalization=digits.normalization, out=folder)
    (folder / "config.toml").write_text('data = "digits"\nmodel = "small"\nepochs = 2\nbatch_size = 64\n')
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
