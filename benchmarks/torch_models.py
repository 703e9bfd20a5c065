"""The networks of `colonnade.zoo` in PyTorch, layer for layer: what the benchmarks run beside ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

Shape = tuple[int, int, int]


class Residual(nn.Module):
    """main(x) + shortcut(x)."""

    def __init__(self, main: list[nn.Module], shortcut: list[nn.Module] | None = None) -> None:
        super().__init__()
        self.main = nn.Sequential(*main)
        self.shortcut = nn.Sequential(*shortcut or [])

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.shortcut(x)


def lenet5(input_shape: Shape = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeCun et al. 1998, with every feature map of the second convolution connected to all of the first."""
    channels, height, width = input_shape
    features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(features, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, classes),
    )


def cnn(input_shape: Shape = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """The standard CNN: twice convolution, batch norm, ReLU and pool, then two dense layers."""
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for out in (32, 64):
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = out, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(channels * height * width, 128), nn.ReLU(), nn.Linear(128, classes)]
    return nn.Sequential(*layers)


def vgg(input_shape: Shape = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """A small VGG: pairs of 3×3 convolutions with 64, 128 and 256 channels."""
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for out in (64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))


def resnet20(input_shape: Shape = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """He et al. 2015 for CIFAR: three stages of three blocks, with projection shortcuts where the shape changes."""
    layers: list[nn.Module] = [
        nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    channels = 16
    for out in (16, 32, 64):
        for block in range(3):
            stride = 2 if block == 0 and out != 16 else 1
            main: list[nn.Module] = [
                nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.Conv2d(out, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
            ]
            projection: list[nn.Module] = [
                nn.Conv2d(channels, out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out),
            ]
            layers += [Residual(main, None if channels == out else projection), nn.ReLU()]
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def stack(input_shape: Shape, channels: int = 32, classes: int = 10) -> nn.Sequential:
    """Two convolutions of any width over images of any size: what the sweeps grow."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


MODELS: dict[str, Callable[..., nn.Sequential]] = {"lenet5": lenet5, "cnn": cnn, "resnet20": resnet20, "vgg": vgg}

# Where the networks of the tests are: the larger ones of the zoo, as one writes them in PyTorch.
ROOT = Path(__file__).resolve().parent.parent


def made(network: str, input_shape: Shape, classes: int = 10) -> nn.Module:
    """A network of the zoo, for images of that shape, nothing dropped out."""
    if network in MODELS:
        return MODELS[network](input_shape, classes)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests import zoo_torch

    channels, side = input_shape[0], input_shape[1]
    large = side >= 64
    larger: dict[str, Callable[[], nn.Module]] = {
        "resnet18": lambda: zoo_torch.ResNet18(channels, classes, large),
        "squeezenet": lambda: zoo_torch.squeezenet(channels, classes, large),
        "mobilenet_v2": lambda: zoo_torch.mobilenet_v2(channels, classes, large, 1.0),
        "densenet": lambda: zoo_torch.densenet(channels, classes, 40, 12),
        "convnext_tiny": lambda: zoo_torch.convnext(channels, classes, 4, (3, 3, 9, 3), (96, 192, 384, 768)),
        "vit_tiny": lambda: zoo_torch.VisionTransformer(channels, classes, 16, (side // 16) ** 2 + 1, 192, 12, 3),
    }
    return larger[network]()
