"""`colonnade train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import BatchSize, Data, DataDir, Threads, set_threads


def train(
    data: Data = "digits",
    data_dir: DataDir = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="A network of the zoo.")] = "cnn",
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", min=1, help="Times through all images.")] = 20,
    batch_size: BatchSize = 64,
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw"], typer.Option("--optimizer", help="How the weights learn.")
    ] = "adamw",
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="X", help="Learning rate; by default one that suits the optimizer."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Same seed, same bits.")] = 0,
    threads: Threads = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where all files go; by default runs/DATA-MODEL."),
    ] = None,
) -> None:
    """Train a network on a data set.

    The last line on standard output is the accuracy on the test part.
    """
    from .. import training
    from ..data import load
    from .networks import network
    from .progress import ProgressBar

    set_threads(threads)
    make = network(model)
    dataset = load(data, data_dir)
    net = make(input_shape=dataset.input_shape, classes=len(dataset.classes), seed=seed)
    net.classes = dataset.classes
    folder = out or Path("runs", f"{data}-{model}")
    checkpoint = folder / "checkpoint.safetensors"
    title = f"{model} on {data}: {len(dataset.train.y):,} images to learn from, {len(dataset.test.y):,} held out"
    with ProgressBar(epochs, title) as bar:
        try:
            history = training.fit(
                net,
                *dataset.train,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=training.optimizer(optimizer, net.parameters(), lr),
                validation=dataset.test,
                normalization=dataset.normalization,
                out=folder,
                callbacks=[bar],
            )
        except KeyboardInterrupt:
            bar.say("interrupted" + (f"; what was learned is in {checkpoint}" if checkpoint.exists() else ""))
            raise typer.Exit(130) from None
    typer.echo(f"model {folder / 'model.safetensors'}")
    typer.echo(f"test accuracy {history[-1]['test_accuracy']:.4f}")
