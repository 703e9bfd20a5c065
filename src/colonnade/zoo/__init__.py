"""Models that everybody knows, by name. Each takes one image's shape, the number of classes and Model's options.

Where PyTorch's torchvision has the same network, the parameters have its names.
"""

from .autoencoder import autoencoder
from .convnext import convnext_tiny
from .densenet import densenet
from .language import name_lstm, name_model, name_transformer
from .mobile import mobilenet_v2, squeezenet
from .plain import cnn, lenet5, mlp, photo_cnn, vgg
from .residual import resnet9, resnet18, resnet20
from .segmentation import unet
from .transformer import vit_tiny

__all__ = [
    "autoencoder",
    "cnn",
    "convnext_tiny",
    "densenet",
    "lenet5",
    "mlp",
    "mobilenet_v2",
    "name_lstm",
    "name_model",
    "name_transformer",
    "photo_cnn",
    "resnet18",
    "resnet20",
    "resnet9",
    "squeezenet",
    "unet",
    "vgg",
    "vit_tiny",
]
