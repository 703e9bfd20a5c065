"""A variational autoencoder: clothes that nobody made, drawn from sixteen numbers each.

    python variational_autoencoder.py [DATA] [--quick]

The encoder puts out a normal distribution for each picture, its means μ and the logarithms s of its variances. The
decoder makes a picture of a sample of it, z = μ + exp(s / 2) · ε. The noise ε is a second input, and the model has two
outputs with a loss each (Kingma & Welling 2013, arXiv:1312.6114):

    picture       −log p(x | z), the binary cross-entropy of its pixels
    distribution  KL(N(μ, exp(s)) ‖ N(0, 1)) = ½ Σ (exp(s) + μ² − 1 − s)

DATA is a data set by name; by default fashion-mnist. --quick takes the digits that the package carries, for one
epoch. It writes `drawn.png`: test pictures above, what is left of them below, and three rows of pictures from noise
alone.
"""

import sys

import numpy as np
from PIL import Image

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["fashion-mnist"])[0])
rng = np.random.default_rng(0)
shape, size, code = data.input_shape, int(np.prod(data.input_shape)), 16

decoder = {
    "code": (cn.Dense(code, 256), "sample"),
    "bent": (cn.ReLU(), "code"),
    "logits": (cn.Dense(256, size), "bent"),
    "picture": (cn.Unflatten(1, shape), "logits"),
}
nodes = {
    "flat": (cn.Flatten(), "image"),
    "hidden": (cn.Dense(size, 256), "flat"),
    "kept": (cn.ReLU(), "hidden"),
    "distribution": (cn.Dense(256, 2 * code), "kept"),
    "mean": (cn.Slice(1, 0, code), "distribution"),
    "log variance": (cn.Slice(1, code), "distribution"),
    "half": (cn.Affine(0.5), "log variance"),
    "deviation": (cn.Exp(), "half"),
    "spread": (cn.Mul(), "deviation", "noise"),
    "sample": (cn.Add(), "mean", "spread"),
}
model = cn.Model(cn.Graph(nodes | decoder, ["image", "noise"], ["picture", "distribution"]), seed=0)


def divergence(y, _):
    """KL(N(μ, exp(s)) ‖ N(0, 1)) of a mean image, and its gradient."""
    mean, s = y[:, :code], y[:, code:]
    loss = 0.5 * np.sum(np.exp(s) + mean**2 - 1 - s, dtype=np.float64) / len(y)
    return loss, np.concatenate([mean, (np.exp(s) - 1) / 2], axis=1) / len(y)


def given(part):
    """Pixels from 0 to 1 with noise, and what each output is to be."""
    pixels = part.x.astype(np.float32) / 255
    noise = rng.standard_normal((len(pixels), code), np.float32)
    return {"image": pixels, "noise": noise}, {"picture": pixels, "distribution": None}


objective = {
    "loss": {"picture": "bce_with_logits", "distribution": divergence},
    "loss_weights": {"picture": size, "distribution": 1},  # the sum over an image's pixels, not their mean
}
model.build((shape, (code,)))
optimizer = cn.Adam(model.parameters(), lr=0.001)
for epoch in range(1 if quick else 10):  # each with other noise
    model.fit(*given(data.train), optimizer=optimizer, seed=epoch, **objective)
    found = model.evaluate(*given(data.test), **objective)
    print(f"epoch {epoch + 1}: bound {found['loss']:.2f} nats, {found['loss_distribution']:.2f} of them divergence")


def drawn(logits):
    """Pixels of pictures side by side."""
    return np.concatenate(list(1 / (1 + np.exp(-logits[:, 0]))), axis=1)


x, _ = given(data.test)
left, _ = model({"image": x["image"][:12], "noise": np.zeros((12, code))})
painter = cn.Model(cn.Graph(decoder, ["sample"], ["picture"]))  # the same layers, and so the same weights
noise = rng.standard_normal((3, 12, code))
rows = [np.concatenate(list(x["image"][:12, 0]), axis=1), drawn(left), *(drawn(painter(row)) for row in noise)]
picture = np.clip(np.concatenate(rows), 0, 1)
Image.fromarray(np.uint8(255 * picture)).resize((4 * picture.shape[1], 4 * picture.shape[0]), 0).save("drawn.png")
model.save("variational_autoencoder.safetensors")
