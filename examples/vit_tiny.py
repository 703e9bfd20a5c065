"""A vision transformer on pictures of garments: 7×7 patches of 4×4 pixels, read like the words of a sentence.

    python vit_tiny.py [DATA] [--quick]

DATA is a data set by name or a folder of images; by default fashion-mnist. --quick takes the digits that the package
carries, for one epoch. It is a small ViT, 64 numbers a patch and four layers, and images are moved and turned around:
a transformer does not know that neighbouring pixels belong together, and must learn it. About five minutes.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["fashion-mnist"])[0], size=32)
print(data)

model = cn.zoo.vit_tiny(data.input_shape, len(data.classes), patch_size=4, width=64, depth=4, heads=4, seed=0)
model.classes = data.classes
print(model.summary(batch_size=128))
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 3,
    batch_size=128,
    optimizer=cn.AdamW(model.parameters(), lr=0.001, weight_decay=0.05),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.001, steps),
    validation=data.test,
    normalization=data.normalization,
    augmentation=cn.data.augmentation.preset("none" if quick else "light"),
    clip=1.0,
)
print(history)
model.save("vit_tiny.safetensors")
