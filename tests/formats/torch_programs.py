"""Networks as people write them for a task: detectors, segmentation, generators, metric learning, sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch  # needs the package above
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Pyramid(nn.Module):
    """A detector's features: maps of several sizes, those of small ones added to the larger, one head for all."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleDict({"c2": block(3, 4, 2), "c3": block(4, 6, 2), "c4": block(6, 8, 2)})
        self.lateral = nn.ModuleList(nn.Conv2d(width, 4, 1) for width in (4, 6, 8))
        self.smooth = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2 * 5, 1))

    def forward(self, x: Any) -> Any:
        maps = {}
        for name, stage in self.stages.items():
            x = stage(x)
            maps[name] = x
        inner = [lateral(maps[name]) for lateral, name in zip(self.lateral, self.stages, strict=True)]
        for place in range(len(inner) - 2, -1, -1):
            size = inner[place].shape[-2:]
            inner[place] = inner[place] + functional.interpolate(inner[place + 1], size=size, mode="nearest")
        levels = []
        for smooth, each in zip(self.smooth, inner, strict=True):
            y = self.head(smooth(each))
            n, _, h, w = y.shape
            levels.append(y.view(n, 2, 5, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, 5))
        return torch.cat(levels, dim=1)


class Segmentation(nn.Module):
    """Windows of several dilations and the mean of the image side by side, and back to the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 6, 2), block(6, 8, 2))
        self.wide = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=rate, dilation=rate) for rate in (1, 2, 3))
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU())
        self.last, self.dropout = nn.Conv2d(16, 3, 1), nn.Dropout2d(0.0)

    def forward(self, x: Any) -> Any:
        size = x.shape[-2:]
        y = self.stem(x)
        parts = [wide(y) for wide in self.wide]
        mean = functional.interpolate(self.whole(y), size=y.shape[2:], mode="bilinear", align_corners=False)
        y = self.last(self.dropout(torch.cat([*parts, mean], dim=1)))
        return functional.interpolate(y, size, mode="bilinear", align_corners=True).log_softmax(1)


class UNet(nn.Module):
    """Down, up, and bridges between; what does not fit is padded, or cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.pool = block(3, 4), block(4, 8), nn.MaxPool2d(2)
        self.up, self.after = nn.ConvTranspose2d(8, 4, 2, 2), block(8, 4)
        self.wider, self.last = nn.Conv2d(4, 4, 3, padding=2), nn.Conv2d(4, 2, 1)

    def forward(self, x: Any) -> Any:
        left = self.first(x)
        y = self.up(self.second(self.pool(left)))
        rows, columns = left.size()[2] - y.size()[2], left.size()[3] - y.size()[3]
        y = functional.pad(y, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        y = self.wider(self.after(torch.cat([left, y], dim=1)))
        return self.last(functional.pad(y, (-1, -1, -1, -1)))


class Causal(nn.Module):
    """Convolutions along sequences that see only what came before, with normed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv1d(inputs, 6, 3, padding=2 * rate, dilation=rate)) for inputs, rate in ((4, 1), (6, 2))
        )
        self.down, self.last = nn.Conv1d(4, 6, 1), weight_norm(nn.Linear(6, 3), dim=None)

    def forward(self, x: Any) -> Any:
        y = x
        for conv, rate in zip(self.convs, (1, 2), strict=True):
            y = functional.relu(conv(y)[:, :, : -2 * rate].contiguous())
        return self.last(functional.relu(y + self.down(x))[:, :, -1])


class Critic(nn.Module):
    """A discriminator whose weights are divided by their spectral norm, as it is outside training."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            spectral_norm(nn.Conv2d(3, 4, 4, 2, 1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(4, 6, 4, 2, 1, groups=2, bias=False)),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.last = spectral_norm(nn.Linear(6, 1))

    def forward(self, x: Any) -> Any:
        return self.last(self.convs(x).sum(dim=(2, 3))).squeeze(1)


class Standardized(nn.Conv2d):
    """A convolution whose kernels have mean 0 and variance 1, times a learned gain."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))
        self.scale = self.weight[0].numel() ** -0.5

    def forward(self, x: Any) -> Any:
        weight = functional.batch_norm(
            self.weight.reshape(1, self.out_channels, -1),
            None,
            None,
            (self.gain * self.scale).view(-1),
            None,
            True,
            0.0,
        ).reshape_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ByHand(nn.Conv2d):
    """The same in other words."""

    def forward(self, x: Any) -> Any:
        weight = self.weight
        mean = weight.mean(dim=(1, 2, 3), keepdim=True)
        std = weight.std(dim=(1, 2, 3), keepdim=True) + 1e-5
        return self._conv_forward(x, (weight - mean) / std.expand_as(weight), self.bias)


class NormFree(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Standardized(3, 6, 3, 2, 1)
        self.second = Standardized(6, 6, 3, 1, 1, groups=3)
        self.third, self.last = ByHand(6, 4, 1, bias=False), nn.Linear(4, 3)
        self.skip = nn.Parameter(torch.ones(()))

    def forward(self, x: Any) -> Any:
        x = functional.silu(self.first(x)) * 1.79
        x = x + functional.silu(self.second(x)).mul_(self.skip)
        return self.last(self.third(x).mean((2, 3)))


class Relative(nn.Module):
    """Attention in einsum's words, with learned distances and a mask that is a buffer."""

    def __init__(self, heads: int = 2, size: int = 3, length: int = 5) -> None:
        super().__init__()
        self.heads, self.scale = heads, size**-0.5
        self.qkv, self.out = nn.Linear(6, 3 * heads * size, bias=False), nn.Linear(heads * size, 6)
        self.distances = nn.Parameter(torch.randn(2 * length - 1, size))
        self.register_buffer("mask", torch.ones(length, length, dtype=torch.bool).triu(1), persistent=False)
        places = torch.arange(length)
        self.register_buffer("places", places[:, None] - places[None, :] + length - 1, persistent=False)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Any) -> Any:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (each.view(n, t, self.heads, -1).transpose(1, 2) for each in (q, k, v))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        scores = scores + torch.einsum("bhid,ijd->bhij", q, self.distances[self.places])
        scores = scores.masked_fill(self.mask[:t, :t], float("-inf"))
        y = torch.einsum("bhij,bhjd->bihd", scores.softmax(dim=-1), v)
        return x + self.out(y.flatten(2))


