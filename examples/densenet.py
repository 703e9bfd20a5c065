"""DenseNet on handwritten digits: every layer sees what all layers before it made. 40 layers, 170,000 weights.

    python densenet.py [DATA] [--quick]

DATA is a data set by name or a folder of images; by default the digits that the package carries. --quick is one
epoch. About a minute.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load((names or ["digits"])[0], size=32)
print(data)

model = cn.zoo.densenet(data.input_shape, len(data.classes), depth=22 if quick else 40, seed=0)
model.classes = data.classes
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 20,
    batch_size=64,
    optimizer=cn.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=lambda optimizer, steps: cn.CosineAnnealingLR(optimizer, steps),
    validation=data.test,
    normalization=data.normalization,
)
print(history)
model.save("densenet.safetensors")
