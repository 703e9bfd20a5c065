"""A multilayer perceptron on pictures of garments: what dense layers alone can do, half a million weights of them.

    python mlp.py [DATA] [--quick]

DATA is a data set by name or a folder of images; by default fashion-mnist. --quick takes the digits that the package
carries, for one epoch. About half a minute.
"""

import sys

import colonnade as cn

quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["fashion-mnist"])[0])
print(data)

model = cn.zoo.mlp(data.input_shape, len(data.classes), seed=0)
model.classes = data.classes
history = cn.fit(
    model,
    data.train,
    epochs=1 if quick else 10,
    batch_size=128,
    optimizer=cn.AdamW(model.parameters(), lr=0.002),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.002, steps),
    validation=data.test,
    normalization=data.normalization,
)
print(history)
model.save("mlp.safetensors")
