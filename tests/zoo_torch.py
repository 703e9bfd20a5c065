"""The networks of the zoo as one writes them in PyTorch, with the names of torchvision's models where it has them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn


def named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def mlp(features: int, classes: int, hidden: tuple[int, ...] = (512, 256)) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for units in hidden:
        layers += [nn.Linear(features, units), nn.ReLU()]
        features = units
    return nn.Sequential(*layers, nn.Linear(features, classes))


class BasicBlock(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride > 1 or channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, channels: int, classes: int, large: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, *((7, 2, 3) if large else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Fire(nn.Module):
    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], 1)


def squeezenet(channels: int, classes: int, large: bool) -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    first = nn.Conv2d(channels, 64, 3, 2) if large else nn.Conv2d(channels, 64, 3, 1, 1)
    features = [
        *(first, nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128)),
        *(Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
    ]
    classifier = [nn.Dropout(0.0), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return named(features=nn.Sequential(*features), classifier=nn.Sequential(*classifier), flatten=nn.Flatten())


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int, widening: int) -> None:
        super().__init__()
        inside = channels * widening
        layers = [conv_bn_relu6(channels, inside, 1, 1)] if widening > 1 else []
        layers += [conv_bn_relu6(inside, inside, 3, stride, inside), nn.Conv2d(inside, filters, 1, bias=False)]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(filters))
        self.adds = stride == 1 and channels == filters

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


def conv_bn_relu6(channels: int, filters: int, kernel_size: int, stride: int, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters), nn.ReLU6())


def mobilenet_v2(channels: int, classes: int, large: bool, width: float) -> nn.Module:
    def wide(filters: int) -> int:  # torchvision's _make_divisible
        made = max(8, int(filters * width + 4) // 8 * 8)
        return made + 8 if made < 0.9 * filters * width else made

    two = 2 if large else 1
    features: list[nn.Module] = [conv_bn_relu6(channels, wide(32), 3, two), InvertedResidual(wide(32), wide(16), 1, 1)]
    channels = wide(16)
    for filters, blocks, stride in ((24, 2, two), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        for number in range(blocks):
            features.append(InvertedResidual(channels, wide(filters), stride if number == 0 else 1, 6))
            channels = wide(filters)
    features.append(conv_bn_relu6(channels, 1280, 1, 1))
    return named(
        features=nn.Sequential(*features),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(nn.Dropout(0.0), nn.Linear(1280, classes)),
    )


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(4 * growth)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Any) -> Any:
        new = self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))
        return torch.cat([x, new], 1)


def densenet(channels: int, classes: int, depth: int, growth: int) -> nn.Module:
    filters = 2 * growth
    features: dict[str, nn.Module] = {"conv0": nn.Conv2d(channels, filters, 3, padding=1, bias=False)}
    for number in (1, 2, 3):
        block = {}
        for layer in range((depth - 4) // 6):
            block[f"denselayer{layer + 1}"] = DenseLayer(filters, growth)
            filters += growth
        features[f"denseblock{number}"] = named(**block)
        if number < 3:
            halved = nn.Conv2d(filters, filters // 2, 1, bias=False)
            transition = named(norm=nn.BatchNorm2d(filters), relu=nn.ReLU(), conv=halved, pool=nn.AvgPool2d(2))
            features[f"transition{number}"] = transition
            filters //= 2
    features["norm5"] = nn.BatchNorm2d(filters)
    return named(
        features=named(**features),
        relu=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(filters, classes),
    )


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.permute(self.dims)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),
        )

    def forward(self, x: Any) -> Any:
        return x + self.layer_scale * self.block(x)


def convnext(channels: int, classes: int, patch: int, depths: tuple[int, ...], widths: tuple[int, ...]) -> nn.Module:
    features: list[nn.Module] = []
    before = 0
    for filters, depth in zip(widths, depths, strict=True):
        if before:
            features.append(nn.Sequential(LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, filters, 2, 2)))
        else:
            features.append(nn.Sequential(nn.Conv2d(channels, filters, patch, patch), LayerNorm2d(filters, eps=1e-6)))
        features.append(nn.Sequential(*(ConvNeXtBlock(filters) for _ in range(depth))))
        before = filters
    return named(
        features=nn.Sequential(*features),
        pool=nn.AdaptiveAvgPool2d(1),
        classifier=nn.Sequential(LayerNorm2d(before, eps=1e-6), nn.Flatten(), nn.Linear(before, classes)),
    )


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * width, width), nn.Dropout(0.0)
        )

    def forward(self, x: Any) -> Any:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    def __init__(
        self, channels: int, classes: int, patch: int, tokens: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(channels, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        self.encoder.layers = named(**{f"encoder_layer_{n}": EncoderLayer(width, heads) for n in range(depth)})
        self.encoder.ln = nn.LayerNorm(width, eps=1e-6)
        self.heads = named(head=nn.Linear(width, classes))

    def forward(self, x: Any) -> Any:
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])


def autoencoder(channels: int, code: int, odd: bool) -> nn.Module:
    extra = 0 if odd else 1
    return named(
        encoder1=nn.Conv2d(channels, 32, 3, 2, 1),
        relu1=nn.ReLU(),
        encoder2=nn.Conv2d(32, code, 3, 2, 1),
        relu2=nn.ReLU(),
        decoder1=nn.ConvTranspose2d(code, 32, 3, 2, 1, 1),
        relu3=nn.ReLU(),
        decoder2=nn.ConvTranspose2d(32, channels, 3, 2, 1, extra),
    )


class NameModel(nn.Module):
    def __init__(self, context: int, classes: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, embedding)
        self.hidden = nn.Linear(context * embedding, hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, x: Any) -> Any:
        return self.output(torch.tanh(self.hidden(self.embedding(x.long()).flatten(1))))


class NameLSTM(nn.Module):
    def __init__(self, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Any) -> Any:
        return self.output(self.lstm(self.embedding(x.long()))[0]).transpose(1, 2)


class CausalLayer(EncoderLayer):
    def forward(self, x: Any) -> Any:
        y = self.ln_1(x)
        ahead = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = x + self.self_attention(y, y, y, attn_mask=ahead, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class NameTransformer(nn.Module):
    def __init__(self, length: int, classes: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, length, width))
        self.layers = named(**{f"layer_{n}": CausalLayer(width, heads) for n in range(depth)})
        self.ln = nn.LayerNorm(width)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Any) -> Any:
        x = self.embedding(x.long()) + self.pos_embedding
        return self.output(self.ln(self.layers(x))).transpose(1, 2)


class DoubleConv(nn.Module):
    def __init__(self, channels: int, filters: int, inside: int | None = None) -> None:
        super().__init__()
        inside = inside or filters
        self.double_conv = nn.Sequential(
            *(nn.Conv2d(channels, inside, 3, padding=1, bias=False), nn.BatchNorm2d(inside), nn.ReLU()),
            *(nn.Conv2d(inside, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()),
        )

    def forward(self, x: Any) -> Any:
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, channels: int, filters: int, bilinear: bool) -> None:
        super().__init__()
        self.up: nn.Module
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(channels, filters, channels // 2)
        else:
            self.up = nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(channels, filters)

    def forward(self, x: Any, beside: Any) -> Any:
        x = self.up(x)
        rows, columns = beside.shape[2] - x.shape[2], beside.shape[3] - x.shape[3]
        x = nn.functional.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(torch.cat([beside, x], dim=1))


class UNet(nn.Module):
    """After github.com/milesial/Pytorch-UNet, for any width and depth."""

    def __init__(self, channels: int, classes: int, width: int, depth: int, bilinear: bool) -> None:
        super().__init__()
        factor = 2 if bilinear else 1
        self.depth, self.inc = depth, DoubleConv(channels, width)
        for level in range(1, depth + 1):
            filters = width * 2**level // (factor if level == depth else 1)
            down = nn.Module()
            down.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width * 2 ** (level - 1), filters))
            setattr(self, f"down{level}", down)
            wide = width * 2 ** (depth - level + 1)
            setattr(self, f"up{level}", Up(wide, wide // 2 // (factor if level < depth else 1), bilinear))
        self.outc = named(conv=nn.Conv2d(width, classes, 1))

    def forward(self, x: Any) -> Any:
        levels = [self.inc(x)]
        for level in range(1, self.depth + 1):
            levels.append(getattr(self, f"down{level}").maxpool_conv(levels[-1]))
        x = levels.pop()
        for level in range(1, self.depth + 1):
            x = getattr(self, f"up{level}")(x, levels.pop())
        return self.outc(x)
