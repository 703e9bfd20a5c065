"""`colonnade train`, as a person runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors

import colonnade as cn


def test_train_ends_with_the_test_accuracy(run, tmp_path):
    result = run("train", "--epochs", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    words, value = result.stdout.splitlines()[-1].rsplit(" ", 1)
    assert words == "test accuracy"
    assert len(value) == len("0.9876")
    assert 0.9 < float(value) <= 1
    assert (tmp_path / "runs" / "digits-cnn" / "model.safetensors").is_file()


def test_progress_goes_to_standard_error(run, tmp_path):
    result = run("train", "--epochs", 2, "--out", tmp_path)
    assert "epoch 2/2" in result.stderr
    assert "epoch" not in result.stdout


def test_train_leaves_model_metrics_and_checkpoint(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "checkpoint.safetensors",
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
        }


def test_same_seed_leaves_the_same_model(run, trained, tmp_path):
    run("train", "--epochs", 2, "--threads", 1, "--out", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_options_reach_the_training(run, tmp_path):
    options = ["--model", "resnet20", "--epochs", 1, "--batch-size", 64, "--optimizer", "sgd", "--lr", 0.01]
    result = run("train", *options, "--seed", 3, "--threads", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    with safetensors.safe_open(tmp_path / "checkpoint.safetensors", "numpy") as file:
        metadata = json.loads(file.metadata()["run"])
    assert (metadata["epochs"], metadata["batch_size"], metadata["seed"]) == (1, 64, 3)
    assert metadata["optimizer"] == "SGD"
    assert len(cn.load(tmp_path / "model.safetensors").layers) == len(cn.zoo.resnet20().layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "did you mean digits"),
        (["--model", "cnm"], "did you mean cnn"),
        (["--epochs", "0"], "'--epochs': Input should be greater than or equal to 1, got '0'."),
        (["--batch-size", "none"], "'--batch-size': Input should be a valid integer"),
        (["--batch-size", "none"], "got 'none'."),
        (["--optimizer", "rmsprop"], "'--optimizer': 'rmsprop' is not one of 'sgd', 'adam', 'adamw'."),
        (["--lr", "-1"], "lr must"),
        (["--threads", "0"], "--threads"),
        (["--learning-rate", "1"], "--learning-rate"),
        (["--data", "mnist", "--data-dir", "nowhere"], "nowhere"),
        (["--data", "mnist"], "COLONNADE_DATA"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(run, tmp_path, arguments, message):
    result = run("train", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written_is_found_before_training(run, tmp_path):
    (tmp_path / "file").touch()
    result = run("train", "--out", tmp_path / "file" / "folder")
    assert result.returncode == 2
    assert str(tmp_path / "file") in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_run_that_diverges_stops_and_names_the_step(run, tmp_path):
    result = run("train", "--optimizer", "sgd", "--lr", 1e30, "--out", tmp_path)
    assert result.returncode == 2
    assert "epoch 1, step" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model.safetensors").exists()


def test_interrupted_run_leaves_its_checkpoint_and_says_where(tmp_path):
    # A process whose parent ignores interrupts, as background jobs do, would ignore them too.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from colonnade.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "train", "--epochs", "1000", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 1/1000" in line:
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "test accuracy" not in stdout
    assert stderr.splitlines()[-1].endswith(str(Path(tmp_path, "checkpoint.safetensors")))
    assert "Traceback" not in stderr
    assert (tmp_path / "checkpoint.safetensors").is_file()
