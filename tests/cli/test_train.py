"""`colonnade train`, as a person runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import safetensors

import colonnade as cn
from tests.data import pictures


def test_train_ends_with_the_test_accuracy_and_its_progress_goes_to_standard_error(here, tmp_path):
    result = here("train", "--epochs", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    words, value = result.stdout.splitlines()[-1].rsplit(" ", 1)
    assert words == "test accuracy"
    assert len(value) == len("0.9876")
    assert 0.9 < float(value) <= 1
    low, high = map(
        float,
        re.fullmatch(
            r"test accuracy from (0\.\d{4}) to ([01]\.\d{4}) \(95 % Wilson .*, 355 images\)",
            result.stdout.splitlines()[-2],
        ).groups(),
    )
    assert low < float(value) < high
    assert (tmp_path / "runs" / "digits-cnn" / "model.safetensors").is_file()
    assert "epoch 3/3" in result.stderr
    assert "epoch" not in result.stdout


def test_train_leaves_model_metrics_and_checkpoint(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "checkpoint.safetensors",
        "config.toml",
        "metrics.jsonl",
        "model.safetensors",
    ]


def test_metrics_have_a_line_an_epoch(trained):
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    for record in records:
        assert set(record) == {
            "epoch",
            "train_loss",
            "train_accuracy",
            "test_loss",
            "test_accuracy",
            "seconds",
            "images_per_second",
            "waiting",
            "lr",
        }


def test_same_seed_leaves_the_same_model(here, trained, tmp_path):
    here("train", "--epochs", 2, "--threads", 1, "--out", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_options_reach_the_training(here, tmp_path):
    options = ["--model", "mlp", "--epochs", 1, "--batch-size", 64, "--optimizer", "sgd", "--lr", 0.01]
    result = here("train", *options, "--seed", 3, "--threads", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    with safetensors.safe_open(tmp_path / "checkpoint.safetensors", "numpy") as file:
        metadata = json.loads(file.metadata()["run"])
    settings = metadata["settings"]
    assert (settings["epochs"], settings["batch_size"], settings["seed"]) == (1, 64, 3)
    assert settings["optimizer"]["type"] == "SGD"
    assert len(cn.load(tmp_path / "model.safetensors").layers) == len(cn.zoo.mlp().layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "did you mean digits"),
        (["--model", "cnm"], "did you mean cnn"),
        (["--epochs", "0"], "--epochs 0 is for a network that is trained already, --model"),
        (["--batch-size", "none"], "'--batch-size' must be a whole number"),
        (["--batch-size", "none"], "got 'none'."),
        (["--optimizer", "rmsprop"], "'--optimizer': 'rmsprop' is not one of 'sgd', 'adam', 'adamw'."),
        (["--lr", "-1"], "lr must"),
        (["--threads", "0"], "--threads"),
        (["--learning-rate", "1"], "--learning-rate"),
        (["--data", "mnist", "--data-dir", "nowhere"], "nowhere"),
        (["--schedule", "cycle"], "'--schedule': 'cycle' is not one of 'constant', 'cosine', 'one-cycle'."),
        (["--augmentation", "lite"], "There is no augmentation 'lite': did you mean 'light'?"),
        (["--average", "2"], "'--average' must be at most 1, got '2'."),
        (["--clip", "0"], "fit: clip must be positive, got 0.0."),
        (["--patience", "0"], "'--patience'"),
        (["--max-time", "soon"], "--max-time: expected a number, alone or with one of s, m, h, got 'soon'."),
        (["--memory", "2T"], "--memory: expected a number, alone or with one of k, M, G, Ki, Mi, Gi, got '2T'."),
        (["--memory", "1M"], "more than memory=1,000,000."),
        (["--accumulate", "0"], "'--accumulate'"),
        (["--resume"], "runs/digits-cnn/checkpoint.safetensors: there is no such checkpoint to resume."),
        (["--resume", "--find-lr"], "'--find-lr': a run that is resumed has its learning rate."),
        (["--config", "nowhere.toml"], "nowhere.toml: No such file or directory"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(here, tmp_path, arguments, message):
    result = here("train", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written_is_found_before_training(here, tmp_path):
    (tmp_path / "file").touch()
    result = here("train", "--out", tmp_path / "file" / "folder")
    assert result.returncode == 2
    assert str(tmp_path / "file") in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_run_that_diverges_stops_and_names_the_step(here, tmp_path):
    result = here("train", "--optimizer", "sgd", "--lr", 1e30, "--out", tmp_path)
    assert result.returncode == 2
    assert "epoch 1, step" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model.safetensors").exists()


PROGRAM = (
    # A process whose parent ignores interrupts, as background jobs do, would ignore them too.
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); from colonnade.cli.main import main; sys.exit(main())"
)


@pytest.fixture
def running(tmp_path):
    """A run that would go on for long, in its folder, after its first epoch."""
    options = ["--epochs", "1000", "--schedule", "constant", "--threads", "1", "--out", str(tmp_path)]
    command = [sys.executable, "-c", PROGRAM, "train", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 1/1000" in line:
                break
        yield process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="these are POSIX's signals")
@pytest.mark.parametrize(
    ("name", "status", "word"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "asked to end"), ("SIGHUP", 129, "asked to end")],
)
def test_a_run_that_is_told_to_end_leaves_its_checkpoint_and_says_how_to_go_on(
    here, running, tmp_path, name, status, word
):
    running.send_signal(getattr(signal, name))
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == status
    assert "test accuracy" not in stdout
    assert "Traceback" not in stderr
    place, command = stderr.splitlines()[-1].split("; go on with: ")
    assert re.fullmatch(rf"{word} in epoch \d+, after step \d+ of 23", place)
    assert command == f"colonnade train --resume --out {tmp_path}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.safetensors",
        "config.toml",
        "metrics.jsonl",
    ]
    done = len((tmp_path / "metrics.jsonl").read_text().splitlines())
    again = here(*command.split()[1:], "--max-time", 0.001)  # as it says, but without the patience for 1,000 epochs
    assert again.returncode == 0, again.stderr
    assert f"epoch {done + 1}/1000" in again.stderr
    assert f"ended early: the time was up in epoch {done + 1}" in again.stderr
    assert again.stderr.splitlines()[-1].endswith(f"; go on with: {command}")
    assert again.stdout.splitlines()[-1].startswith("test accuracy ")


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_a_second_run_in_the_same_folder_is_refused_and_told_who_holds_it(here, running, tmp_path, option):
    before = (tmp_path / "config.toml").read_bytes()
    second = here("train", "--out", tmp_path, "--seed", 5, *option)
    assert second.returncode == 2
    assert f"{tmp_path}: another run holds this folder: process {running.pid} on " in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert (tmp_path / "config.toml").read_bytes() == before
    assert running.poll() is None
    running.kill()
    running.wait(60)
    assert here("train", "--resume", "--out", tmp_path, "--max-time", 0.001).returncode == 0


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.safetensors", "metrics.jsonl"])
def test_a_file_that_will_not_be_written_is_noticed_before_the_first_step(here, tmp_path, name):
    (tmp_path / name).mkdir()
    result = here("train", "--out", tmp_path)
    assert result.returncode == 2
    assert f"{name}: expected a file to write, got a folder." in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name != "posix", reason="the limit is POSIX's")
def test_a_disk_without_room_is_noticed_before_the_first_step(tmp_path):
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); " + PROGRAM
    command = [sys.executable, "-c", program, "train", "--out", str(tmp_path)]
    # Measuring coverage would write a file of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert re.search(
        r"checkpoint\.safetensors: can't write [\d,]+ bytes to this file \(File too large\)", result.stderr
    )
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_resumed_run_takes_its_options_from_its_folder(here, tmp_path):
    options = ["--epochs", 2, "--batch-size", 100, "--seed", 4, "--lr", 0.002, "--threads", 1]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert here("train", *options, "--out", whole).returncode == 0
    assert here("train", *options, "--out", parts, "--max-time", 0.01).returncode == 0
    resumed = here("train", "--resume", "--out", parts)
    assert resumed.returncode == 0, resumed.stderr
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_resume_with_other_options_names_them(here, trained):
    result = here("train", "--resume", "--out", trained, "--batch-size", 32)
    assert result.returncode == 2
    assert "batch_size was 64, is now 32" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_run_is_repeated_from_its_configuration(here, trained, tmp_path):
    config = tomllib.loads((trained / "config.toml").read_text())
    assert (config["data"], config["model"], config["epochs"], config["out"]) == ("digits", "cnn", 2, ".")
    (tmp_path / "config.toml").write_bytes((trained / "config.toml").read_bytes())
    result = here("train", "--config", tmp_path / "config.toml", "--quiet")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for name in ("config.toml", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_a_run_that_goes_on_keeps_what_its_time_was(here, trained, tmp_path):
    """Where steps stand for a time, only the table of how the run went tells of it."""
    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("[ran]", "[ran]\nmax_time = 20.0"))
    result = here("train", "--resume", "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    again = tomllib.loads(config.read_text())
    assert again["ran"]["max_time"] == 20.0
    assert "max_time" not in again


def test_the_command_line_comes_before_the_file_and_the_file_before_what_suits(here, tmp_path):
    (tmp_path / "a.toml").write_text(
        'epochs = 1\nbatch_size = 300\noptimizer = "sgd"\nmax_time = "1h"\nmemory = "1G"\nout = "b"'
    )
    result = here("train", "--config", tmp_path / "a.toml", "--batch-size", 200, "--threads", 1)
    assert result.returncode == 0, result.stderr
    config = tomllib.loads((tmp_path / "b" / "config.toml").read_text())
    assert (config["epochs"], config["batch_size"], config["optimizer"], config["lr"]) == (1, 200, "sgd", 0.05)
    assert (config["max_time"], config["memory"], config["threads"]) == (3600.0, 1e9, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "there is no option 'epoch': did you mean epochs?"),
        ("frobnicate = 3", "there is no option 'frobnicate': expected some of data, data_dir, model"),
        ('epochs = "three"', "epochs must be a whole number, got 'three'."),
        ("epochs = true", "epochs must be a whole number, got True."),
        ("epochs = 2.5", "epochs must be a whole number, got 2.5."),
        ("lr = [1]", "lr must be a number, got [1]."),
        ("model = 3", "model must be text, got 3."),
        ("epochs = 0", "--epochs 0 is for a network that is trained already, --model: a new head alone learns."),
        (
            'optimizer = "newton"',
            "optimizer: expected one of sgd, adam, adamw, nadam, rmsprop, adagrad, adadelta, adamax, radam, lion, got",
        ),
        ('schedule = "steps"', "schedule: expected one of constant, cosine, one-cycle, got 'steps'."),
        ("epochs = = 3", "not a TOML file"),
    ],
)
def test_a_configuration_that_is_wrong_is_one_line_and_status_2(here, tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    result = here("train", "--config", tmp_path / "a.toml", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_rate_that_is_searched_is_said_used_and_kept(here, tmp_path):
    result = here("train", "--find-lr", "--epochs", 3, "--threads", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    rate = tomllib.loads((tmp_path / "config.toml").read_text())["lr"]
    assert 1e-4 < rate < 1e-1
    assert f"learning rate {rate:.2g}, found by a range test" in result.stderr
    assert float(result.stdout.split()[-1]) > 0.9


def test_patience_ends_a_run_and_keeps_its_best_epoch(here, tmp_path):
    options = ["--epochs", 200, "--patience", 2, "--schedule", "constant", "--lr", 0.01, "--threads", 1]
    result = here("train", *options, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    best = min(records, key=lambda record: record["test_loss"])
    assert len(records) == best["epoch"] + 2
    assert "ended early: 2 epochs brought no better test_loss" in result.stderr
    assert result.stdout.splitlines()[-1] == f"test accuracy {best['test_accuracy']:.4f}"
    evaluated = here("evaluate", tmp_path / "model.safetensors")
    assert evaluated.stdout.splitlines()[-1] == result.stdout.splitlines()[-1]


def test_a_model_of_before_stays_where_a_new_run_diverges(here, trained, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    assert here("train", "--optimizer", "sgd", "--lr", 1e30, "--out", tmp_path, "--overwrite").returncode == 2
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full")
def test_a_full_disk_is_one_line_and_the_checkpoint_stays(trained, tmp_path):
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    program = (
        "import os, sys; os.fsync = lambda descriptor: os.write(os.open('/dev/full', os.O_WRONLY), b'x'); "
        "from colonnade.cli.main import main; sys.exit(main())"
    )
    options = ["--resume", "--epochs", "2", "--quiet", "--out", str(tmp_path)]
    command = [sys.executable, "-c", program, "train", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {tmp_path}")
    assert "No space left on device" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    for path in trained.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


# No run overwrites another

QUICK = ["--epochs", 1, "--model", "mlp", "--quiet"]


def test_runs_by_default_lie_side_by_side(here, tmp_path):
    for number, folder in enumerate(["digits-mlp", "digits-mlp-2", "digits-mlp-3"]):
        result = here("train", *QUICK, "--seed", number, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[0] == f"model {Path('runs', folder, 'model.safetensors')}"
    models = {
        (tmp_path / "runs" / folder / "model.safetensors").read_bytes()
        for folder in ("digits-mlp", "digits-mlp-2", "digits-mlp-3")
    }
    assert len(models) == 3
    resumed = here("train", "--resume", "--model", "mlp", "--quiet", cwd=tmp_path)
    assert resumed.stdout.splitlines()[0] == f"model {Path('runs', 'digits-mlp-3', 'model.safetensors')}"


def test_a_run_that_is_named_is_replaced_only_where_that_is_said(here, tmp_path):
    run = tmp_path / "run"
    assert here("train", *QUICK, "--out", run).returncode == 0
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = here("train", *QUICK, "--out", run, "--seed", 1)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"error: {run} holds a run: go on with it (--resume), have it replaced (--overwrite), or name another --out.\n"
    )
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert here("train", *QUICK, "--out", run, "--seed", 1, "--overwrite").returncode == 0
    assert (run / "model.safetensors").read_bytes() != before["model.safetensors"]
    both = here("train", "--resume", "--overwrite", "--out", run)
    assert both.returncode == 2
    assert "'--overwrite': a run is either replaced or gone on with." in both.stderr


def test_a_run_repeated_from_its_configuration_lies_beside_it(here, tmp_path):
    run = tmp_path / "run"
    assert here("train", *QUICK, "--out", run).returncode == 0
    assert here("train", "--config", run / "config.toml", "--quiet").returncode == 0
    assert (tmp_path / "run-2" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_a_run_that_came_meanwhile_is_not_overwritten(here, tmp_path, monkeypatch):
    from colonnade import data

    load = data.load

    def slow(*arguments, **options):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "metrics.jsonl").write_text("another's\n")
        return load(*arguments, **options)

    monkeypatch.setattr(data, "load", slow)
    result = here("train", *QUICK, "--out", tmp_path / "run")
    assert result.returncode == 2
    assert "holds a run" in result.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["metrics.jsonl"]
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == "another's\n"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--batch-size", 32], "batch_size was 64, is now 32"),
        (["--epochs", 9], "epochs was 2, is now 9"),
        (["--optimizer", "sgd"], "optimizer was adamw, is now sgd"),
        (["--lr", 0.5], "lr was 0.005, is now 0.5"),
        (["--model", "mlp"], "model was cnn, is now mlp"),
        (["--average", 0.9], "average was 0.0, is now 0.9"),
        (["--patience", 2], "patience was None, is now 2"),
        (["--augmentation", "none", "--seed", 4], "augmentation was characters, is now none; seed was 0, is now 4"),
    ],
)
def test_a_resume_with_other_options_names_those_that_were_said_and_no_others(here, trained, options, named):
    result = here("train", "--resume", "--out", trained, *options)
    assert result.returncode == 2
    assert sorted(result.stderr.split("as it began: ")[1].split(". Leave")[0].split("; ")) == sorted(named.split("; "))
    assert len(result.stderr.splitlines()) == 1


def test_a_resume_with_other_data_says_only_that(here, tmp_path):
    options = ("--epochs", 1, "--model", "mlp", "--size", 8)
    for seed, place in enumerate(("one", "other")):
        pictures.folder(tmp_path / place, 3 + seed, daisy=8, roses=8)
    assert here("train", "--data", tmp_path / "one", "--out", tmp_path / "run", *options).returncode == 0
    moved = (tmp_path / "one").rename(tmp_path / "moved")
    assert here("train", "--resume", "--out", tmp_path / "run", "--data", moved).returncode == 0
    result = here("train", "--resume", "--out", tmp_path / "run", "--data", tmp_path / "other")
    assert result.returncode == 2
    assert result.stderr.endswith("is of another run: data.pixels differs.\n")


def test_words_of_libraries_and_names_of_parts_are_not_for_people(here, trained, tmp_path):
    wrong = [["--epochs", "-1"], ["--lr", "fast"], ["--seed", "1.5"], ["--average", "7"], ["--size", "0"]]
    for options in [*wrong, ["--resume", "--out", trained, "--epochs", 3], ["--on-error", "ask"]]:
        result = here("train", *options, cwd=tmp_path)
        assert result.returncode == 2
        for word in ("Input should", "pydantic", "callbacks", "total_steps", "Traceback", "Invalid value for '--e"):
            assert word not in result.stderr


def test_a_size_is_of_photographs(here, tmp_path):
    result = here("train", "--size", 9, "--out", tmp_path / "run")
    assert result.returncode == 2
    assert "'--size': the images of digits have their size." in result.stderr
    pictures.folder(tmp_path / "photographs", 3, daisy=8, roses=8)
    options = ("--data", tmp_path / "photographs", "--epochs", 1, "--model", "mlp", "--size", 9)
    assert here("train", *options, "--out", tmp_path / "run").returncode == 0
    assert cn.load(tmp_path / "run").input_shape == (3, 9, 9)


def test_a_model_answers_by_mirror_images_where_training_mirrors_unless_it_is_not_to(here, tmp_path):
    for name, options in (
        ("characters", ()),
        ("flip", ("--augmentation", "flip")),
        ("off", ("--augmentation", "flip", "--no-mirrored")),
    ):
        result = here("train", "--steps", 2, "--model", "mlp", "--out", tmp_path / name, *options)
        assert result.returncode == 0, result.stderr
        assert ("mirror images tested, too" in result.stderr) is (name == "flip")
        assert cn.load(tmp_path / name).mirrored is (name == "flip")
    config = tomllib.loads((tmp_path / "flip" / "config.toml").read_text())
    assert config["mirrored"] is True
    test = cn.data.load("digits").test
    model = cn.load(tmp_path / "flip")
    both = f"test loss {model.evaluate(test)['loss']:.4f}"
    model.mirrored = False
    alone = f"test loss {model.evaluate(test)['loss']:.4f}"
    assert both != alone
    for options, loss in (((), both), (("--no-mirrored",), alone)):
        assert loss in here("evaluate", tmp_path / "flip", *options).stdout
