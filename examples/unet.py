"""Every pixel its class: a U-Net finds three handwritten digits among pieces of others, and says which they are.

    python unet.py [DATA] [--quick]

DATA is a data set of digits by name; by default mnist. --quick takes the digits that the package carries, and few
pictures. A pixel is background or the class of the digit whose ink it is; where ink is faint nobody can tell, and it
does not count. Pieces of ink are background too, so that it takes more than the pixel itself to know.

How good it is says the mean IoU: of the pixels that are of a class or are said to be, the share that are both, averaged
over the classes. It writes `segmented.png`: test pictures, what is there, and what the network sees.
"""

import sys

import numpy as np
from PIL import Image

import colonnade as cn
from colonnade.metrics import class_ious, confusion_matrix, mean_iou

SIZE, PIECE = 64, 10  # pixels a side
UNKNOWN = -100  # the class of a pixel that does not count
quick = "--quick" in sys.argv
names = [argument for argument in sys.argv[1:] if argument != "--quick"]
data = cn.data.load("digits" if quick else (names or ["mnist"])[0])
rng = np.random.default_rng(0)


def scenes(part, count):
    """Pictures (n, 1, 64, 64) of three digits among twenty pieces, and the class of each pixel (n, 64, 64)."""
    times = 28 // part.x.shape[2]  # those of the package are small
    digits, labels = part.x[:, 0].repeat(times, axis=1).repeat(times, axis=2), part.targets
    side = digits.shape[1]
    x, classes = np.zeros((count, 1, SIZE, SIZE), np.uint8), np.zeros((count, SIZE, SIZE), int)
    for picture, target in zip(x[:, 0], classes, strict=True):
        for digit in digits[rng.integers(len(digits), size=20)]:
            (top, left), (row, column) = rng.integers(side - PIECE + 1, size=2), rng.integers(SIZE - PIECE + 1, size=2)
            place = picture[row : row + PIECE, column : column + PIECE]
            np.maximum(place, digit[top : top + PIECE, left : left + PIECE], out=place)
        for quarter in rng.permutation(4)[:3]:
            number, shift = rng.integers(len(digits)), rng.integers(SIZE // 2 - side + 1, size=2)
            row, column = np.array(divmod(quarter, 2)) * SIZE // 2 + shift
            place = np.s_[row : row + side, column : column + side]
            np.maximum(picture[place], digits[number], out=picture[place])
            target[place][digits[number] > 50] = UNKNOWN
            target[place][digits[number] > 120] = 1 + labels[number]
    return x, classes


train, test = scenes(data.train, 100 if quick else 3000), scenes(data.test, 40 if quick else 300)
model = cn.zoo.unet((1, SIZE, SIZE), 1 + len(data.classes), width=4 if quick else 8, depth=3, seed=0)
model.classes = ["background", *data.classes]
history = model.fit(
    *train,
    epochs=1 if quick else 6,
    batch_size=8,
    optimizer=cn.AdamW(model.parameters(), lr=0.01),
    schedule="one-cycle",
    validation=test,
)
print(history)

seen = model.predict(test[0])
confusion = confusion_matrix(seen, test[1], len(model.classes), ignore_index=UNKNOWN)
for name, iou in zip(model.classes, class_ious(confusion), strict=True):
    print(f"IoU of {name}: {iou:.3f}")
print(f"mean IoU {mean_iou(confusion):.3f}")

colors = np.array([(0, 0, 0), *rng.integers(60, 256, (len(data.classes), 3))], np.uint8)
pixels, there = test[0][:8, 0, :, :, None], test[1][:8]
true = np.where((there == UNKNOWN)[..., None], 90, colors[np.maximum(there, 0)])
rows = [np.repeat(pixels, 3, axis=-1), true, colors[seen[:8]]]
picture = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), 0).save("segmented.png")
model.save("unet.safetensors")
