"""What a run says of itself, and how it fits into a time, by a clock that the test drives."""

import tomllib
from types import SimpleNamespace

import pytest

from colonnade import training
from colonnade.cli.config import decide
from colonnade.cli.planning import Estimate, duration, fit_into_time, outline
from colonnade.data import load
from colonnade.training import BatchRecord, Pace
from tests.data import pictures

EPOCH = {"epoch": 1}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (45, "45 s"), (119, "119 s"), (120, "2 min"), (5399, "1 h 30 min"), (8000, "2 h 13 min")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def record(epoch, step, steps=10):
    return BatchRecord(epoch, 4, step, steps, 32 * step, 1.0, 0.5, 1.0, 0.0, 0.1)


def told(estimate, *places, seconds=2.0):
    """What is said at these steps, each so many seconds after the one before."""
    for place in places:
        CLOCK.now += seconds
        estimate.on_batch_end(record(*place))


CLOCK = SimpleNamespace(now=0.0)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def estimate(lines):
    made = Estimate(lines.append, "what is done", tested=96, clock=lambda: CLOCK.now)
    made.on_train_begin(SimpleNamespace(steps=10, total=36))
    return made


def test_the_first_steps_tell_how_long_the_run_takes(estimate, lines):
    told(estimate, *((1, step) for step in range(1, 7)))
    assert lines == ["what is done"]
    told(estimate, *((1, step) for step in range(7, 11)), *((2, step) for step in range(1, 11)))
    # 29 steps of 2 s; four tests of 96 images, three steps' images each, at a third of a step's time.
    assert lines[1:] == ["about 66 s for the 29 steps that are left, and the tests"]


def test_steps_too_quick_to_tell_are_told_at_the_end_of_the_epoch(estimate, lines):
    told(estimate, *((1, step) for step in range(1, 11)), seconds=0.1)
    assert len(lines) == 1
    CLOCK.now += 7.2
    estimate.on_epoch_end(EPOCH)
    assert lines[1:] == ["about 26 s for the 26 steps that are left, and the tests"]
    estimate.on_epoch_end(EPOCH)
    assert len(lines) == 2


def test_one_step_is_one(estimate, lines):
    told(estimate, (4, 3), (4, 4), (4, 5))
    estimate.on_epoch_end(EPOCH)
    assert lines[1:] == ["about 2 s for the step that is left, and the tests"]


def test_a_run_that_is_resumed_counts_what_is_left(estimate, lines):
    told(estimate, *((4, step, 6) for step in range(1, 7)))
    estimate.on_epoch_end(EPOCH)
    assert lines == ["what is done"]  # nothing is left


@pytest.fixture
def settings(tmp_path):
    return decide({"out": tmp_path, "max_time": 100.0}, None)


def test_a_run_says_what_it_is_going_to_do(settings):
    assert outline(settings, load("digits")) == (
        "20 epochs of images of 1×8×8, batches of 64, adamw up to 0.005, schedule one-cycle, augmentation characters"
    )


@pytest.fixture
def fitted(settings, monkeypatch):
    """Settings that fit into 100 seconds at this pace, of which 10 are spent on finding it out."""

    def fitted(step, test=0.0, keep_average=False, **other):
        clock = SimpleNamespace(now=50.0)

        def pace(*_, **options):
            assert options["most"] == 70
            clock.now += 10
            return None if step is None else Pace(step, test, 23)

        monkeypatch.setattr(training, "pace", pace)
        given = settings.__class__(**{**vars(settings), **other})
        return given, fit_into_time(None, load("digits"), given, 150.0, keep_average, lambda: clock.now)

    monkeypatch.setattr("colonnade.cli.planning.arguments", lambda *_: {})
    return fitted


def test_steps_are_as_many_as_fit_into_nine_tenths_of_what_is_left(fitted):
    _, found = fitted(1.0, test=1.0)
    assert (found.steps, found.epochs) == (77, 4)  # of 81 s, three epochs of 24; 9 less one for the test
    assert outline(found, load("digits")).startswith(
        "3.42 epochs (77 steps, as many as fit into 100 s) of images of 1×8×8, batches of 64"
    )


@pytest.mark.parametrize(
    ("step", "other"), [(0.01, {}), (0.2, {"steps": 400}), (None, {}), (9.0, {"schedule": "constant"})]
)
def test_a_run_that_fits_or_has_no_schedule_or_no_pace_is_left_as_it_is(fitted, step, other):
    given, found = fitted(step, **other)
    assert found is given


def test_few_steps_have_an_average_of_few_unless_one_is_asked_for(fitted):
    assert fitted(1.0, test=1.0, average=0.99)[1].average == 0.87
    assert fitted(1.0, test=1.0, average=0.99, keep_average=True)[1].average == 0.99
    assert fitted(9.0, average=0.99)[1].average == 0.0


@pytest.mark.parametrize(
    ("said", "seconds"), [("90", 90), ("20m", 1200), ("1h30m", 5400), ("1h 2m 3s", 3723), ("1.5h", 5400)]
)
def test_times_have_units(tmp_path, said, seconds):
    assert decide({"out": tmp_path, "max_time": said}, None).max_time == seconds


def test_photographs_that_are_small_and_many_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(training.recipes, "MANY", 20)
    for name in ("daisy", "roses"):
        for number in range(15):
            pictures.save(tmp_path / "small" / name / f"{number}.png", number, (32, 40))
            pictures.save(tmp_path / "large" / name / f"{number}.png", number, (90, 80))
    small, large = (decide({"data": str(tmp_path / name)}, None) for name in ("small", "large"))
    assert (small.model, small.size, small.epochs) == ("resnet9", 32, 100)
    assert (large.model, large.size, large.epochs) == ("photo_cnn", None, 100)
    assert decide({"data": str(tmp_path / "small"), "size": 64}, None).model == "photo_cnn"
    monkeypatch.setattr(training.recipes, "MANY", 25)  # a fifth is held out
    assert decide({"data": str(tmp_path / "small")}, None).model == "photo_cnn"


@pytest.mark.thorough
def test_a_run_that_is_fitted_ends_with_its_schedule_and_is_repeated_without_the_time(here, tmp_path):
    options = ("--epochs", 100000, "--threads", 1, "--seed", 2)
    assert here("train", *options, "--max-time", 20, "--out", tmp_path / "run").returncode == 0
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert config["ran"]["max_time"] == 20
    assert "max_time" not in config
    assert 0 <= config["epochs"] * 23 - config["steps"] < 23
