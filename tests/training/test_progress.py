"""The bars and lines that a person sees while a model trains."""

import re
import subprocess
import sys
import time

import numpy as np
import pytest

import colonnade as cn
from colonnade.cli.progress import CompilingLine, counted
from colonnade.compiled import heard_by, tell
from colonnade.training import BatchRecord
from colonnade.training.progress import Progress


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


@pytest.mark.usefixtures("terminal")
def test_what_is_done_before_a_run_has_a_bar_of_its_own_and_leaves_nothing(capsys):
    with Progress() as progress:
        progress.watch("features", 3, 8)
        progress._bars.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
        assert re.search(r"features ━+╺", shown)
        progress.watch("features", 8, 8)
        capsys.readouterr()
        progress._bars.refresh()
        assert "features" not in capsys.readouterr().err
        progress.watch("features", 1, 2)  # of other images
        progress._bars.refresh()
        assert "features" in capsys.readouterr().err


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


# Any width


def shown(captured: str) -> list[str]:
    """What a terminal was sent, line by line, without its commands."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (60, "epoch 1/2  test loss 0.2500  accuracy 0.8750"),
        (80, "epoch 1/2  train loss 0.5000  accuracy 0.7500  test loss 0.2500  accuracy 0.8750"),
        (100, "epoch 1/2  train loss 0.5000  accuracy 0.7500  test loss 0.2500  accuracy 0.8750  1,234 images/s"),
        (
            200,
            "epoch 1/2  train loss 0.5000  accuracy 0.7500  test loss 0.2500  accuracy 0.8750  1,234 images/s"
            + "  waiting 25%",
        ),
    ],
)
@pytest.mark.usefixtures("terminal")
def test_lines_and_bars_are_whole_in_a_window_of_any_width(capsys, monkeypatch, columns, told):
    monkeypatch.setenv("COLUMNS", str(columns))
    run(Progress("cnn on digits"))
    lines = shown(capsys.readouterr().err)
    assert told in [re.sub(" +$", "", line) for line in lines]
    assert max(map(len, lines)) <= columns
    (bar,) = {line.rstrip() for line in lines if line.startswith("epoch 2/2 ")}
    assert "…" not in bar
    assert "loss 0.5000" in bar
    assert re.search(r"[━╸╺]{10}", bar)
    assert re.search(r"[\d-]:[\d-]{2}$", bar)
    assert ("waiting 25%" in bar) == (columns >= 100)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_what_is_compiled_has_room_beside_the_bars(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    with heard_by(CompilingLine()), Progress() as progress:
        progress.on_batch_end(batch(1))
        tell("pad")
        time.sleep(0.5)
        tell(None)
    lines = shown(capsys.readouterr().err)
    assert any(re.search(r"compiling(, once for this machine)?: \d+ functions", line) for line in lines)
    assert max(map(len, lines)) <= columns
    assert not any("…" in line for line in lines)


# What fit shows by itself


def trained(**options):
    x = np.random.default_rng(0).random((8, 1, 4, 4), np.float32)
    cn.Model([cn.Flatten(), cn.Dense(16, 2)]).fit(x, np.arange(8) % 2, epochs=2, **options)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("options", [{}, {"progress": True}])
def test_fit_shows_itself_on_a_terminal(capsys, options):
    trained(**options)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in shown(captured.err) if line.startswith("epoch")]
    assert any(line.startswith("epoch 2/2  train loss ") for line in lines)


@pytest.mark.usefixtures("terminal")
def test_it_does_not_where_that_is_not_wanted(capsys):
    trained(progress=False)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_it_does_not_where_nobody_looks_but_where_it_is_asked_to(capsys):
    trained()
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    trained(progress=True)
    assert [line[:9] for line in capsys.readouterr().err.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    with pytest.raises(cn.errors.ArgumentError, match="fit: progress must be True or False, got 'yes'"):
        trained(progress="yes")


def test_who_trains_unseen_is_spared_the_bars():
    program = "import sys, numpy as np, colonnade as cn; m = cn.Model([cn.Flatten(), cn.Dense(4, 2)]); "
    program += "m.fit(np.zeros((2, 1, 2, 2)), [0, 1], progress=False); print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.usefixtures("terminal")
def test_an_error_leaves_no_bar_behind(capsys):
    with pytest.raises(cn.errors.DivergenceError):
        trained(optimizer="sgd", loss=lambda y, t: (float("nan"), y))
    assert "\x1b[?25h" in capsys.readouterr().err  # the cursor is back


# Counting


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.usefixtures("terminal")
def test_what_is_counted_is_handed_on_with_a_bar(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert list(counted(range(3), 3, "images", shown=True)) == [0, 1, 2]
    captured = capsys.readouterr()
    lines = shown(captured.err)
    assert captured.out == ""
    assert any("3 of 3" in line for line in lines)
    assert max(map(len, lines)) <= columns
    assert list(counted(range(3), 3, "images", shown=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
