"""Transfer: what a network has learned of some classes, for others of which there are few images.

    python transfer.py [FROM [TO]] [--quick]

A network learns the first half of the classes of FROM; `cn.fine_tune` gives it a new head and teaches it 5, 20 and 100
images of each of the others. Beside it the same network learns them from nothing, in as many steps. With TO it learns
all of FROM, and then all classes of TO. Test accuracy, mean and range of three seeds, which also choose the images.

FROM and TO are data sets by name; by default fashion-mnist. --quick takes the digits that the package carries. Some
minutes on one core.
"""

import sys

import numpy as np

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
SEEDS = range(1) if quick else range(3)
FEW = (5,) if quick else (5, 20, 100)
STEPS = 100  # of all layers together at least


def part(examples, classes, at_most=None, seed=0):
    """Images of some classes, numbered from 0; of each class so many at most, in the order of a seed."""
    order = np.random.default_rng(seed).permutation(len(examples))
    chosen = np.concatenate([order[examples.y[order] == number][:at_most] for number in classes])
    return cn.data.Arrays(examples.x[chosen], examples.y[chosen] - classes[0])


first, *others = map(cn.data.load, ["digits"] if quick else names or ["fashion-mnist"])
count = len(first.classes)
if others:
    second, old, new = others[0], range(count), range(len(others[0].classes))
else:
    second, old, new = first, range(count // 2), range(count // 2, count)

base = cn.zoo.cnn(first.input_shape, len(old), seed=0)
learned = part(first.train, old, 1000)
cn.fit(base, learned, epochs=1 if quick else 5, batch_size=64, normalization=first.normalization, schedule="one-cycle")
print(f"{first.name}: test accuracy {cn.evaluate(base, part(first.test, old))['accuracy']:.4f}")

test = part(second.test, new, 400)
print("images a class   fine-tuned               from nothing")
for few in FEW:
    results = [], []
    for seed in SEEDS:
        images = part(second.train, new, few, seed)
        epochs = max(10, -(-STEPS // -(-len(images) // 32)))
        ways = {"head_epochs": 2, "epochs": 1} if quick else {"epochs": epochs}
        tuned = cn.fine_tune(base, images, seed=seed, progress=False, **ways)
        fresh = cn.zoo.cnn(second.input_shape, len(new), seed=seed)
        ways = {
            "epochs": 3 if quick else max(40, 400 // -(-len(images) // 32)),
            "batch_size": 32,
            "schedule": "one-cycle",
            "progress": False,
        }
        cn.fit(fresh, images, optimizer="adamw", normalization=second.normalization, **ways)
        for model, found in zip((tuned, fresh), results, strict=True):
            found.append(cn.evaluate(model, test)["accuracy"])
    shown = [f"{np.mean(each):.4f} ({min(each):.4f} to {max(each):.4f})" for each in results]
    print(f"{few:14}   {shown[0]}   {shown[1]}", flush=True)
