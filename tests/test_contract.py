"""One table of layers, held to the whole contract three ways: in NumPy, compiled, and with no memory shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.ops.layout import memory_axes
from colonnade.tensor import Tensor
from colonnade.testing import own_classes
from tests.flags import ALONE, ALONE_IDS, FLAGS, IDS
from tests.layers.passes import passes

LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (cn.Conv2d(2, 3, 3), (2, 5, 6)),
    (cn.Conv2d(2, 4, (3, 2), stride=2, padding=1, dilation=2, groups=2, bias=False), (2, 7, 6)),
    (cn.Conv2d(3, 3, 3, padding="same", groups=3), (3, 5, 4)),
    (cn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), (3, 5, 4)),
    (cn.Conv2d(4, 8, (2, 3), stride=(2, 1), padding=(0, 2), dilation=(2, 1), groups=4, bias=False), (4, 7, 6)),
    (cn.Conv2d(8, 8, 3, padding=1, groups=4), (8, 4, 5)),
    (cn.Conv2d(3, 5, 1), (3, 4, 4)),
    (cn.Conv2d(3, 3, 1, stride=2, groups=3), (3, 1, 1)),
    (cn.Conv2d(2, 4, 2, stride=3, groups=2), (2, 2, 2)),
    (cn.Conv2d(2, 2, 1, stride=(1, 4), padding=1, groups=2), (2, 2, 1)),
    (cn.Conv2d(1, 2, 3, padding=3), (1, 4, 5)),
    (cn.Conv2d(2, 3, (3, 2), padding=(2, 1), padding_mode="reflect"), (2, 4, 5)),
    (cn.Conv2d(4, 4, 3, 2, 2, groups=2, padding_mode="circular", bias=False), (4, 4, 5)),
    (cn.Conv2d(2, 3, (3, 4), padding="same", dilation=2, padding_mode="replicate"), (2, 5, 4)),
    (cn.Dense(6, 4), (6,)),
    (cn.Dense(5, 3), (2, 4, 5)),
    (cn.Dense(5, 3, bias=False), (2, 1, 3, 5)),
    (cn.Dense(6, 4, bias=False), (3, 6)),
    (cn.BatchNorm2d(3), (3, 4, 5)),
    (cn.BatchNorm2d(3, affine=False), (3, 4, 5)),
    (cn.BatchNorm2d(3, track_running_stats=False), (3, 4, 5)),
    (cn.BatchNorm1d(4), (4,)),
    (cn.BatchNorm1d(4), (4, 3)),
    (cn.BatchNorm3d(3), (3, 2, 3, 2)),
    (cn.BatchNorm3d(2, affine=False, track_running_stats=False), (2, 2, 1, 3)),
    (cn.MaxPool2d(2), (2, 5, 6)),
    (cn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 6)),
    (cn.AvgPool2d(2), (2, 5, 6)),
    (cn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), (2, 6, 6)),
    (cn.AdaptiveAvgPool2d(1), (2, 5, 4)),
    (cn.AdaptiveAvgPool2d((3, 2)), (2, 5, 4)),
    (cn.ReLU(), (2, 3, 4)),
    (cn.LeakyReLU(0.1), (2, 3, 4)),
    (cn.LeakyReLU(2.5), (2, 3, 4)),
    (cn.LeakyReLU(-0.5), (2, 3, 4)),
    (cn.Tanh(), (2, 3, 4)),
    (cn.Sigmoid(), (7,)),
    (cn.Softmax(dim=1), (5,)),
    (cn.Softmax(dim=1), (3, 2, 2)),
    (cn.Dropout(0.3), (2, 3, 4)),
    (cn.Dropout(0.5), (7,)),
    (cn.Flatten(), (2, 3, 4)),
    (cn.Flatten(), (2, 1, 1)),
    (cn.Flatten(1, 2), (2, 3, 4)),
    (cn.Flatten(2), (2, 3, 4)),
    (cn.Flatten(1, 2), (2, 3, 2, 2)),
    (cn.Flatten(3), (2, 3, 2, 2)),
    (cn.Flatten(2, 4), (2, 2, 2, 1, 2)),
    (cn.Identity(), (2, 3, 4)),
    (cn.Conv1d(2, 3, 3), (2, 7)),
    (cn.Conv1d(4, 6, 3, 2, 1, 2, 2, bias=False), (4, 9)),
    (cn.Conv1d(4, 6, 4, padding="same"), (4, 9)),
    (cn.Conv3d(2, 3, 2), (2, 3, 4, 3)),
    (cn.Conv3d(4, 6, (3, 2, 1), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2, bias=False), (4, 4, 3, 3)),
    (cn.Conv3d(2, 4, 2, padding="same", groups=2), (2, 2, 3, 3)),
    (cn.Conv3d(3, 3, 1, 2, groups=3), (3, 3, 2, 1)),
    (cn.ConvTranspose1d(2, 3, 3), (2, 4)),
    (cn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2), (4, 5)),
    (cn.ConvTranspose1d(2, 3, 2, 2, 0, 2, dilation=3, bias=False), (2, 4)),
    (cn.ConvTranspose3d(2, 3, 2), (2, 2, 3, 2)),
    (
        cn.ConvTranspose3d(2, 4, (2, 3, 1), (2, 1, 2), (1, 1, 0), (1, 0, 1), 2, bias=False, dilation=(1, 2, 1)),
        (2, 2, 3, 2),
    ),
    (cn.ConvTranspose2d(2, 3, 3), (2, 4, 3)),
    (cn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), (4, 4, 3)),
    (cn.ConvTranspose2d(2, 3, (2, 3), (1, 2), 0, (1, 2), dilation=(2, 3), bias=False), (2, 4, 3)),
    (cn.ConvTranspose2d(2, 3, 3, 3, 1, 2), (2, 4, 3)),
    (cn.MaxPool1d(2), (2, 7)),
    (cn.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 8)),
    (cn.AvgPool1d(2), (2, 8)),
    (cn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 8)),
    (cn.MaxPool3d(2), (2, 4, 5, 2)),
    (cn.MaxPool3d((3, 2, 3), (2, 1, 2), 1, (1, 2, 1), ceil_mode=True), (2, 4, 3, 4)),
    (cn.AvgPool3d((2, 1, 2)), (2, 4, 2, 3)),
    (cn.AvgPool3d(3, 2, 1, True, False), (2, 4, 3, 4)),
    (cn.AvgPool3d(2, 1, divisor_override=3), (2, 3, 2, 3)),
    (cn.AdaptiveAvgPool1d(3), (2, 5)),
    (cn.AdaptiveAvgPool1d(1), (2, 5)),
    (cn.AdaptiveAvgPool3d(1), (2, 3, 2, 4)),
    (cn.AdaptiveAvgPool3d((2, None, 3)), (2, 3, 2, 4)),
    (cn.AdaptiveMaxPool1d(3), (2, 5)),
    (cn.AdaptiveMaxPool1d(2), (2, 6)),
    (cn.AdaptiveMaxPool3d(1), (2, 3, 2, 4)),
    (cn.AdaptiveMaxPool3d((2, None, 3)), (2, 3, 2, 4)),
    (cn.AdaptiveMaxPool2d(1), (2, 5, 4)),
    (cn.AdaptiveMaxPool2d((3, 2)), (2, 5, 4)),
    (cn.MultiheadAttention(6, 2), (4, 6)),
    (cn.MultiheadAttention(6, 3, bias=False), (3, 6)),
    (cn.MultiheadAttention(4, 2, dropout=0.3), (3, 4)),
    (cn.MultiheadAttention(6, 2, is_causal=True), (4, 6)),
    (cn.MultiheadAttention(6, 2, add_bias_kv=True, is_causal=True), (4, 6)),
    (cn.MultiheadAttention(4, 2, 0.3, add_zero_attn=True, return_weights=True), (3, 4)),
    (cn.TransformerEncoderLayer(6, 2, 8), (4, 6)),
    (cn.TransformerEncoderLayer(6, 3, 5, 0.0, "gelu", norm_first=True, bias=False, is_causal=True), (4, 6)),
    (cn.TransformerEncoder(cn.TransformerEncoderLayer(4, 2, 6, 0.0), 2, cn.LayerNorm(4)), (3, 4)),
    (cn.RNN(3, 4), (5, 3)),
    (cn.RNN(3, 2, 2, "relu", bias=False, bidirectional=True, return_states=True), (4, 3)),
    (cn.LSTM(3, 4), (5, 3)),
    (cn.LSTM(3, 2, 2, dropout=0.3, bidirectional=True), (4, 3)),
    (cn.LSTM(3, 2, 2, dropout=0.3, bidirectional=True), (2, 4, 3)),
    (cn.LSTM(2, 3, 2, bias=False, return_states=True), (1, 2)),
    (cn.GRU(3, 4), (5, 3)),
    (cn.GRU(3, 2, 2, bidirectional=True, return_states=True), (4, 3)),
    (cn.GRU(3, 2, 2, return_states=True), (3, 4, 3)),
    (cn.GRU(3, 2, bidirectional=True, reset_after=False), (4, 3)),
    (cn.LayerNorm(5), (5,)),
    (cn.LayerNorm(5, bias=False), (3, 5)),
    (cn.LayerNorm((3, 5)), (3, 5)),
    (cn.LayerNorm((2, 3, 4)), (2, 3, 4)),
    (cn.LayerNorm(5, elementwise_affine=False), (5,)),
    (cn.RMSNorm(5), (5,)),
    (cn.RMSNorm(5, 0.1), (3, 5)),
    (cn.RMSNorm((3, 5)), (3, 5)),
    (cn.RMSNorm((2, 3, 4)), (2, 3, 4)),
    (cn.RMSNorm(5, elementwise_affine=False), (3, 5)),
    (cn.LayerNorm2d(4), (4, 3, 2)),
    (cn.LayerNorm2d(4, eps=1e-2, affine=False), (4, 3, 2)),
    (cn.GroupNorm(2, 4), (4, 3, 2)),
    (cn.GroupNorm(2, 4), (4, 3)),
    (cn.GroupNorm(2, 4), (4, 2, 1, 2)),
    (cn.GroupNorm(2, 6, affine=False), (6,)),
    (cn.GroupNorm(2, 4, bias=False), (4, 3, 2)),
    (cn.InstanceNorm1d(3), (3, 5)),
    (cn.InstanceNorm1d(3, affine=True), (3, 5)),
    (cn.InstanceNorm1d(3, affine=True, track_running_stats=True), (3, 5)),
    (cn.InstanceNorm3d(3), (3, 2, 3, 2)),
    (cn.InstanceNorm3d(3, affine=True, track_running_stats=True), (3, 2, 3, 2)),
    (cn.InstanceNorm2d(3), (3, 4, 2)),
    (cn.InstanceNorm2d(3, affine=True), (3, 4, 2)),
    (cn.InstanceNorm2d(3, affine=True, track_running_stats=True), (3, 4, 2)),
    (cn.ELU(), (2, 3, 4)),
    (cn.ELU(0.5), (2, 3)),
    (cn.SELU(), (2, 3, 4)),
    (cn.GELU(), (2, 3, 4)),
    (cn.GELU("tanh"), (7,)),
    (cn.SiLU(), (2, 3, 4)),
    (cn.Mish(), (2, 3, 4)),
    (cn.Hardswish(), (2, 3, 4)),
    (cn.Hardsigmoid(), (2, 3, 4)),
    (cn.Hardtanh(-0.5, 0.7), (2, 3, 4)),
    (cn.ReLU6(), (2, 3, 4)),
    (cn.PReLU(), (2, 3, 4)),
    (cn.PReLU(2), (2, 3, 4)),
    (cn.PReLU(2), (2, 5)),
    (cn.PReLU(2), (2, 2, 1, 3)),
    (cn.PReLU(3), (3,)),
    (cn.Softplus(), (2, 3, 4)),
    (cn.Softplus(2.0, 1.0), (7,)),
    (cn.LogSoftmax(dim=1), (5,)),
    (cn.LogSoftmax(dim=1), (3, 2, 2)),
    (cn.Dropout2d(0.3), (5, 3, 4)),
    (cn.Dropout1d(0.3), (5, 3)),
    (cn.Dropout3d(0.3), (5, 2, 3, 2)),
    (cn.ZeroPad1d((1, 2)), (2, 3)),
    (cn.ZeroPad3d((1, 0, 2, 1, 0, 3)), (2, 2, 3, 2)),
    (cn.ZeroPad2d(1), (2, 3, 4)),
    (cn.ZeroPad2d((1, 2, 0, 3)), (2, 3, 4)),
    (cn.Upsample(scale_factor=2), (2, 3, 4)),
    (cn.Upsample(size=(5, 3)), (2, 3, 4)),
    (cn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4)),
    (cn.Upsample(size=1, mode="bilinear", align_corners=True), (2, 3, 4)),
    (cn.Upsample(scale_factor=2), (2, 3)),
    (cn.Upsample(5, mode="linear"), (2, 3)),
    (cn.Upsample((3, 5, 2)), (2, 2, 3, 4)),
    (cn.Upsample(scale_factor=(2, 1.5, 0.5), mode="trilinear"), (2, 2, 2, 4)),
    (cn.Upsample(size=3, mode="trilinear", align_corners=True), (2, 2, 1, 4)),
    (cn.PixelShuffle(2), (8, 3, 2)),
    (cn.PixelUnshuffle(2), (2, 4, 6)),
    (cn.Unfold(2), (2, 3, 4)),
    (cn.Unfold((3, 2), dilation=(1, 2), padding=(2, 1), stride=(2, 3)), (2, 5, 6)),
    (cn.Fold((3, 4), 2), (8, 6)),
    (cn.Fold((6, 7), (3, 2), dilation=(1, 2), padding=(2, 1), stride=(2, 3)), (12, 12)),
    (cn.ChannelShuffle(2), (6, 3, 2)),
    (cn.ChannelShuffle(3), (6, 4)),
    (cn.ReflectionPad1d(2), (2, 5)),
    (cn.ReflectionPad2d((1, 2, 2, 1)), (2, 3, 4)),
    (cn.ReplicationPad1d((3, 0)), (2, 5)),
    (cn.ReplicationPad2d((3, 1, 0, 2)), (2, 3, 4)),
    (cn.CircularPad1d((2, 1)), (3, 4)),
    (cn.CircularPad2d(1), (2, 3, 4)),
    (cn.ReflectionPad3d((1, 0, 1, 1, 0, 1)), (2, 2, 3, 2)),
    (cn.ReplicationPad3d((1, 2, 0, 1, 1, 1)), (2, 2, 1, 2)),
    (cn.CircularPad3d(1), (2, 1, 2, 2)),
    (cn.Unflatten(1, (2, 3, 4)), (24,)),
    (cn.Unflatten(1, (2, -1)), (6, 4)),
    (cn.Unflatten(1, (1, 6)), (6,)),
    (cn.Unflatten(2, (2, 2)), (3, 4, 5)),
    (cn.Unflatten(2, (2, 2)), (3, 4)),
    (cn.Unflatten(1, (3, 2, 2)), (12, 2)),
    (cn.Select(2, 1), (3, 4, 2, 2)),
    (cn.Permute((0, 4, 2, 1, 3)), (3, 2, 2, 2)),
    (cn.Permute((0, 2, 1)), (3, 4)),
    (cn.Permute((0, 2, 3, 1)), (3, 4, 2)),
    (cn.Permute((0, -1, 1, 2)), (3, 4, 2)),
    (cn.Select(1, 0), (3, 4)),
    (cn.Select(-1, -2), (3, 4, 2)),
    (cn.Affine(0.7, -0.2), (2, 3, 4)),
    (cn.Abs(), (2, 3, 4)),
    (cn.Exp(), (2, 3, 4)),
    (cn.Reciprocal(), (2, 3, 4)),
    (cn.Erf(), (2, 3, 4)),
    (cn.Sin(), (2, 3)),
    (cn.Cos(), (2, 3)),
    (cn.Atan(), (2, 3, 4)),
    (cn.Sinh(), (2, 3)),
    (cn.Cosh(), (7,)),
    (cn.Asinh(), (2, 3, 4)),
    (cn.Softsign(), (2, 3, 4)),
    (cn.Power(2), (2, 3, 4)),
    (cn.Power(3), (7,)),
    (cn.CELU(0.7), (2, 3, 4)),
    (cn.Threshold(0.4, -1.0), (2, 3, 4)),
    (cn.Sign(), (2, 3, 4)),
    (cn.Floor(), (2, 3, 4)),
    (cn.Ceil(), (7,)),
    (cn.Round(), (2, 3)),
    (cn.Trunc(), (2, 3, 4)),
    (cn.LogicalNot(), (2, 3, 4)),
    (cn.Sum(), (2, 3, 4)),
    (cn.Sum(dim=(2, 3), keepdim=True), (2, 3, 4)),
    (cn.Mean(dim=-1), (2, 3, 4)),
    (cn.Mean(dim=1), (5,)),
    (cn.Prod(dim=(1, 3)), (2, 3, 4)),
    (cn.Prod(dim=2, keepdim=True), (3, 4)),
    (cn.Amax(dim=2), (2, 3, 4)),
    (cn.Amin(dim=(1, 2), keepdim=True), (3, 4)),
    (cn.LogSumExp(dim=1), (2, 3, 4)),
    (cn.LogSumExp(dim=1, keepdim=True), (5,)),
    (cn.Select(2, -1), (2, 3, 4)),
    (cn.Reshape((4, 3, 2)), (2, 3, 4)),
    (cn.Reshape((4, -1)), (2, 3, 4)),
    (cn.Reshape((2, 3, 2)), (12,)),
    (cn.Reshape((2, 6)), (3, 4)),
    (cn.Reshape((2, 3, 2, 2)), (2, 3, 4)),
    (cn.Slice(3, 1, None, 2), (2, 3, 4)),
    (cn.Slice(-1, None, 0, -1), (5,)),
    (cn.IndexSelect(1, (2, 0, 2)), (3, 4)),
    (cn.IndexSelect(2, (1, -1)), (2, 3, 4)),
    (cn.Pad((1, 2)), (2, 3, 4)),
    (cn.Pad((1, 0, 2, 1, 1, 0), value=0.5), (2, 3, 4)),
    (cn.Pad((1, 2, 2, 1), "reflect"), (2, 3, 4)),
    (cn.Pad((3, 1, 0, 2), "replicate"), (2, 3, 4)),
    (cn.Pad((2, 1), "circular"), (3, 4)),
    (cn.Expand((3, -1, 4)), (3, 1, 4)),
    (cn.Expand((3, 2)), (1, 2)),
    (cn.Tile((2, 1, 3)), (2, 3, 2)),
    (cn.Tile((2, 2)), (2, 3)),
    (cn.Tril(), (3, 4)),
    (cn.Tril(-1), (2, 4, 3)),
    (cn.Triu(1), (2, 3, 4)),
    (cn.CumSum(2), (2, 3, 4)),
    (cn.CumSum(-1, exclusive=True, reverse=True), (5,)),
    (cn.Dequantize(0.3, 2.0), (2, 3)),
    (cn.Dequantize((0.3, 0.5), (1.0, 2.0)), (2, 3, 4)),
    (cn.Resize((5, 3)), (2, 3, 4)),
    (cn.Resize((6, 3), mode="linear", antialias=True), (2, 3, 4)),
    (cn.Resize((7, 9), (2.5, 2.25), "cubic", exclude_outside=True), (2, 3, 4)),
    (
        cn.Resize(
            4, mode="linear", coordinates="tf_crop_and_resize", region=(0.2, -0.4, 1.2, 0.8), extrapolation_value=0.5
        ),
        (2, 3, 4),
    ),
    (cn.LocalResponseNorm(3, 0.5), (5, 2, 3)),
    (cn.LocalResponseNorm(4, 0.5, 0.6, 2.0), (5,)),
    (cn.Residual([cn.Conv2d(2, 2, 3, padding=1), cn.Tanh()]), (2, 3, 4)),
    (cn.Residual([cn.Conv2d(2, 4, 1), cn.BatchNorm2d(4)], [cn.Conv2d(2, 4, 1)]), (2, 3, 4)),
    (cn.Branches([cn.Conv2d(2, 3, 1)], [cn.Tanh()], []), (2, 3, 4)),
]

CHAINS: list[tuple[list[Any], tuple[int, ...]]] = [
    # An in-place ReLU behind a Tanh that reads its own output: the classic silent corruption.
    ([cn.Dense(5, 6), cn.Tanh(), cn.ReLU(), cn.Dense(6, 3)], (5,)),
    ([cn.Permute((0, 2, 3, 1)), cn.Dense(2, 4), cn.GELU(), cn.Dense(4, 2), cn.Permute((0, 3, 1, 2))], (2, 3, 4)),
    ([cn.Dense(4, 5), cn.ReLU(), cn.MaxPool2d(2)], (3, 4, 4)),
    ([cn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), cn.BatchNorm2d(3), cn.ReLU()], (2, 4, 4)),
    ([cn.Tanh(), cn.Sigmoid(), cn.ReLU(), cn.Tanh()], (2, 3, 4)),
    ([cn.Residual([cn.Tanh(), cn.ReLU()]), cn.ReLU(), cn.Residual([cn.ReLU(), cn.Residual([cn.Tanh()])])], (2, 3, 4)),
    ([cn.Branches([cn.ReLU()], [cn.Tanh(), cn.ReLU()], [cn.Identity()]), cn.ReLU()], (2, 3, 4)),
    ([cn.Flatten(), cn.Identity(), cn.Dense(24, 3), cn.Identity()], (2, 3, 4)),
    ([cn.Conv2d(2, 3, 3, padding=1), cn.BatchNorm2d(3), cn.ReLU(), cn.MaxPool2d(2), cn.Dropout(0.2)], (2, 6, 6)),
    ([cn.BatchNorm2d(2), cn.BatchNorm2d(2), cn.Tanh(), cn.BatchNorm2d(2)], (2, 3, 4)),
    # Layers that run in NumPy between compiled ones, and volumes between images and features.
    (
        [cn.Conv3d(2, 4, 3, padding=1), cn.BatchNorm3d(4), cn.ReLU(), cn.MaxPool3d(2), cn.Flatten(), cn.Dense(8, 3)],
        (2, 4, 2, 3),
    ),
    (
        [cn.Flatten(2, 3), cn.Conv2d(2, 4, 3), cn.Unflatten(2, (2, 1)), cn.Conv3d(4, 3, (2, 1, 2)), cn.ReLU()],
        (2, 2, 2, 4),
    ),
    (
        [cn.Conv1d(2, 4, 3), cn.ReLU(), cn.ConvTranspose1d(4, 3, 4, 2, 1), cn.AdaptiveAvgPool1d(3), cn.BatchNorm1d(3)],
        (2, 6),
    ),
    (
        [
            cn.Conv3d(1, 3, 1),
            cn.Residual([cn.Conv3d(3, 3, 3, padding=1), cn.InstanceNorm3d(3)]),
            cn.AdaptiveMaxPool3d(1),
        ],
        (1, 2, 3, 2),
    ),
    # A shuffle of channels, by two ways over the border between images and other arrays.
    (
        [cn.Conv2d(2, 6, 1), cn.Unflatten(1, (2, 3)), cn.Permute((0, 2, 1, 3, 4)), cn.Flatten(1, 2), cn.Tanh()],
        (2, 3, 2),
    ),
    ([cn.Tanh(), cn.Reshape((2, 3, 6)), cn.Reshape((6, 6)), cn.Reshape((6, 3, 2)), cn.Tanh()], (6, 3, 2)),
    # Additions of what only hands its input on.
    ([cn.Residual([cn.Conv2d(2, 2, 1), cn.Identity()], [cn.Identity()]), cn.Tanh()], (2, 3, 4)),
    ([cn.Residual([cn.Identity()], [cn.Residual([], [cn.Identity()])]), cn.Tanh()], (2, 3, 4)),
    ([cn.Tanh(), cn.Residual([cn.Reshape((24,)), cn.Reshape((2, 3, 4))], [cn.Identity()]), cn.Tanh()], (2, 3, 4)),
    # A product so wide that the gradient at its input costs less scattered, if anything were to be scattered.
    ([cn.Conv2d(1, 184, 1), cn.Conv2d(184, 1104, 1), cn.Conv2d(1104, 1, 1)], (1, 1, 2)),
    # Layers in place that read their input, behind and before others that do or do not.
    ([cn.Tanh(), cn.SiLU(), cn.GELU(), cn.ReLU(), cn.ELU(), cn.Hardtanh()], (2, 3, 4)),
    ([cn.Conv2d(2, 4, 3), cn.GroupNorm(2, 4), cn.Mish(), cn.PReLU(4), cn.ReLU6(), cn.AdaptiveMaxPool2d(2)], (2, 6, 6)),
    ([cn.ReLU6(), cn.MaxPool2d(2), cn.ConvTranspose2d(2, 3, 2, 2), cn.InstanceNorm2d(3, affine=True)], (2, 4, 6)),
    ([cn.Conv1d(3, 4, 3), cn.SiLU(), cn.MaxPool1d(2), cn.Hardtanh(), cn.MaxPool1d(2), cn.Flatten()], (3, 14)),
    ([cn.Dense(4, 12), cn.SELU(), cn.Unflatten(1, (3, 2, 2)), cn.Upsample(scale_factor=2), cn.ZeroPad2d(1)], (4,)),
    ([cn.Residual([cn.LayerNorm(6), cn.MultiheadAttention(6, 2)]), cn.LayerNorm(6), cn.GELU(), cn.Flatten()], (3, 6)),
    ([cn.Residual([cn.LayerNorm(6), cn.Dense(6, 8), cn.GELU(), cn.Dense(8, 6)]), cn.LayerNorm(6)], (3, 6)),
    (
        [
            cn.Conv2d(2, 4, 3, padding=1),
            cn.BatchNorm2d(4),
            cn.ReLU(),
            cn.Residual([cn.Conv2d(4, 4, 3, padding=1), cn.BatchNorm2d(4), cn.ReLU(), cn.Conv2d(4, 4, 3, padding=1)]),
            cn.Tanh(),
            cn.Residual([cn.Conv2d(4, 6, 3, 2, 1), cn.BatchNorm2d(6)], [cn.Conv2d(4, 6, 1, 2), cn.BatchNorm2d(6)]),
            cn.Sigmoid(),
            cn.AdaptiveAvgPool2d(1),
            cn.Flatten(),
            cn.Dense(6, 5),
            cn.BatchNorm1d(5),
            cn.Tanh(),
            cn.Dense(5, 3),
        ],
        (2, 6, 6),
    ),
]


def of_two(layer: cn.Layer, *more: str) -> cn.Graph:
    """A graph in which a layer of several inputs reads two different functions of one, and positive ones."""
    return cn.Graph(
        {
            "left": (cn.Exp(), "input"),
            "right": (cn.Affine(0.25, 1.5), "input"),
            "third": (cn.Sin(), "input"),
            "join": (layer, "left", "right", *more),
            **({} if more else {"end": (cn.Add(), "join", "third")}),
        }
    )


def stretched(layer: cn.Layer) -> cn.Graph:
    """As `of_two`, one of the inputs being a number a channel."""
    return cn.Graph(
        {
            "left": (cn.Exp(), "input"),
            "right": (cn.Mean(dim=(2, 3), keepdim=True), "left"),
            "moved": (cn.Affine(0.5, 0.3), "right"),
            "join": (layer, "left", "moved"),
        }
    )


def product(right: Any) -> cn.Graph:
    return cn.Graph({"left": (cn.Sin(), "input"), "right": (right, "input"), "y": (cn.MatMul(), "left", "right")})


def attended(node: Any, *reads: str) -> cn.Graph:
    """Attention of a function of a sequence (4, 6) to the first three of it; or to some numbers of those; and masks."""
    nodes: dict[str, tuple[Any, ...]] = {
        "query": (cn.Sin(), "input"),
        "memory": (cn.Slice(1, 0, 3), "input"),
        "key": (cn.Slice(2, 0, 4), "memory"),
        "value": (cn.Slice(2, 1, 6), "memory"),
        "pairs": (cn.Slice(2, 0, 3), "input"),
        "heads": (cn.Reshape((2, 4, 3)), "input"),
        "first": (cn.Select(2, 0), "memory"),
        "mean": (cn.Mean(dim=1, keepdim=True), "first"),
        "most": (cn.Affine(1.0, 0.01), "mean"),  # none is as large
        "hidden": (cn.Greater(stretch=True), "first", "most"),
        "padding": (cn.Affine(0.5), "first"),
    }
    needed = {*reads}
    for name in reversed(nodes):
        if name in needed:
            needed.update(nodes[name][1:])
    return cn.Graph({**{name: entry for name, entry in nodes.items() if name in needed}, "y": (node, *reads)})


def with_states(layer: Any) -> cn.Graph:
    """A recurrent layer whose states before the first step are made of the same input."""
    shape = (layer.num_layers * (2 if layer.bidirectional else 1), layer.hidden_size)
    names = ["h0", "c0"][: layer.states]
    nodes: dict[str, Any] = {"flat": (cn.Flatten(), "input"), "part": (cn.Slice(1, 0, shape[0] * shape[1]), "flat")}
    for name, function in zip(names, (cn.Affine(0.4, 0.1), cn.Sin()), strict=False):
        nodes |= {f"{name} flat": (function, "part"), name: (cn.Unflatten(1, shape), f"{name} flat")}
    return cn.Graph({**nodes, "y": (layer, "input", *names)})


GRAPHS: dict[str, tuple[cn.Graph, tuple[int, ...]]] = {
    "Add of one tensor three times": (
        cn.Graph({"x": (cn.Sin(), "input"), "sum": (cn.Add(), "x", "x", "x"), "y": (cn.Tanh(), "sum")}),
        (2, 3, 4),
    ),
    "Add of views of one tensor": (
        cn.Graph(
            {
                "x": (cn.Sin(), "input"),
                "one": (cn.Identity(), "x"),
                "row": (cn.Reshape((24,)), "x"),
                "other": (cn.Reshape((2, 3, 4)), "row"),
                "sum": (cn.Add(), "one", "x", "other", "one"),
                "y": (cn.Tanh(), "sum"),
            }
        ),
        (2, 3, 4),
    ),
    "Sub": (of_two(cn.Sub()), (2, 3, 4)),
    "Sub stretched": (stretched(cn.Sub(stretch=True)), (2, 3, 4)),
    "Div": (of_two(cn.Div()), (2, 3, 4)),
    "Div stretched": (stretched(cn.Div(stretch=True)), (2, 3, 4)),
    "Pow": (of_two(cn.Pow()), (2, 3)),
    "Pow stretched": (stretched(cn.Pow(stretch=True)), (2, 3, 4)),
    "Remainder": (of_two(cn.Remainder()), (2, 3)),
    "Fmod": (stretched(cn.Fmod(stretch=True)), (2, 3, 4)),
    "TakeAlongDim": (
        cn.Graph(
            {
                "exp": (cn.Exp(), "input"),
                "cut": (cn.Slice(2, 0, 2), "input"),
                "place": (cn.Sign(), "cut"),
                "y": (cn.TakeAlongDim(2), "exp", "place"),
            }
        ),
        (2, 3, 4),
    ),
    **{
        f"ScatterAlongDim, {reduce}": (
            cn.Graph(
                {
                    "exp": (cn.Exp(), "input"),
                    "cut": (cn.Slice(2, 0, 2), "input"),
                    "place": (cn.Sign(), "cut"),
                    "sin": (cn.Sin(), "cut"),
                    "y": (cn.ScatterAlongDim(2, reduce), "exp", "place", "sin"),
                }
            ),
            (2, 3, 4),
        )
        for reduce in ("none", "add")
    },
    "OneHot": (cn.Graph({"sign": (cn.Sign(), "input"), "y": (cn.OneHot(3, 1), "sign")}), (2, 3)),
    **{
        f"GridSample, {mode}": (
            cn.Graph(
                {
                    "sin": (cn.Sin(), "input"),
                    "cut": (cn.Slice(1, 0, 2), "input"),
                    "turned": (cn.Permute((0, 2, 3, 1)), "cut"),
                    "grid": (cn.Tanh(), "turned"),
                    "y": (cn.GridSample(mode, "border"), "sin", "grid"),
                }
            ),
            (3, 4, 5),
        )
        for mode in ("linear", "nearest", "cubic")
    },
    **{
        f"RoiAlign {mode}": (
            cn.Graph(
                {
                    "sin": (cn.Sin(), "input"),
                    "box": (cn.Constant((2, 4), learned=False),),
                    "y": (cn.RoiAlign((2, 3), 0.5, 2, mode=mode), "sin", "box"),
                }
            ),
            (3, 4, 5),
        )
        for mode in ("avg", "max")
    },
    "Maximum": (of_two(cn.Maximum()), (2, 3, 4)),
    "Maximum of three": (of_two(cn.Maximum(), "third"), (5,)),
    "Minimum": (stretched(cn.Minimum(stretch=True)), (2, 3, 4)),
    "Where": (
        cn.Graph(
            {
                "mean": (cn.Mean(dim=(2, 3), keepdim=True), "input"),
                "exp": (cn.Exp(), "input"),
                "which": (cn.Greater(stretch=True), "input", "mean"),
                "y": (cn.Where(stretch=True), "which", "exp", "mean"),
            }
        ),
        (2, 3, 4),
    ),
    **{
        layer.__name__: (of_two(layer()), (2, 3))
        for layer in (cn.Equal, cn.Less, cn.LessEqual, cn.Greater, cn.GreaterEqual)
    },
    **{layer.__name__: (of_two(layer()), (2, 3)) for layer in (cn.LogicalAnd, cn.LogicalOr, cn.LogicalXor)},
    "Tan": (cn.Graph({"small": (cn.Affine(0.4), "input"), "tan": (cn.Tan(), "small")}), (2, 3, 4)),
    "Asin, Acos and Atanh": (
        cn.Graph(
            {
                "tanh": (cn.Tanh(), "input"),
                "inside": (cn.Affine(0.9), "tanh"),
                "asin": (cn.Asin(), "inside"),
                "acos": (cn.Acos(), "inside"),
                "atanh": (cn.Atanh(), "inside"),
                "y": (cn.Add(), "asin", "acos", "atanh"),
            }
        ),
        (2, 3, 4),
    ),
    "Acosh": (
        cn.Graph({"exp": (cn.Exp(), "input"), "above": (cn.Affine(1.0, 1.1), "exp"), "acosh": (cn.Acosh(), "above")}),
        (2, 3),
    ),
    "Log and Sqrt": (
        cn.Graph({"exp": (cn.Exp(), "input"), "sqrt": (cn.Sqrt(), "exp"), "log": (cn.Log(), "sqrt")}),
        (2, 3, 4),
    ),
    "Power": (cn.Graph({"exp": (cn.Exp(), "input"), "power": (cn.Power(0.7), "exp")}), (2, 3)),
    "RNN with its first state": (with_states(cn.RNN(3, 2, 2, return_states=True)), (6, 3)),
    "LSTM with its first states": (with_states(cn.LSTM(3, 2, bidirectional=True, return_states=True)), (6, 3)),
    "GRU with its first state": (with_states(cn.GRU(3, 2, bidirectional=True)), (6, 3)),
    "GRU as first published with its first state": (with_states(cn.GRU(3, 4, reset_after=False)), (6, 3)),
    "MultiheadAttention of two sequences": (
        attended(cn.MultiheadAttention(6, 2), "query", "memory", "memory"),
        (4, 6),
    ),
    "MultiheadAttention of other sizes": (
        attended(cn.MultiheadAttention(6, 3, kdim=4, vdim=5, add_bias_kv=True), "query", "key", "value"),
        (4, 6),
    ),
    "MultiheadAttention with numbers to add": (
        attended(
            cn.MultiheadAttention(6, 2, 0.3, attn_mask="float", key_padding_mask="float", return_weights=True),
            *("query", "memory", "memory", "pairs", "padding"),
        ),
        (4, 6),
    ),
    "MultiheadAttention with masks of each head": (
        attended(
            cn.MultiheadAttention(6, 2, add_zero_attn=True, attn_mask="float", key_padding_mask="bool", is_causal=True),
            *("query", "memory", "memory", "heads", "hidden"),
        ),
        (4, 6),
    ),
    "MultiheadAttention of a padded sequence": (
        attended(cn.MultiheadAttention(6, 2, key_padding_mask="bool", zero_empty_rows=True), "memory", "hidden"),
        (4, 6),
    ),
    "TransformerDecoder": (
        attended(
            cn.TransformerDecoder(
                cn.TransformerDecoderLayer(6, 2, 5, 0.0, "gelu", tgt_is_causal=True, memory_key_padding_mask="bool"), 2
            ),
            *("query", "memory", "hidden"),
        ),
        (4, 6),
    ),
    "Bilinear": (
        cn.Graph(
            {
                "left": (cn.Sin(), "input"),
                "right": (cn.Slice(1, 0, 3), "input"),
                "y": (cn.Bilinear(5, 3, 4), "left", "right"),
            }
        ),
        (5,),
    ),
    "Bilinear of sequences": (
        cn.Graph({"left": (cn.Sin(), "input"), "y": (cn.Bilinear(3, 3, 2, bias=False), "left", "input")}),
        (4, 3),
    ),
    "MatMul": (product(cn.Permute((0, 2, 1))), (3, 4)),
    "MatMul of stacks": (product(cn.Permute((0, 1, 3, 2))), (2, 3, 4)),
    "MatMul stretched": (
        cn.Graph(
            {
                "left": (cn.Slice(1, 0, 1), "input"),
                "right": (cn.Permute((0, 1, 3, 2)), "input"),
                "y": (cn.MatMul(), "left", "right"),
            }
        ),
        (2, 3, 4),
    ),
    "MatMul of deeper stacks": (
        cn.Graph(
            {
                "parted": (cn.Unflatten(1, (2, 2)), "input"),
                "one": (cn.Slice(2, 1, 2), "parted"),
                "turned": (cn.Permute((0, 1, 2, 4, 3)), "one"),
                "y": (cn.MatMul(), "parted", "turned"),
            }
        ),
        (4, 3, 2),
    ),
}


TABLE: dict[str, tuple[Any, tuple[int, ...]]] = {
    **{f"{layer}-{shape}".replace(" ", ""): (layer, shape) for layer, shape in LAYERS},
    **{f"{name}-{shape}": (make(), shape) for name, (make, shape) in zip(IDS + ALONE_IDS, FLAGS + ALONE, strict=True)},
    **GRAPHS,
    **{f"chain {number}": (cn.composites.Chain(layers), shape) for number, (layers, shape) in enumerate(CHAINS)},
}


def one_of_a_kind_is_plain(table: dict[str, tuple[Any, tuple[int, ...]]]) -> list[Any]:
    """The names of a table. Of layers of the same classes on images, or on anything else, all but one are thorough."""
    seen, names = set(), []
    for name, (layer, shape) in table.items():
        kind = frozenset(own_classes(layer)), len(shape) == 3
        names.append(pytest.param(name, marks=[pytest.mark.thorough] if kind in seen else []))
        seen.add(kind)
    return names


@pytest.mark.parametrize("name", one_of_a_kind_is_plain(TABLE), ids=str)
def test_layer_keeps_the_contract(name: str) -> None:
    cn.testing.check_layer(*TABLE[name], compiled=False)


@pytest.mark.thorough
@pytest.mark.parametrize("name", TABLE, ids=str)
def test_layer_keeps_the_contract_compiled(name: str) -> None:
    pytest.importorskip("numba")
    layer, shape = TABLE[name]
    cn.testing.Check(layer, shape, images=5, seed=0, tolerance=cn.testing.TOLERANCE).run_compiled()


# Layers that run in NumPy between the compiled ones, wherever they stand in the table;
# fmt: off
IN_NUMPY = {
    "Acos", "Acosh", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool3d",
    "BatchNorm3d", "Conv3d", "ConvTranspose3d", "Dropout1d", "Dropout3d", "InstanceNorm3d", "MaxPool3d",
    "Amax", "Amin", "Asin", "Asinh", "Atan", "Atanh", "Bilinear", "Ceil",
    "Constant", "Cos", "Cosh", "CumSum", "Dequantize", "Div", "Equal",
    "Floor", "Fmod", "Fold", "Greater", "GreaterEqual", "GridSample", "Identity", "InstanceNorm1d",
    "Less", "LessEqual", "LogSumExp", "LogicalAnd", "LogicalNot", "LogicalOr", "LogicalXor", "Maximum",
    "Minimum", "OneHot", "Pow", "Prod", "RMSNorm", "Remainder", "RoiAlign", "Round", "ScatterAlongDim",
    "Sign", "Sin", "Sinh", "Sub", "Sum", "TakeAlongDim", "Tan", "Tril", "Triu", "Trunc", "Unfold", "Where",
}
# fmt: on
# and those that do so as they are made or on some shapes alone.
SOMETIMES_IN_NUMPY: dict[str, Callable[[Any, Sequence[tuple[int, ...]]], bool]] = {
    "GRU": lambda layer, inputs: not layer.reset_after,
    "GroupNorm": lambda layer, inputs: len(inputs[0]) in (2, 4),
    "InstanceNorm2d": lambda layer, inputs: layer.track_running_stats,
    "MatMul": lambda layer, inputs: inputs[0][:-2] != inputs[1][:-2],
    "Mean": lambda layer, inputs: [*layer.axes(rank := len(inputs[0]) + 1)] != sorted(memory_axes(rank)[1:-1]),
    "MultiheadAttention": lambda layer, inputs: len(inputs) > 1 or layer.more_keys > 0 or layer.return_weights,
    "PReLU": lambda layer, inputs: layer.num_parameters > 1 and len(inputs[0]) in (2, 4),
    "Pad": lambda layer, inputs: layer.value != 0,
    "Power": lambda layer, inputs: layer.exponent != 2,
    "Resize": lambda layer, inputs: layer.extrapolation_value != 0,
    "Upsample": lambda layer, inputs: len(inputs[0]) != 3 and layer.mode != "nearest",
}


@pytest.mark.parametrize("training", [False, True])
def test_these_layers_alone_have_no_compiled_leaf(training: bool) -> None:
    pytest.importorskip("numba")
    seen: dict[str, set[bool]] = {}
    for name, (layer, shape) in TABLE.items():
        model = cn.Model(cn.composites.construct(cn.composites.describe([layer])), compiled=True)
        for step in model.plan((5, *shape), training=training).steps:
            inputs = [edge.shape for edge in step.inputs]
            for each in step.layer.stands_for or [step.layer]:
                kind = type(each).__name__
                sometimes = SOMETIMES_IN_NUMPY.get(kind, lambda layer, inputs: False)
                assert step.compiled is not (kind in IN_NUMPY or sometimes(each, inputs)), f"{name}: {kind}"
                seen.setdefault(kind, set()).add(step.compiled)
    assert {kind for kind, ways in seen.items() if ways == {False}} == IN_NUMPY
    assert {kind for kind, ways in seen.items() if len(ways) == 2} == SOMETIMES_IN_NUMPY.keys()


def test_every_entry_has_a_name_of_its_own() -> None:
    assert len(TABLE) == len(LAYERS) + len(FLAGS) + len(ALONE) + len(GRAPHS) + len(CHAINS)


AGAIN = [(layer, shape) for layer, shape in LAYERS if getattr(layer, "cheap", False) and not layer.sums(True)]


@pytest.mark.parametrize(("layer", "shape"), AGAIN, ids=str)
def test_what_is_computed_again_has_the_same_bits_in_other_blocks(layer: Any, shape: tuple[int, ...]) -> None:
    cn.Model([layer], dtype="float64").build(shape)
    x = np.abs(np.random.default_rng(0).normal(size=(7, *shape))) + 0.1
    x[2] += 12345.678  # an image whose numbers need other care than the others'
    whole, _ = passes(layer, x, training=False)
    for size in (1, 2, 3):
        parts = [passes(layer, x[start : start + size], training=False)[0] for start in range(0, len(x), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", [cn.Argmax, cn.Argmin])
@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("select_last", [True, False])
def test_places_come_back_from_their_file_whatever_their_flags(kind: Any, keepdim: bool, select_last: bool) -> None:
    layer = kind(1, keepdim, select_last)
    x = np.array([[1.0, 3, 3, 1, 1]])
    again = cn.composites.construct(cn.composites.describe([layer]))
    place = {cn.Argmax: (1, 2), cn.Argmin: (0, 4)}[kind][select_last]
    for each in ([layer], again):
        np.testing.assert_array_equal(cn.Model(each)(x), [[place]] if keepdim else [place])


@pytest.mark.parametrize(
    ("name", "shape"), [("lenet5", (1, 12, 12)), ("cnn", (1, 8, 8)), ("vgg", (2, 8, 8)), ("resnet20", (2, 8, 8))]
)
def test_zoo_shares_memory_without_a_trace(name: str, shape: tuple[int, ...]) -> None:
    model = getattr(cn.zoo, name)(input_shape=shape, classes=3)
    check = cn.testing.Check(cn.composites.Chain(model.layers), shape, images=9, seed=0, tolerance=1e-5)
    check.shapes()
    check.blocks()
    check.memory()
    check.poison()
    check.saving()


class Wrong(cn.Layer):
    """Right in every way, until a subclass breaks one."""

    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(x.value, x.value, out=y.value)

    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(2 * x.value, y.grad, out=x.grad)


class WrongGradient(Wrong):
    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(3 * x.value, y.grad, out=x.grad)


class WrongShape(Wrong):
    def build(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
        return (*shape, 1)


class Undeclared(Wrong):
    reads = {"output"}


class Adds(Wrong):
    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        x.grad += 2 * x.value * y.grad


class InPlaceYetReadsItsInput(Wrong):
    reads = {"output"}
    in_place = True

    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(2 * np.sqrt(y.value), y.grad, out=x.grad)  # loses the sign of x


class LooksAtOtherImages(Wrong):
    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(x.value, x.value.mean(), out=y.value)

    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        grad = y.grad * x.value.mean() + (y.grad * x.value).sum() / x.value.size
        np.copyto(x.grad, grad)


class ForgetsAnArgument(Wrong):
    def __init__(self, power: int) -> None:
        self.exponent = power


class RemembersItsInput(Wrong):
    reads = set()

    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        self.seen = x.value
        super().forward(x, y, block)

    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(2 * self.seen, y.grad, out=x.grad)


class LosesWhatItLearned(Wrong):
    """Its scale moves with training, and it declares no buffer for it."""

    def __init__(self) -> None:
        self.scale = 1.0

    def begin_forward(self, before: Any, shape: Any, training: bool, sums: Any) -> None:
        self.scale = 2.0 if training else self.scale

    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(x.value, self.scale, out=y.value)

    def backward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(y.grad, self.scale, out=x.grad)


def test_check_layer_passes_a_right_layer_of_ones_own() -> None:
    cn.testing.check_layer(Wrong(), (2, 3, 4))


@pytest.mark.thorough
def test_check_layer_passes_what_runs_compiled_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("COLONNADE_COMPILED", "1")
    cn.testing.check_layer(cn.Dense(50, 30), (50,))
    cn.testing.check_layer(cn.Softmax(1), (40,))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WrongGradient(), "WrongGradient: gradient at the input"),
        (WrongShape(), "broadcast|promised"),
        (Undeclared(), "does not declare"),
        (Adds(), "Adds: "),
        (InPlaceYetReadsItsInput(), "gradient at the input"),
        (LooksAtOtherImages(), "block by block differs|gradient at the input"),
        (RemembersItsInput(), "RemembersItsInput: |broadcast"),
        (LosesWhatItLearned(), "saving and loading changed the result"),
        (ForgetsAnArgument(2), "power"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_check_layer_finds_what_is_wrong(layer: cn.Layer, message: str) -> None:
    with pytest.raises((AssertionError, cn.ColonnadeError, ValueError), match=message):
        cn.testing.check_layer(layer, (2, 3, 4))
