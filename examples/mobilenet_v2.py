"""MobileNetV2 on photographs: a network made for telephones, here of half its width.

Convolutions of one channel each, between wide and narrow layers, take few operations, but all of the image through
memory: it is memory, not arithmetic, that their speed depends on.

    python mobilenet_v2.py [DATA] [--quick]

DATA is a folder of photographs, a folder a class; by default the sub-folder `flowers` of the one that COLONNADE_DATA
names. --quick takes the digits that the package carries, for five seconds. About two minutes.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["flowers"])[0], size=64)
print(data)

model = cn.zoo.mobilenet_v2(data.input_shape, len(data.classes), width=0.5, seed=0)
model.classes = data.classes
print(model.summary(batch_size=32))
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 30,
    max_time=5 if quick else None,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.003, weight_decay=0.05),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.003, steps),
    loss=cn.CrossEntropyLoss(label_smoothing=0.1),
    validation=data.test,
    normalization=data.normalization,
    augmentation=cn.data.augmentation.preset("none" if quick else "light"),
)
print(history)
model.save("mobilenet_v2.safetensors")
