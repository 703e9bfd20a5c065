"""Make src/colonnade/data/digits.npz from scikit-learn's copy of the UCI optical digits (pip install scikit-learn)."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FILE = Path(__file__).parents[1] / "src" / "colonnade" / "data" / "digits.npz"
HELD_OUT = 5  # every fifth image of each class, so that no random stream decides what is held out


def split(labels: np.ndarray) -> np.ndarray:
    """Whether each image is held out: every fifth of its class, in the order of the original."""
    held_out = np.zeros(len(labels), bool)
    for digit in np.unique(labels):
        held_out[np.flatnonzero(labels == digit)[HELD_OUT - 1 :: HELD_OUT]] = True
    return held_out


def arrays() -> dict[str, np.ndarray]:
    """What the file holds."""
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    test = split(labels)
    return {
        "train_images": images[~test],  # (1442, 8, 8), 0 to 16
        "train_labels": labels[~test],  # (1442,)
        "test_images": images[test],  # (355, 8, 8)
        "test_labels": labels[test],  # (355,)
    }


if __name__ == "__main__":
    made = arrays()
    np.savez_compressed(FILE, **made)
    print(f"{FILE}: {FILE.stat().st_size:,} bytes", {name: array.shape for name, array in made.items()})
