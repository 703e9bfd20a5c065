"""A folder of photographs: read as they are needed, augmented, learned, and tested on those held out.

    python photographs.py FOLDER [EPOCHS]

FOLDER has a folder for each class, or such folders within `train` and `val`; the photographs may be of any size and
kind. They are decoded once, kept in a file in the user's cache folder, and never all in memory.

With the 600 photographs of five kinds of flowers that it was tried on, it takes five minutes on two cores. Of the 150
held out it tells 69 % right, which says that of many more it would tell between 61 % and 76 %.
"""

import sys

import numpy as np

import colonnade as cn
from colonnade.metrics import wilson

folder = sys.argv[1]
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 60
photographs = cn.data.folder(folder, size=64)
print(photographs)

# What is in a photograph counts, not where: after four pools, the mean over all places. So the network has few weights
# to learn by heart from few photographs.
layers, channels = [], photographs.input_shape[0]
for filters in (32, 64, 128, 256):
    layers += [
        cn.Conv2d(channels, filters, 3, padding=1, bias=False),
        cn.BatchNorm2d(filters),
        cn.ReLU(),
        cn.MaxPool2d(2),
    ]
    channels = filters
layers += [cn.AdaptiveAvgPool2d(1), cn.Flatten(), cn.Dropout(0.3), cn.Dense(channels, len(photographs.classes))]
model = cn.Model(layers, seed=0)
model.classes = photographs.classes

# Every epoch sees each photograph a little differently: cropped, turned around, brighter or paler.
history = cn.fit(
    model,
    photographs.train,
    epochs=epochs,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.003),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.003, steps),
    loss=cn.CrossEntropyLoss(label_smoothing=0.1),
    validation=photographs.test,
    normalization=photographs.normalization,  # kept with the model: whoever predicts does the same
    augmentation=cn.data.augmentation.preset("photographs"),
)
print(history)

# How sure is that? The interval says between what the share of right answers would be on many more photographs.
predicted = cn.predict(model, photographs.test)
right = int((predicted == photographs.test.targets).sum())
low, high = wilson(right, len(predicted))
print(f"{right} of {len(predicted)} right: {right / len(predicted):.1%}, with 95 % confidence {low:.1%} to {high:.1%}")

# The mistakes of which it was surest are worth a look: at times it is the label that is wrong.
probabilities = cn.predict_proba(model, photographs.test)
sure = np.where(predicted == photographs.test.targets, 0, probabilities.max(axis=1))
for position in np.argsort(-sure)[:3]:
    if sure[position]:
        true, said = (model.classes[each[position]] for each in (photographs.test.targets, predicted))
        print(f"{photographs.test.paths[position]}: {true}, taken for {said} ({sure[position]:.0%} sure)")

model.save("photographs.safetensors")