class Metric(nn.Module):
    """Cosines to learned prototypes and between two halves of what is described."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.weight = nn.Sequential(block(3, 8), nn.AdaptiveAvgPool2d(1)), nn.Parameter(torch.randn(5, 8))
        self.register_buffer("centre", torch.linspace(-1, 1, 8))
        self.similar = nn.CosineSimilarity(dim=-1)

    def forward(self, x: Any) -> Any:
        x = self.body(x).flatten(1) + self.centre
        cosine = functional.linear(functional.normalize(x), functional.normalize(self.weight))
        cosine = cosine.clamp(-1 + 1e-4, 1 - 1e-4)
        cosine = torch.where(cosine > 0.2, cosine - 0.1, cosine)
        left, right = x.split(4, dim=1)
        pair = functional.cosine_similarity(left, right, dim=1) + self.similar(left, right)
        distance = torch.norm(left - right, p=2, dim=1, keepdim=True)
        return torch.cat([16 * cosine, pair.unsqueeze(1), distance], 1)


class Chosen(nn.Module):
    """Steps weighed, sorted, picked and counted."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.value = nn.Linear(4, 1), nn.Linear(4, 6)

    def forward(self, x: Any) -> Any:
        score = self.score(x).squeeze(-1)
        values, places = score.topk(2, dim=1)
        picked = self.value(x).gather(1, places.unsqueeze(-1).expand(-1, -1, 6))
        best = functional.one_hot(score.argmax(dim=1), 5).to(x.dtype)
        mean = torch.einsum("nt,ntd->nd", best, x)
        high, low = x.amax(dim=1), x.amin(1)
        spread = torch.log1p((high - low).clamp(min=0.0)).div(0.25).floor() % 3
        ordered, _ = torch.sort(score, dim=1, descending=True)
        return torch.cat([(picked * values.softmax(1)[..., None]).sum(1), mean * spread, ordered.cumsum(1)], dim=1)


