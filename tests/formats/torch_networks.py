"""Networks written in PyTorch in the many ways that people write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch  # needs the package above
from torch import nn
from torch.nn import functional

from tests import zoo_torch


class Function(nn.Module):
    """A function of tensors as a module, of float64."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("precision", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        return self.function(x)


class SqueezeAndExcitation(nn.Module):
    """Gates of each channel, by functions and arithmetic rather than by modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.down, self.up = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1))

    def forward(self, x: Any, mask: Any = None) -> Any:
        x = functional.relu_(self.conv((x - self.mean) / 0.25))
        gate = torch.sigmoid(self.up(functional.silu(self.down(functional.adaptive_avg_pool2d(x, 1)))))
        x = x * gate * self.scale
        if mask is not None:
            x = x * mask
        return functional.dropout(x.mean((2, 3)), 0.0, self.training)


class Attention(nn.Module):
    """Attention by hand, the three parts of it cut from one product with the batch's axis out of the way."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        n, t, d = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused:
            q, k, v = qkv.unbind(0)
            x = functional.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = qkv[0] * (d // self.heads) ** -0.5, qkv[1], qkv[2]
            x = (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, t, d))


class SmallTransformer(nn.Module):
    """Patches, a class token, attention by hand and an encoder of PyTorch's own."""

    def __init__(self, width: int = 12, fused: bool = True, norm_first: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 7, width) * 0.1)
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, 3, fused)
        layer = nn.TransformerEncoderLayer(width, 2, 16, 0.0, "gelu", batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        x = self.patches(x)
        n, c, h, w = x.shape
        torch._assert(h * w < self.position.shape[1], "more patches than positions")
        x = x.view(n, c, h * w).transpose(1, 2)
        x = torch.cat((self.token.expand(n, -1, -1), x), dim=1)
        x = x + self.position[:, : h * w + 1]
        x = x + self.attention(self.norm(x))
        return self.head(self.encoder(x)[:, 0])


class ShuffleUnit(nn.Module):
    """Half of the channels through a path, then all of them shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.path = nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.BatchNorm2d(4), nn.ReLU(inplace=True))

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, self.path(right)), dim=1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


class ChannelsLastBlock(nn.Module):
    """A block of ConvNeXt as its authors write it, with channels moved last and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.gamma = nn.Parameter(torch.randn(channels))

    def forward(self, x: Any) -> Any:
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.pwconv2(functional.gelu(self.pwconv1(self.norm(y))))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class Weights(nn.Module):
    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(outputs, inputs)), nn.Parameter(torch.randn(outputs))

    def forward(self, x: Any) -> Any:
        return functional.linear(functional.relu(x), self.weight, self.bias)


class Shared(nn.Module):
    """One convolution and one batch norm that run twice, one pool at two sizes, and weights handed to a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(2, 6)
        self.pool = nn.MaxPool2d(2)
        self.last = Weights(4, 6)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        x = self.norm(self.conv(x)).relu()
        x = self.pool(self.norm(self.conv(x)).relu())
        x = self.pool(x).flatten(2).mean(-1)
        return self.last(x)


class TwoInputsTwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(3, 4)

    def forward(self, a: Any, b: Any) -> Any:
        a, b = self.left(a), torch.tanh(self.right(b))
        return {"product": a * b, "difference": torch.sub(a, b, alpha=0.5)}


class Unpooling(nn.Module):
    """Down and up again, with a bridge."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4, affine=True), nn.LeakyReLU(0.1))
        self.bottom = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ELU())
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.last = nn.Conv2d(12, 2, 1)

    def forward(self, x: Any) -> Any:
        x = self.down(x)
        y = self.bottom(x)
        wide = functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        z = torch.cat([x, self.up(y) + x, functional.interpolate(wide[:, 4:], size=(8, 12), mode="nearest")], 1)
        return self.last(z)


