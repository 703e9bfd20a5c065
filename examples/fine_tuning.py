"""Fine-tuning on a small machine: what a network has learned of some classes, used for others it has never seen.

    python fine_tuning.py [DATA] [--quick]

A network learns the first half of the classes. Its lower part is frozen and cut off; what it makes of the images of
the other classes, their features, is computed once and kept on disk; a new head learns from fifty images a class.
Beside it, the same network learns the fifty images from nothing.

DATA is a data set by name; by default fashion-mnist. --quick takes the digits that the package carries, for one
epoch. About a minute.
"""

import sys
import tempfile
import time

import numpy as np

import colonnade as cn

FEW = 50  # images of each new class
quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["fashion-mnist"])[0])
half = len(data.classes) // 2
print("first", data.classes[:half], "then", data.classes[half:])


def part(examples, classes, at_most=None):
    """The images of some classes, numbered from 0; of each class so many at most."""
    chosen = np.concatenate([np.flatnonzero(examples.y == number)[:at_most] for number in classes])
    return cn.data.Arrays(examples.x[chosen], examples.y[chosen] - classes[0])


def learn(model, examples, epochs):
    """Train for a while, at a rate that rises and falls; return the seconds it took."""
    began = time.perf_counter()
    optimizer = cn.AdamW(model.parameters(), lr=0.003)
    schedule = cn.OneCycleLR(optimizer, 0.003, epochs * -(-len(examples) // 64))
    cn.fit(model, examples, epochs=1 if quick else epochs, batch_size=64, optimizer=optimizer, schedule=schedule)
    return time.perf_counter() - began


# 1. Learn the first classes, from all of their images.
base = cn.zoo.cnn(data.input_shape, half, seed=0)
base.normalization = data.normalization
seconds = learn(base, part(data.train, range(half)), 3)
accuracy = cn.evaluate(base, part(data.test, range(half)))["accuracy"]
print(f"the first classes: test accuracy {accuracy:.4f} after {seconds:.1f} s")

few = part(data.train, range(half, 2 * half), FEW)
test = part(data.test, range(half, 2 * half))

# 2. Everything below the dense layers is frozen: no gradient is computed there, and nothing kept for one.
shape = (64, *data.input_shape)
before = base.plan(shape, training=True).bytes
base.freeze(*(str(position) for position in range(9)))
after = base.plan(shape, training=True).bytes
print(f"a step on 64 images takes {before:,} bytes, with the lower part frozen {after:,}")

# 3. The lower part alone makes features, once, and a file keeps them; a new head learns from those.
body = base.cut(8)
with tempfile.TemporaryDirectory() as folder:
    began = time.perf_counter()
    features, test_features = (cn.cached_features(body, examples, folder) for examples in (few, test))
    computed = time.perf_counter() - began
    head = cn.Model([cn.Dense(features.shape[0], 128), cn.ReLU(), cn.Dense(128, half)], seed=1)
    seconds = learn(head, features, 20)
    accuracy = cn.evaluate(head, test_features)["accuracy"]
    print(f"a new head on {len(few)} images: test accuracy {accuracy:.4f}, {computed:.1f} + {seconds:.1f} s")

# 4. Body and head are one model again, for whoever wants to use it.
model = cn.Model([*body, *head]).build(data.input_shape)
model.normalization, model.classes = data.normalization, data.classes[half:]
assert cn.evaluate(model, test)["accuracy"] == accuracy
model.save("fine_tuning.safetensors")

# 5. The same images without what was learned before.
fresh = cn.zoo.cnn(data.input_shape, half, seed=0)
fresh.normalization = data.normalization
seconds = learn(fresh, few, 20)
accuracy = cn.evaluate(fresh, test)["accuracy"]
print(f"the whole network from nothing: test accuracy {accuracy:.4f} after {seconds:.1f} s")