class Places(nn.Module):
    """Coordinates and waves that are calculated in the forward pass, and a table that is cut to the length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(5, 6, 3, padding=1), nn.Linear(6, 4)
        self.register_buffer("table", torch.randn(1, 100, 6))

    def forward(self, x: Any) -> Any:
        n, _, h, w = x.shape
        rows, columns = torch.meshgrid(
            torch.linspace(-1, 1, h, dtype=x.dtype), torch.linspace(0, 1, w, dtype=x.dtype), indexing="ij"
        )
        grid = torch.stack((rows, columns)).unsqueeze(0).expand(n, -1, -1, -1)
        x = self.conv(torch.cat([x, grid], dim=1)).flatten(2).transpose(1, 2)
        rate = torch.exp(torch.arange(0, 6, 2, dtype=x.dtype) * (-math.log(1e4) / 6))
        waves = torch.arange(x.size(1), dtype=x.dtype)[:, None] * rate
        x = x + torch.cat([waves.sin(), waves.cos()], dim=-1) + self.table[:, : x.size(1)].to(x.dtype)
        return self.fc(x).mean(1)


class Shift(nn.Module):
    """Some channels one step on and some one step back, written into zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv1d(6, 6, 1), nn.Conv1d(6, 12, 1)

    def forward(self, x: Any) -> Any:
        y = torch.zeros_like(x)
        y[:, :2, :-1] = x[:, :2, 1:]
        y[:, 2:4, 1:] = x[:, 2:4, :-1]
        y[:, 4:] = x[:, 4:]
        y[:, 0] *= 2
        return functional.glu(self.gate(functional.mish(self.conv(y)) + x), dim=1)


class Bordered(nn.Module):
    """Convolutions with borders of the image's own pixels, between norms of channels and gates."""

    def __init__(self) -> None:
        super().__init__()
        modes = ("reflect", "replicate", "circular")
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode) for mode in modes)
        self.stem, self.norms = nn.Conv2d(3, 4, 1), nn.ModuleList(nn.InstanceNorm2d(4) for _ in modes)
        self.line = nn.Conv1d(4, 2, 3, padding=2, stride=2, padding_mode="circular")

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + functional.softshrink(functional.instance_norm(conv(norm(x))), 0.3)
        return self.line(x.mean(2))


class Local(nn.Module):
    """Each pixel weighs those around it: windows as columns, and columns back to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh, self.value = nn.Conv2d(3, 9, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: Any) -> Any:
        n, _, h, w = x.shape
        weights = self.weigh(x).view(n, 1, 9, h * w).softmax(2)
        columns = functional.unfold(self.value(x), 3, padding=1).view(n, 4, 9, h * w)
        y = (weights * columns).sum(2).view(n, 4, h, w)
        return y + functional.fold((weights * columns).view(n, 36, h * w), (h, w), 3, padding=1)


class Mixer(nn.Module):
    """Products over rows, over columns and over channels of an image, each along the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.across, self.down, self.channels = nn.Linear(5, 5), nn.Linear(4, 4, bias=False), nn.Linear(3, 6)
        self.pool = nn.AdaptiveMaxPool1d(3)

    def forward(self, x: Any) -> Any:
        y = x + functional.gelu(self.across(x)) + self.down(x.transpose(2, 3)).transpose(2, 3)
        y = self.channels(y.permute(0, 2, 3, 1)).movedim(-1, 1)
        sequence = functional.interpolate(y.flatten(2), scale_factor=2, mode="linear")
        return self.pool(sequence) + functional.adaptive_avg_pool1d(sequence, 3)


