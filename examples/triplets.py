"""Metric learning with triplets: pictures of the same kind come to lie near each other, kinds never seen among them.

    python triplets.py [DATA] [--quick]

A network makes thirty-two numbers of a picture, on a sphere. It learns from some of the classes that pictures of one
class should be nearer to each other than to any of another, by a margin. The loss picks its triplets from the images of
a batch: to each its farthest of the same class and its nearest of another (Hermans et al. 2017, arXiv:1703.07737).

Then it is asked about other pictures, of these classes and of new ones: is the nearest of the same kind? Beside it, the
pixels are asked the same.

What was not asked for in training may be lost: of the digits, pictures of the learned classes find their like better
than by their pixels, and those of new classes less often.

DATA is a data set by name; by default the digits that the package carries. --quick is one epoch. It writes
`neighbours.png`: in each row a picture of a class that was not learned from, and those that lie nearest. Half a minute.
"""

import sys

import numpy as np
from PIL import Image

import colonnade as cn

SIZE = 32
quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load((names or ["digits"])[0])
learned = len(data.classes) * 3 // 5
print("learned from", data.classes[:learned], "asked about", data.classes[learned:])


def part(examples, low, high):
    """The pixels of some classes, from 0 to 1, and their numbers."""
    chosen = (examples.y >= low) & (examples.y < high)
    return examples.x[chosen] / np.float32(255), examples.y[chosen]


triplet = cn.TripletMarginLoss(margin=2.0)


def of_the_hardest(y, labels):
    """The loss of a triplet for each image, and its gradient: an image may be in several."""
    squares = np.sum(y * y, axis=1)
    distances = squares[:, None] + squares - 2 * y @ y.T
    same = labels[:, None] == labels
    positive = np.where(same, distances, -np.inf).argmax(axis=1)
    negative = np.where(same, np.inf, distances).argmin(axis=1)
    loss, (grad, at_positive, at_negative) = triplet(y, y[positive], y[negative])
    np.add.at(grad, positive, at_positive)
    np.add.at(grad, negative, at_negative)
    return loss, grad


def nearest(codes, count=1):
    """The places of the nearest others of each."""
    squares = np.sum(codes * codes, axis=1)
    distances = squares[:, None] + squares - 2 * codes @ codes.T
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :count]


layers = [*cn.zoo.cnn(data.input_shape, SIZE), cn.RMSNorm(SIZE, elementwise_affine=False)]
model = cn.Model(layers, seed=0)
model.fit(
    *part(data.train, 0, learned),
    epochs=1 if quick else 30,
    batch_size=128,
    optimizer="adamw",
    schedule="one-cycle",
    loss=of_the_hardest,
)

for group, low, high in (("learned", 0, learned), ("new", learned, len(data.classes))):
    x, labels = (each[:2000] for each in part(data.test, low, high))
    codes = model(x)
    for name, each in (("pixels", x.reshape(len(x), -1)), ("embeddings", codes)):
        found = labels[nearest(each)[:, 0]]
        print(f"{group} classes, nearest of {len(x)} by {name}: {np.mean(found == labels):.4f} of the same class")

rows = np.linspace(0, len(x) - 1, 10).astype(int)
near = nearest(codes, 8)[rows]
strips = [np.concatenate([x[row, 0], *x[others, 0]], axis=1) for row, others in zip(rows, near, strict=True)]
Image.fromarray(np.uint8(255 * np.concatenate(strips))).save("neighbours.png")
model.save("triplets.safetensors")