class Within(nn.Module):
    """A module within another, called with `times` times the same tensor."""

    def __init__(self, inner: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.inner, self.times = inner, times

    def forward(self, x: Any) -> Any:
        return self.inner(*[x] * self.times)


class LastStep(nn.Module):
    """What a recurrent layer of both directions has made at the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.lstm(x)
        return self.fc(y[:, -1])


class LastStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, batch_first=True)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        _, (h, c) = self.lstm(x)
        return self.fc(h[-1] * c[0])


class StepsFirst(nn.Module):
    """Sequences with the steps in front, as PyTorch has them by default."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 6, bidirectional=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.gru(x.transpose(0, 1))
        return self.fc(y.transpose(0, 1))


class EncoderAndDecoder(nn.Module):
    """The last state of one recurrent layer is the first of another."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(4, 6, 2, batch_first=True)
        self.decoder = nn.RNN(4, 6, 2, "relu", batch_first=True)

    def forward(self, x: Any) -> Any:
        _, h = self.encoder(x)
        y, _ = self.decoder(torch.tanh(x), h)
        return y


class FirstStates(nn.Module):
    """States before the first step: zeros of the batch's size, and learned ones that are expanded to it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, batch_first=True)
        self.first = nn.Parameter(torch.randn(2, 1, 6))

    def forward(self, x: Any) -> Any:
        zeros = torch.zeros(2, x.size(0), 6, dtype=x.dtype)
        y, _ = self.lstm(x, (self.first.expand(-1, x.shape[0], -1), zeros))
        return y


class Anything(nn.Module):
    def forward(self, *x: Any) -> Any:
        return x[0]


class NoTensor(nn.Module):
    def forward(self, x: Any) -> Any:
        return x, "text"


class OnlySquare(nn.Module):
    def forward(self, x: Any) -> Any:
        torch._assert(x.shape[2] == x.shape[3], "expected a square")
        return x * 2


# By name: how it is made, one image's shape, and whether the shape must be known for it to be converted.


class Windows(nn.Module):
    """Attention in windows that are rolled and moved into the axis of the batch, with a table of relative places."""

    def __init__(self, decide: bool = False) -> None:
        super().__init__()
        self.decide = decide
        self.norm, self.qkv, self.proj = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, 4)
        self.table = nn.Parameter(torch.zeros(9, 2))
        self.register_buffer("places", torch.arange(16).reshape(4, 4) % 9, persistent=False)
        # Of the last window some places are others' neighbours only because the image was rolled.
        self.register_buffer("mask", torch.zeros(6, 1, 4, 4))
        self.mask[-1, 0, 0, 1:] = -100.0
        self.bn = nn.BatchNorm1d(4)

    def forward(self, x: Any) -> Any:
        x = x.permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        if self.decide and (h % 2 or w % 2):  # torch.fx can't follow this
            x = functional.pad(x, (0, 0, 0, w % 2, 0, h % 2))
        if self.decide:
            h, w = x.shape[1], x.shape[2]
        shifted = torch.roll(x, (-1, -1), (1, 2))
        windows = shifted.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(self.norm(windows)).reshape(-1, 4, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.places.view(-1)].view(4, 4, -1).permute(2, 0, 1).contiguous()
        scores = q @ k.transpose(-2, -1) + (16 * torch.sigmoid(bias)).unsqueeze(0)
        scores = scores.view(n, h * w // 4, 2, 4, 4) + self.mask
        windows = (scores.view(-1, 2, 4, 4).softmax(-1) @ v).transpose(1, 2).reshape(windows.shape[0], 4, c)
        windows = self.proj(self.bn(windows.flatten(0, 1)).reshape_as(windows))
        y = windows.view(-1, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return x + torch.roll(y, shifts=(1, 1), dims=(1, 2))


class Cells(nn.Module):
    """Convolutions and batch norms of the cells of a grid, which stand in the axis of the batch as images do."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.norm = nn.Conv2d(2, 4, 3, padding=(1, 2), dilation=(1, 2)), nn.BatchNorm2d(4)
        self.deep = nn.Conv2d(4, 4, (2, 3), stride=(2, 1), padding=1, groups=4, bias=False)
        self.same, self.flat = nn.Conv2d(4, 2, (3, 5), padding="same"), nn.BatchNorm1d(2)

    def forward(self, x: Any) -> Any:
        cells = x.unflatten(1, (3, 2)).flatten(0, 1)
        cells = self.same(functional.relu(self.deep(self.norm(self.wide(cells)))))
        return self.flat(cells.flatten(2)).unflatten(0, (x.shape[0], 3)).sum(1)


class Positions(nn.Module):
    """Embeddings of places that modules make of numbers, and of a table that is resized to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4, bias=False)
        self.conv, self.project, self.table = nn.Conv2d(1, 4, 1), nn.Linear(4, 4), nn.Parameter(torch.zeros(1, 4, 5, 3))
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.q_bias, self.k_bias = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(self, x: Any) -> Any:
        n, _, height, width = x.shape
        if height > 100:  # torch.fx can't follow this
            return x
        places = (~torch.zeros(n, height, width, dtype=torch.bool)).cumsum(1, dtype=x.dtype)
        here = self.conv(places.unsqueeze(1)).reshape(n, 4, -1).permute(0, 2, 1)
        table = functional.interpolate(self.table, (height, width), mode="bicubic", antialias=True)
        with torch.autocast("cpu", enabled=False):
            there = self.project(torch.tanh(table * self.gain.exp()).flatten(2).transpose(1, 2))
        there = torch.stack([there, there.sin()]).mean(0)
        return x.flatten(2).transpose(1, 2) * here + self.mixed(there)

    def mixed(self, x: Any) -> Any:
        return functional.linear(x, self.mix.weight, torch.cat((self.q_bias, self.k_bias)))


class NormAndAct(nn.BatchNorm2d):
    """Batch norm as a function, with the module's own buffers."""

    def forward(self, x: Any) -> Any:
        if self.training:
            self.num_batches_tracked.add_(1)
        x = functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return functional.relu(x, inplace=True)


class Deciding(nn.Module):
    """Code that decides by shapes alone, with a batch norm as a function, dropout, and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3, bias=False), NormAndAct(4), nn.Dropout(0.0)
        self.token, self.scale = nn.Parameter(torch.zeros(1, 1, 4)), nn.Parameter(torch.ones(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        if x.shape[-1] != x.shape[-2]:
            x = functional.pad(x, (0, x.shape[-2] - x.shape[-1]))
        x = self.drop(self.norm(self.conv(x))).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) * self.scale
        return self.fc(functional.normalize(functional.scaled_dot_product_attention(x, x, x), dim=-1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "sequential": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            nn.Linear(96, 7),
        ),
        (3, 10, 10),
        False,
    ),
    "named-sequential": (lambda: zoo_torch.autoencoder(2, 4, False), (2, 8, 12), False),
    "resnet18": (lambda: zoo_torch.ResNet18(3, 7, True), (3, 40, 33), False),
    "mobilenet_v2": (lambda: zoo_torch.mobilenet_v2(3, 7, True, 0.25), (3, 40, 44), False),
    "densenet": (lambda: zoo_torch.densenet(3, 7, 22, 6), (3, 12, 10), False),
    "squeezenet": (lambda: zoo_torch.squeezenet(3, 7, True), (3, 24, 31), False),
    "convnext": (lambda: zoo_torch.convnext(3, 7, 4, (1, 1, 2, 1), (8, 16, 24, 32)), (3, 64, 66), True),
    "vit": (lambda: zoo_torch.VisionTransformer(3, 7, 4, 13, 24, 2, 3), (3, 12, 16), True),
    "squeeze-and-excitation": (lambda: SqueezeAndExcitation(6), (3, 7, 5), True),
    "transformer": (lambda: SmallTransformer(), (3, 8, 12), True),
    "transformer-unfused": (lambda: SmallTransformer(fused=False, norm_first=False), (3, 8, 12), True),
    "shuffle": (ShuffleUnit, (3, 8, 6), True),
    "channels-last": (
        lambda: nn.Sequential(nn.Conv2d(3, 5, 2, 2), ChannelsLastBlock(5), ChannelsLastBlock(5)),
        (3, 8, 6),
        False,
    ),
    "last step": (LastStep, (5, 4), False),
    "first states": (FirstStates, (5, 4), False),
    "last states": (LastStates, (5, 4), False),
    "steps first": (StepsFirst, (5, 4), True),
    "encoder and decoder": (EncoderAndDecoder, (5, 4), False),
    "shared": (Shared, (3, 12, 8), False),
    "unpooling": (Unpooling, (3, 8, 12), False),
    "windows": (Windows, (4, 4, 6), True),
    "windows, deciding": (lambda: Windows(decide=True), (4, 3, 6), True),
    "cells": (Cells, (6, 4, 5), True),
    "positions": (Positions, (4, 3, 6), True),
    "norm and act": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), NormAndAct(4)), (3, 6, 5), True),
    "deciding": (Deciding, (3, 6, 5), True),
}