class Reader(nn.Module):
    """Columns of a line of writing as steps, in front of the batch, and these as rows for a layer of each."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d((6, 2)))
        self.lstm, self.between = nn.LSTM(4, 5, bidirectional=True), nn.Linear(10, 4)
        self.gru, self.last = nn.GRU(4, 3), nn.Linear(3, 6)

    def forward(self, x: Any) -> Any:
        y, _ = self.lstm(self.columns(x).squeeze(2).permute(2, 0, 1))
        t, n, h = y.size()
        y, state = self.gru(self.between(y.view(t * n, h)).view(t, n, -1))
        return functional.log_softmax(self.last(y), dim=2).transpose(0, 1) + self.last(state[-1, :, :]).unsqueeze(1)


class OwnKernels(nn.Module):
    """Each image is convolved with kernels of its own: a mixture of learned ones, and a part of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.bias = nn.Parameter(torch.randn(2, 6 * 3 * 9) * 0.2), nn.Parameter(torch.randn(2, 6))
        self.route = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        weights = torch.sigmoid(self.route(functional.adaptive_avg_pool2d(x, 1).flatten(1)))
        kernels = torch.matmul(weights, self.experts).view(n * 6, c, 3, 3)
        bias = torch.matmul(weights, self.bias).view(n * 6)
        y = functional.conv2d(x.reshape(1, n * c, h, w), kernels, bias, stride=(1, 2), padding=1, groups=n)
        y = y.permute(1, 0, 2, 3).view(n, 6, y.shape[-2], y.shape[-1])
        template = functional.adaptive_avg_pool2d(y, 2).view(n * 6, 1, 2, 2)
        found = functional.conv2d(y.view(1, n * 6, y.size(2), y.size(3)), template, groups=n * 6)
        return found.view(n, 6, found.size(2), found.size(3))


class Clips(nn.Module):
    """Pictures of a film as images of one batch, pooled and enlarged, and their sequence again."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Upsample(scale_factor=2))
        self.lines, self.gru = nn.AvgPool1d(2), nn.GRU(2, 3, batch_first=True)

    def forward(self, x: Any) -> Any:
        n, t, c, h, w = x.shape
        y = functional.adaptive_max_pool2d(self.seen(x.view(n * t, c, h, w)), (2, 3)).mean(3)
        y, _ = self.gru(self.lines(y.view(n * t, 2, 4)).view(n, t, -1)[:, :, :2])
        return y


class Aligned(nn.Module):
    """An image looked at through a grid that it says itself."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Linear(3, 6)

    def forward(self, x: Any) -> Any:
        theta = 0.3 * self.where(x.mean((2, 3))).view(-1, 2, 3)
        grid = functional.affine_grid(theta, x.size(), align_corners=False)
        wide = functional.affine_grid(theta, [x.shape[0], x.shape[1], 3, 2], align_corners=True)
        y = functional.grid_sample(x, grid, align_corners=False)
        return (
            y.mean(3)
            + functional.grid_sample(x, wide, padding_mode="border", align_corners=True).mean((2, 3))[..., None]
        )


class Experts(nn.Module):
    """The best two of several, the others with a weight of zero; each row's distances, and a vector that weighs it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.out, self.vector = nn.Linear(4, 3), nn.Linear(4, 6), nn.Parameter(torch.randn(4))
        self.centres = nn.Parameter(torch.randn(3, 4))

    def forward(self, x: Any) -> Any:
        scores = torch.softmax(self.gate(x), -1)
        best, places = torch.topk(scores, 2, dim=-1)
        chosen = torch.zeros_like(scores).scatter(-1, places, best)
        marked = torch.zeros_like(scores).scatter_(2, places, 1.0).scatter_add(2, places, 0.5 * best)
        spread = (chosen + marked).repeat_interleave(2, dim=-1)
        alpha = torch.softmax(torch.matmul(torch.tanh(x), self.vector), dim=1).unsqueeze(-1)
        return (self.out(x) * spread * alpha).sum(1) + torch.cdist(x, self.centres).mean(1).repeat_interleave(2, 1)


PROGRAMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "pyramid": (Pyramid, (3, 20, 18)),
    "segmentation": (Segmentation, (3, 18, 14)),
    "u-net": (UNet, (3, 9, 11)),
    "causal, normed weights": (Causal, (4, 7)),
    "critic": (Critic, (3, 12, 8)),
    "norm-free": (NormFree, (3, 6, 7)),
    "relative attention": (Relative, (5, 6)),
    "metric": (Metric, (3, 5, 4)),
    "chosen steps": (Chosen, (5, 4)),
    "places": (Places, (3, 4, 5)),
    "temporal shift": (Shift, (6, 5)),
    "borders": (Bordered, (3, 5, 6)),
    "local": (Local, (3, 4, 5)),
    "mixer": (Mixer, (3, 4, 5)),
    "reader": (Reader, (1, 6, 9)),
    "own kernels": (OwnKernels, (3, 5, 7)),
    "clips": (Clips, (3, 2, 7, 8)),
    "aligned": (Aligned, (3, 5, 4)),
    "experts": (Experts, (5, 4)),
}
