"""The bars and lines that a person sees while a model trains."""

import re
import time

import pytest

from colonnade.cli.progress import CompilingLine, Progress
from colonnade.compiled import heard_by, tell
from colonnade.training import BatchRecord


def batch(step, epoch=1):
    return BatchRecord(
        epoch=epoch, epochs=2, step=step, steps=4, images=32 * step, loss=0.5, accuracy=0.75,
        seconds=0.1 * step, waiting=0.025 * step, lr=0.1,
    )  # fmt: skip


EPOCH = {
    "epoch": 1,
    "train_loss": 0.5,
    "train_accuracy": 0.75,
    "test_loss": 0.25,
    "test_accuracy": 0.875,
    "seconds": 0.4,
    "images_per_second": 1234.5,
    "waiting": 0.1,
    "lr": 0.1,
}


def run(progress):
    with progress:
        for step in range(1, 5):
            progress.on_batch_end(batch(step))
        progress.on_epoch_end(EPOCH)
        progress.on_batch_end(batch(1, epoch=2))
    return progress


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_there_is_a_bar_for_the_epoch_and_one_for_the_run(capsys):
    run(Progress("cnn on digits"))
    captured = capsys.readouterr()
    assert captured.out == ""
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured.err)
    assert "cnn on digits" in shown
    assert re.search(r"epoch 2/2 .*loss 0.5000  accuracy 0.7500  320 images/s  waiting 25%", shown)
    assert re.search(r"^run ", shown, re.MULTILINE)


def test_without_a_terminal_there_is_a_line_an_epoch(capsys):
    progress = run(Progress("cnn on digits"))
    assert capsys.readouterr().err.splitlines() == [
        "cnn on digits",
        "epoch 1/2  train loss 0.5000  accuracy 0.7500  test loss 0.2500  accuracy 0.8750  1,234 images/s  waiting 25%",
    ]
    assert progress.place == " in epoch 2, after step 1 of 4"


@pytest.mark.usefixtures("terminal")
def test_quiet_says_nothing(capsys):
    run(Progress("cnn on digits", quiet=True))
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_what_was_not_measured_is_left_out(capsys):
    progress = Progress("autoencoder")
    progress.on_batch_end(batch(1)._replace(accuracy=None))
    progress.on_epoch_end(EPOCH | {"train_accuracy": None, "test_loss": None, "test_accuracy": None})
    assert "train loss 0.5000  1,234 images/s" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_a_line_says_what_is_compiled_and_goes_away(capsys):
    with heard_by(CompilingLine()):
        tell("pad")
        shown = capsys.readouterr()
        tell(None)
        gone = capsys.readouterr()
    tell("pad")
    assert re.fullmatch(r"\r\x1b\[Kcompiling, once for this machine: \d+ functions so far", shown.err)
    assert (gone.err, shown.out + gone.out, capsys.readouterr().err) == ("\r\x1b[K", "", "")


@pytest.mark.usefixtures("terminal")
def test_a_training_run_shows_it_among_its_bars(capsys):
    with heard_by(CompilingLine()), Progress("cnn on digits"):
        tell("pad")
        time.sleep(0.5)  # bars are drawn five times a second
        assert re.search(r"compiling, once for this machine: \d+ functions so far", capsys.readouterr().err)
        tell(None)
        time.sleep(0.5)
        capsys.readouterr()
        time.sleep(0.5)
        assert "compiling" not in capsys.readouterr().err


def test_without_a_terminal_nothing_is_said_of_compiling(capsys):
    with heard_by(CompilingLine()):
        tell("pad")
        tell(None)
        with Progress("cnn on digits"):
            tell("pad")
    assert capsys.readouterr().err == ""
