"""Make docs/assets/augmentation.png: what each augmentation does to a drawn scene, a row each."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from colonnade.data.augmentation import (
    Augmentation,
    ColorJitter,
    CutMix,
    Cutout,
    MixUp,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    preset,
)
from colonnade.data.draws import Draws

FILE = Path(__file__).parents[1] / "docs" / "assets" / "augmentation.png"
SIDE, COLUMNS, GAP, LABEL = 64, 7, 4, 178
FINER = 4  # the scenes are drawn so many times larger, and made smaller: smooth edges

ROWS: list[tuple[str, Augmentation]] = [
    ("RandomHorizontalFlip()", RandomHorizontalFlip()),
    ("RandomVerticalFlip()", RandomVerticalFlip()),
    ("RandomCrop(padding=12)", RandomCrop(padding=12)),
    ("… padding_mode='reflect'", RandomCrop(padding=12, padding_mode="reflect")),
    ("RandomResizedCrop()", RandomResizedCrop()),
    ("RandomRotation(30)", RandomRotation(30)),
    ("… 'bilinear', fill=0.5", RandomRotation(30, "bilinear", fill=0.5)),
    ("RandomAffine(15, (0.1, 0.1),\n  (0.7, 1.3), shear=15)", RandomAffine(15, (0.1, 0.1), (0.7, 1.3), 15, "bilinear")),
    ("ColorJitter(brightness=0.6)", ColorJitter(brightness=0.6)),
    ("ColorJitter(contrast=0.8)", ColorJitter(contrast=0.8)),
    ("ColorJitter(saturation=1)", ColorJitter(saturation=1)),
    ("ColorJitter(hue=0.5)", ColorJitter(hue=0.5)),
    ("RandomErasing(p=1)", RandomErasing(p=1)),
    ("… value='random'", RandomErasing(p=1, value="random")),
    ("Cutout(24)", Cutout(24)),
    ("RandAugment()", RandAugment()),
    ("… num_ops=3, magnitude=20", RandAugment(3, 20)),
    ("MixUp()", MixUp(classes=2)),
    ("CutMix()", CutMix(classes=2)),
    *((f"preset({name!r})", preset(name)) for name in ("light", "characters", "objects", "photographs", "strong")),
]


def cottage() -> Image.Image:
    """A house on a green hill, under a sun."""
    image, draw = _sky((118, 178, 230), (232, 240, 246))
    draw.ellipse(_scaled(50, 6, 64, 20), (255, 222, 90))
    draw.polygon(_scaled(0, 48, 22, 20, 44, 46, 60, 30, 72, 44, 72, 72, 0, 72), (120, 140, 165))
    draw.ellipse(_scaled(-30, 42, 100, 120), (96, 158, 74))
    draw.rectangle(_scaled(22, 34, 48, 56), (244, 226, 196))
    draw.polygon(_scaled(18, 35, 35, 22, 52, 35), (178, 62, 48))
    draw.rectangle(_scaled(25, 40, 32, 47), (92, 128, 170))
    draw.rectangle(_scaled(38, 42, 45, 56), (104, 68, 44))
    draw.rectangle(_scaled(8, 44, 11, 58), (96, 66, 40))
    draw.ellipse(_scaled(1, 28, 18, 48), (46, 110, 58))
    return image


def boat() -> Image.Image:
    """A sail on the sea, in the evening."""
    image, draw = _sky((64, 52, 110), (250, 160, 96))
    draw.ellipse(_scaled(10, 30, 26, 46), (255, 226, 150))
    draw.rectangle(_scaled(0, 40, 72, 72), (34, 72, 112))
    for row in range(42, 72, 5):
        draw.line(_scaled(row * 7 % 40, row, row * 7 % 40 + 24, row), (70, 116, 158), FINER)
    draw.polygon(_scaled(26, 52, 62, 52, 55, 61, 33, 61), (150, 60, 42))
    draw.polygon(_scaled(42, 12, 42, 49, 24, 49), (246, 242, 230))
    draw.polygon(_scaled(45, 18, 45, 49, 60, 49), (222, 120, 60))
    return image


def _scaled(*numbers: int) -> list[int]:
    return [number * FINER * SIDE // 72 for number in numbers]


def _sky(above: tuple[int, ...], below: tuple[int, ...]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    share = np.linspace(0, 1, SIDE * FINER)[:, None, None]
    rows = (1 - share) * np.array(above) + share * np.array(below)
    image = Image.fromarray(np.repeat(rows, SIDE * FINER, axis=1).astype(np.uint8))
    return image, ImageDraw.Draw(image)


def pictures() -> Image.Image:
    """A row an augmentation: the scene as it is, and what came of it six times."""
    scenes = np.stack(
        [
            np.asarray(scene.filter(ImageFilter.BoxBlur(1)).resize((SIDE, SIDE), Image.Resampling.BOX))
            for scene in (cottage(), boat())
        ]
    )
    # Every image's partner in MixUp and CutMix is the one before it: the other scene.
    batch = np.tile(scenes, (COLUMNS, 1, 1, 1)).astype(np.float32).transpose(0, 3, 1, 2) / 255
    targets = np.tile([0, 1], COLUMNS)
    font = ImageFont.load_default(size=12)
    step = SIDE + GAP
    page = Image.new("RGB", (LABEL + COLUMNS * step, len(ROWS) * step + GAP), "white")
    draw = ImageDraw.Draw(page)
    for row, (label, augmentation) in enumerate(ROWS):
        top = GAP + row * step
        draw.text((GAP, top + SIDE // 2), label, "black", font, anchor="lm")
        x, _ = augmentation(batch, targets, Draws(seed=1, epoch=row, positions=np.arange(len(batch))))
        x[0] = batch[0]
        for column, image in enumerate(x[::2]):  # those of the first scene
            pixels = np.clip(np.rint(image.transpose(1, 2, 0) * 255), 0, 255).astype(np.uint8)
            page.paste(Image.fromarray(pixels), (LABEL + column * step, top))
    return page


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    # 256 colours are enough for a drawing, and take half the bytes.
    pictures().quantize(256, dither=Image.Dither.NONE).save(FILE, optimize=True)
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")
