"""Losses: how far a batch of outputs is from its targets, and the gradient there.

Names, arguments and defaults are those of torch.nn. A loss is called with the outputs of a model and returns both
the loss and its gradient at them: `loss, grad = CrossEntropyLoss()(y, targets)`. Where it compares several outputs, it
returns a gradient at each: `loss, (at_x1, at_x2) = CosineEmbeddingLoss()(x1, x2, targets)`.
"""

from .alignment import CTCLoss
from .base import Loss
from .classification import BCEWithLogitsLoss, CrossEntropyLoss, NLLLoss
from .distributions import GaussianNLLLoss, KLDivLoss
from .embeddings import CosineEmbeddingLoss, TripletMarginLoss
from .regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss

__all__ = [
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
    "TripletMarginLoss",
]
