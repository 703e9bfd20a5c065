"""ConvNeXt on photographs: 7×7 convolutions of one channel each, layer norm, GELU. A third of ConvNeXt-T's width.

A transformer's habits without attention. It is made for more photographs than a few hundred, so do not expect it to
beat a plain network on these.

    python convnext_tiny.py [DATA] [--quick]

DATA is a folder of photographs, a folder a class; by default the sub-folder `flowers` of the one that COLONNADE_DATA
names. --quick takes the digits that the package carries, for five seconds. About a minute.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["flowers"])[0], size=64)
print(data)

widths = (32, 64, 128, 256)
model = cn.zoo.convnext_tiny(data.input_shape, len(data.classes), depths=(2, 2, 6, 2), widths=widths, seed=0)
model.classes = data.classes
print(model.summary(batch_size=32))
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 20,
    max_time=5 if quick else None,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.002, weight_decay=0.05),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.002, steps),
    loss=cn.CrossEntropyLoss(label_smoothing=0.1),
    validation=data.test,
    normalization=data.normalization,
    augmentation=cn.data.augmentation.preset("none" if quick else "photographs"),
    clip=1.0,
)
print(history)
model.save("convnext_tiny.safetensors")
