"""A residual network on photographs: ResNet-18, eleven million weights, each block adding to what it was given.

    python resnet18.py [DATA] [--quick]

DATA is a folder of photographs, a folder a class; by default the sub-folder `flowers` of the one that COLONNADE_DATA
names. --quick takes the digits that the package carries, for five seconds. About two minutes.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["flowers"])[0], size=64)
print(data)

model = cn.zoo.resnet18(data.input_shape, len(data.classes), seed=0)
model.classes = data.classes
print(model.summary(batch_size=32))
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 15,
    max_time=5 if quick else None,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.001, weight_decay=0.05),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.001, steps),
    loss=cn.CrossEntropyLoss(label_smoothing=0.1),
    validation=data.test,
    normalization=data.normalization,
    augmentation=cn.data.augmentation.preset("none" if quick else "photographs"),
)
print(history)
model.save("resnet18.safetensors")
