"""A denoising autoencoder: noisy pictures in, clean ones out, through a place eight channels wide.

    python autoencoder.py [DATA] [--quick]

DATA is a data set by name; by default fashion-mnist. --quick takes the digits that the package carries, for one
epoch. It writes `denoised.png`: clean pictures above, the same with noise, and below what the network makes of them.
About a minute.
"""

import sys

import numpy as np
from PIL import Image

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["fashion-mnist"])[0])
rng = np.random.default_rng(0)


def clean_and_noisy(images):
    """Pixels from 0 to 1, and the same with noise as large as they are."""
    clean = images.astype(np.float32) / 255
    return clean, clean + rng.normal(0, 0.4, clean.shape).astype(np.float32)


clean, noisy = clean_and_noisy(data.train.x)
test_clean, test_noisy = clean_and_noisy(data.test.x)

model = cn.zoo.autoencoder(data.input_shape, seed=0)
print(model.summary(batch_size=128))
history = cn.fit(
    model,
    noisy,
    clean,
    epochs=1 if quick else 5,
    batch_size=128,
    optimizer=cn.AdamW(model.parameters(), lr=0.003),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.003, steps),
    loss=cn.MSELoss(),
    validation=(test_noisy, test_clean),
)
print(history)
denoised = model(test_noisy)
for name, images in (("noisy", test_noisy), ("denoised", denoised)):
    print(f"mean squared error, {name}: {np.mean((images - test_clean) ** 2):.4f}")

rows = [np.concatenate(images[:12, 0], axis=1) for images in (test_clean, test_noisy, denoised)]
picture = np.clip(np.concatenate(rows), 0, 1)
Image.fromarray(np.uint8(255 * picture)).resize((4 * picture.shape[1], 4 * picture.shape[0]), 0).save("denoised.png")
model.save("autoencoder.safetensors")
