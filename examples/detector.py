"""A one-stage detector: where the discs, squares and triangles of a picture are, in a single pass of the network.

    python detector.py [--quick]

The network looks at a picture of 64×64 pixels in 8×8 cells, and has three outputs for each (Redmon et al. 2015,
arXiv:1506.02640; boxes as in Tian et al. 2019, FCOS, arXiv:1904.01355):

    object  whether the middle of an object lies in the cell         binary cross-entropy, from logits
    box     how far left, top, right and bottom are from its middle  1 − GIoU, where there is an object
    class   which one it is                                          cross-entropy, where there is an object

GIoU (Rezatofighi et al. 2019, arXiv:1902.09630) is a loss of our own. It is put together from layers, as a model
of two inputs, and their backward pass is its gradient. What is found twice is left out by non-maximum suppression. How
good the detector is says the mean average precision. It writes `detected.png`, test pictures with what was found.
"""

import sys

import numpy as np
from PIL import Image, ImageDraw

import colonnade as cn
from colonnade import detection, losses

SIZE, CELL = 64, 8  # pixels a side
KINDS = ["disc", "square", "triangle"]
NOTHING = -1  # the class of a cell without an object
quick = "--quick" in sys.argv
rng = np.random.default_rng(0)
middles = np.arange(CELL // 2, SIZE, CELL)  # of the cells


# The pictures


def drawn(count):
    """Pictures (n, 3, 64, 64) of one to four shapes on noise, and what is in each."""
    pictures, objects = np.empty((count, 3, SIZE, SIZE), np.uint8), []
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    for picture in pictures:
        picture[...] = np.clip(rng.normal(rng.integers(40, 216, (3, 1, 1)), 25, picture.shape), 0, 255)
        boxes, classes = np.empty((0, 4)), []
        for kind in rng.integers(len(KINDS), size=rng.integers(1, 5)):
            side = rng.uniform(10, 28)
            left, top = rng.uniform(0, SIZE - side, 2)
            box = np.array([left, top, left + side, top + side])
            if (detection.box_iou([box], boxes) > 0.1).any():
                continue  # it would hide another
            across, down = (x - left) / side, (y - top) / side  # from 0 to 1 in the box
            inside = [
                (across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.25,
                (across > 0) & (across < 1) & (down > 0) & (down < 1),
                (abs(across - 0.5) < down / 2) & (down < 1),
            ][kind]
            picture[:, inside] = np.clip(rng.normal(rng.integers(256, size=(3, 1)), 15, (3, inside.sum())), 0, 255)
            boxes, classes = np.concatenate([boxes, box[None]]), [*classes, kind]
        objects.append(detection.Objects(boxes, np.array(classes)))
    return pictures, objects


def targets(objects):
    """What each output should say of each cell; a box without an object is all zeros."""
    cells = SIZE // CELL
    there, box = np.zeros((len(objects), 1, cells, cells)), np.zeros((len(objects), 4, cells, cells))
    kind = np.full((len(objects), cells, cells), NOTHING)
    for image, each in enumerate(objects):
        for (left, top, right, bottom), number in zip(*each, strict=True):
            row, column = int((top + bottom) / 2 // CELL), int((left + right) / 2 // CELL)
            x, y = middles[column], middles[row]
            there[image, 0, row, column], kind[image, row, column] = 1, number
            box[image, :, row, column] = np.array([x - left, y - top, right - x, bottom - y]) / CELL
    return {"object": there, "box": box, "class": kind}


# The loss of boxes

area = cn.Graph(
    {
        "before": (cn.Slice(1, 0, 2), "box"),  # left and top
        "behind": (cn.Slice(1, 2, 4), "box"),  # right and bottom
        "sides": (cn.Add(), "before", "behind"),
        "area": (cn.Prod(1, keepdim=True), "sides"),
    },
    ["box"],
)
overlap = cn.Graph(
    {
        "both": (cn.Minimum(), "found", "true"),  # two boxes about one point: distances are compared one by one
        "either": (cn.Maximum(), "found", "true"),
        "intersection": (area, "both"),
        "hull": (area, "either"),
        "of found": (area, "found"),
        "of true": (area, "true"),
        "together": (cn.Add(), "of found", "of true"),
        "union": (cn.Sub(), "together", "intersection"),
        "IoU": (cn.Div(), "intersection", "union"),
        "filled": (cn.Div(), "union", "hull"),
        "GIoU": (cn.Add(), "IoU", "filled"),  # and 1 less: IoU − (hull − union) / hull
    },
    ["found", "true"],
)


class GIoULoss(losses.Loss):
    """1 − GIoU of boxes (n, 4, h, w) with those that are there, of each place that has one."""

    def __init__(self):
        super().__init__()
        self.overlap = cn.Model(overlap)

    def count(self, shape, targets):
        """How many there are."""
        return np.count_nonzero(targets.any(axis=1))

    def terms(self, y, targets):
        """The sum, and its gradient at y."""
        there = targets.any(axis=1, keepdims=True)
        found, true = (np.where(there, each, 1) for each in (y, targets))  # elsewhere two that are the same
        loss = 2 - self.overlap((found, true), training=True)
        gradient, _ = self.overlap.backward(-1.0 * there)
        return float(np.sum(loss[there], dtype=np.float64)), gradient


# The network


def block(channels, filters, stride):
    """A convolution, batch norm and ReLU."""
    return [cn.Conv2d(channels, filters, 3, stride, 1, bias=False), cn.BatchNorm2d(filters), cn.ReLU()]


features = [*block(3, 16, 2), *block(16, 32, 2), *block(32, 64, 2), *block(64, 64, 1), *block(64, 64, 1)]
nodes = {
    "features": (cn.Model(features), "image"),
    "object": (cn.Conv2d(64, 1, 1), "features"),
    "distances": (cn.Conv2d(64, 4, 1), "features"),
    "box": (cn.Softplus(), "distances"),  # they are positive
    "class": (cn.Conv2d(64, len(KINDS), 1), "features"),
}
model = cn.Model(cn.Graph(nodes, ["image"], ["object", "box", "class"]), seed=0).build((3, SIZE, SIZE))


def found(pictures, least=0.05):
    """What the network finds in each picture: boxes in pixels whose score is at least so high, none of them twice."""
    made = []
    for there, box, kind in zip(*model.predict_outputs(pictures), strict=True):
        shares = np.exp(kind - kind.max(axis=0))
        scores = 1 / (1 + np.exp(-there[0])) * (shares / shares.sum(axis=0)).max(axis=0)
        rows, columns = np.nonzero(scores >= least)
        x, y = middles[columns], middles[rows]
        left, top, right, bottom = CELL * box[:, rows, columns]
        boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1)
        scores, classes = scores[rows, columns], kind.argmax(axis=0)[rows, columns]
        kept = detection.non_max_suppression(boxes, scores, classes)
        made.append(detection.Detections(boxes[kept], scores[kept], classes[kept]))
    return made


(x, objects), (x_test, objects_test) = drawn(100 if quick else 5000), drawn(40 if quick else 500)
history = model.fit(
    x,
    targets(objects),
    epochs=1 if quick else 10,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.003),
    schedule="one-cycle",
    loss={"object": "bce_with_logits", "box": GIoULoss(), "class": cn.CrossEntropyLoss(ignore_index=NOTHING)},
    loss_weights={"object": 10, "box": 1, "class": 1},  # of a cell, most of which are empty
    validation=(x_test, targets(objects_test)),
)
for name in ("object", "box", "class"):
    print(f"loss of {name}: {history[-1][f'test_loss_{name}']:.4f}")
answers = found(x_test)
precision = detection.mean_average_precision(answers, objects_test)
for number, value in zip(precision.classes, precision.each.mean(axis=0), strict=True):
    print(f"average precision of a {KINDS[number]}: {value:.3f}")
print(f"mean average precision {precision.mean:.3f}, {precision.each[0].mean():.3f} at an overlap of a half")

pictures = []
for picture, (boxes, scores, classes) in zip(x_test[:8], answers, strict=False):
    pictures.append(Image.fromarray(picture.transpose(1, 2, 0)).resize((256, 256), 0))
    pen = ImageDraw.Draw(pictures[-1])
    for box, score, kind in zip(4 * boxes, scores, classes, strict=True):
        if score >= 0.5:
            pen.rectangle([*box], outline="white")
            pen.text(box[:2], f"{KINDS[kind]} {score:.2f}", fill="white")
sheet = [np.concatenate([*map(np.asarray, pictures[start : start + 4])], axis=1) for start in (0, 4)]
Image.fromarray(np.concatenate(sheet)).save("detected.png")
model.save("detector.safetensors")
