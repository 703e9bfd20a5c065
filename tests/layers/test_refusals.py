"""What the layers for sequences, resampling, normalisation and transposed convolution refuse, in one line."""

from __future__ import annotations

from typing import Any

import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.Conv1d(0, 2, 3), r"Conv1d: in_channels must be positive, got 0\."),
        (lambda: cn.Conv1d(2, 3, 3, groups=2), r"Conv1d: out_channels must be divisible by groups = 2, got 3\."),
        (lambda: cn.Conv1d(2, 2, 0), r"Conv1d: kernel_size must be positive, got 0\."),
        (lambda: cn.Conv1d(2, 2, (3, 3)), r"Conv1d: kernel_size must be a whole number, got \(3, 3\)\."),
        (lambda: cn.Conv1d(2, 2, 3, padding=-1), r"Conv1d: padding must be zero or more, got -1\."),
        (lambda: cn.Conv1d(2, 2, 3, 2, "same"), r"Conv1d: padding 'same' needs stride 1, got 2\."),
        (
            lambda: cn.Conv1d(2, 2, 3, padding="full"),
            r"Conv1d: padding must be a number, 'same' or 'valid', got 'full'\.",
        ),
        (
            lambda: cn.Conv1d(2, 2, 3, padding_mode="mirror"),
            r"Conv1d: padding_mode must be one of zeros, reflect, replicate, circular, got 'mirror'\.",
        ),
        (lambda: cn.MaxPool1d(3, padding=2), r"MaxPool1d: padding must be at most half the window of 3, got 2\."),
        (lambda: cn.AvgPool1d(2, stride=0), r"AvgPool1d: stride must be positive, got 0\."),
        (
            lambda: cn.ConvTranspose2d(2, 2, 3, output_padding=1),
            r"ConvTranspose2d: output_padding must be less than the stride or the dilation, got 1\.",
        ),
        (
            lambda: cn.ConvTranspose2d(3, 2, 3, groups=2),
            r"ConvTranspose2d: in_channels must be divisible by groups = 2, got 3\.",
        ),
        (
            lambda: cn.ConvTranspose2d(2, 2, 3, padding_mode="reflect"),
            r"ConvTranspose2d: padding_mode must be 'zeros', got 'reflect'\.",
        ),
        (
            lambda: cn.AdaptiveMaxPool2d((2, 0)),
            r"AdaptiveMaxPool2d: output_size must be positive, got \(2, 0\)\.",
        ),
        (
            lambda: cn.MultiheadAttention(6, 4),
            r"MultiheadAttention: embed_dim must be divisible by num_heads = 4, got 6\.",
        ),
        (lambda: cn.MultiheadAttention(6, 0), r"MultiheadAttention: num_heads must be positive, got 0\."),
        (
            lambda: cn.MultiheadAttention(6, 2, dropout=2),
            r"MultiheadAttention: dropout must lie between 0 and 1, got 2\.",
        ),
        (lambda: cn.LayerNorm((3, 0)), r"LayerNorm: normalized_shape must hold positive sizes, got \(3, 0\)\."),
        (lambda: cn.LayerNorm(3, eps=-1), r"LayerNorm: eps must be zero or more, got -1\."),
        (lambda: cn.LayerNorm2d(0), r"LayerNorm2d: num_channels must be positive, got 0\."),
        (lambda: cn.LayerNorm2d(3, eps=-1), r"LayerNorm2d: eps must be zero or more, got -1\."),
        (
            lambda: cn.Permute((0, 2, 2)),
            r"Permute: dims must be each axis once, the batch's 0 first, got \(0, 2, 2\)\.",
        ),
        (lambda: cn.Permute((1, 0)), r"Permute: dims must be each axis once, the batch's 0 first, got \(1, 0\)\."),
        (lambda: cn.Select(1, 0.5), r"Select: index must be a whole number, got 0\.5\."),
        (lambda: cn.Permute(()), r"Permute: dims must be each axis once, the batch's 0 first, got \(\)\."),
        (
            lambda: cn.GroupNorm(0, 4),
            r"GroupNorm: num_groups must be positive, got 0\.",
        ),
        (lambda: cn.GroupNorm(3, 4), r"GroupNorm: num_channels must be divisible by num_groups = 3, got 4\."),
        (lambda: cn.InstanceNorm2d(0), r"InstanceNorm2d: num_features must be positive, got 0\."),
        (lambda: cn.InstanceNorm2d(3, momentum=2), r"InstanceNorm2d: momentum must lie between 0 and 1, got 2\."),
        (
            lambda: cn.ZeroPad2d((1, 2)),
            r"ZeroPad2d: padding must be a whole number or 4 of them, got \(1, 2\)\.",
        ),
        (lambda: cn.ZeroPad2d(-1), r"ZeroPad2d: padding must be zero or more, got -1\."),
        (
            lambda: cn.Upsample(),
            r"Upsample: expected either size or scale_factor, got size=None, scale_factor=None\.",
        ),
        (
            lambda: cn.Upsample(2, mode="cubic"),
            r"Upsample: mode must be one of nearest, linear, bilinear, trilinear, got 'cubic'\.",
        ),
        (lambda: cn.Upsample(0), r"Upsample: size must be positive, got 0\."),
        (
            lambda: cn.Upsample(scale_factor=(2.0, -1.0)),
            r"Upsample: scale_factor must be positive, got -1\.0\.",
        ),
        (
            lambda: cn.Upsample(2, align_corners=True),
            r"Upsample: align_corners needs a linear mode, got True with 'nearest'\.",
        ),
        (
            lambda: cn.Upsample(2, recompute_scale_factor=True),
            r"Upsample: recompute_scale_factor needs a scale_factor, got size\.",
        ),
        (
            lambda: cn.Upsample((2, 3, 4), mode="bilinear"),
            r"Upsample: expected 2 for mode 'bilinear', got \(2, 3, 4\)\.",
        ),
        (lambda: cn.Upsample(scale_factor=(2.0,) * 4), r"Upsample: expected one to three numbers, got .*\."),
        (
            lambda: cn.Conv3d(2, 3, (3, 3)),
            r"Conv3d: kernel_size must be a whole number or 3 of them, got \(3, 3\)\.",
        ),
        (
            lambda: cn.Conv3d(2, 3, 3, padding="full"),
            r"Conv3d: padding must be a number, 3 of them, 'same' or 'valid', got 'full'\.",
        ),
        (lambda: cn.Conv3d(2, 3, 3, 2, "same"), r"Conv3d: padding 'same' needs stride 1, got 2\."),
        (
            lambda: cn.ConvTranspose3d(2, 3, 3, 2, output_padding=(0, 2, 0)),
            r"ConvTranspose3d: output_padding must be less than the stride or the dilation, got \(0, 2, 0\)\.",
        ),
        (
            lambda: cn.MaxPool3d((2, 3, 2), padding=(0, 2, 0)),
            r"MaxPool3d: padding must be at most half the window of 2×3×2, got \(0, 2, 0\)\.",
        ),
        (lambda: cn.AvgPool3d(2, divisor_override=0), r"AvgPool3d: divisor_override must not be zero, got 0\."),
        (
            lambda: cn.AdaptiveMaxPool3d(2, return_indices=True),
            r"AdaptiveMaxPool3d: return_indices is not supported \(a layer has one output\), got True\.",
        ),
        (lambda: cn.Bilinear(2, 0, 3), r"Bilinear: in2_features must be positive, got 0\."),
        (lambda: cn.Unfold(0), r"Unfold: kernel_size must be positive, got 0\."),
        (lambda: cn.Fold(0, 2), r"Fold: output_size must be positive, got 0\."),
        (lambda: cn.InstanceNorm1d(0), r"InstanceNorm1d: num_features must be positive, got 0\."),
        (lambda: cn.PixelUnshuffle(0), r"PixelUnshuffle: downscale_factor must be positive, got 0\."),
        (lambda: cn.ChannelShuffle(0), r"ChannelShuffle: groups must be positive, got 0\."),
        (lambda: cn.RMSNorm(0), r"RMSNorm: normalized_shape must hold positive sizes, got 0\."),
        (lambda: cn.RMSNorm(3, -1), r"RMSNorm: eps must be zero or more, got -1\."),
        (lambda: cn.ReflectionPad1d(-1), r"ReflectionPad1d: padding must be zero or more, got -1\."),
        (
            lambda: cn.CircularPad2d((1, 2)),
            r"CircularPad2d: padding must be a whole number or 4 of them, got \(1, 2\)\.",
        ),
        (lambda: cn.PixelShuffle(0), r"PixelShuffle: upscale_factor must be positive, got 0\."),
        (
            lambda: cn.Unflatten(1, (-1, 2, -1)),
            r"Unflatten: unflattened_size must hold positive sizes, and -1 at most once, got \(-1, 2, -1\)\.",
        ),
    ],
)
def test_arguments_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (cn.Conv1d(2, 3, 3), (3, 9), r"Conv1d: expected 2 input channels, got an input of shape \(3, 9\)\."),
        (
            cn.Conv1d(2, 3, 5, padding=1, dilation=2),
            (2, 6),
            r"Conv1d: a window spans 9, more than the padded input of 8 \(an input of shape \(2, 6\)\)\.",
        ),
        (cn.Conv3d(2, 3, 3), (2, 9, 9), r"Conv3d: expected 2 input channels, got an input of shape \(2, 9, 9\)\."),
        (
            cn.Conv3d(2, 3, (1, 4, 1)),
            (2, 3, 3, 5),
            r"Conv3d: a window spans 1×4×1, more than the padded input of 3×3×5 \(an input of shape \(2, 3, 3, 5\)\)\.",
        ),
        (
            cn.ConvTranspose1d(2, 3, 1, padding=2),
            (2, 3),
            r"ConvTranspose1d: a padding of 2 leaves nothing of the output for an input of shape \(2, 3\)\.",
        ),
        (
            cn.MaxPool3d(2),
            (2, 4, 4),
            r"MaxPool3d: expected volumes \(c, d, h, w\), got an input of shape \(2, 4, 4\)\.",
        ),
        (cn.AvgPool3d(3), (2, 4, 2, 4), r"AvgPool3d: a window spans 3×3×3, more than the padded input of 4×2×4 .*"),
        (cn.AdaptiveAvgPool1d(3), (2, 4, 4), r"AdaptiveAvgPool1d: expected sequences \(c, l\), got .*"),
        (cn.BatchNorm3d(2), (2, 4, 4), r"BatchNorm3d: expected 2 channels, got an input of shape \(2, 4, 4\)\."),
        (cn.InstanceNorm3d(2), (2, 1, 1, 1), r"InstanceNorm3d: expected more than one position a channel, got .*"),
        (cn.Dropout3d(), (2, 4, 4), r"Dropout3d: expected volumes \(c, d, h, w\), got .*"),
        (cn.ReplicationPad3d(1), (2, 4, 4), r"ReplicationPad3d: expected volumes \(c, d, h, w\), got .*"),
        (cn.Upsample(2, mode="trilinear"), (2, 4, 4), r"Upsample: expected volumes \(c, d, h, w\), got .*"),
        (cn.MaxPool1d(2), (2, 4, 4), r"MaxPool1d: expected sequences \(c, l\), got an input of shape \(2, 4, 4\)\."),
        (
            cn.AvgPool1d(5),
            (2, 4),
            r"AvgPool1d: a window spans 5, more than the padded input of 4 \(an input of shape \(2, 4\)\)\.",
        ),
        (
            cn.ConvTranspose2d(2, 3, 3),
            (3, 4, 4),
            r"ConvTranspose2d: expected 2 input channels, got an input of shape \(3, 4, 4\)\.",
        ),
        (
            cn.ConvTranspose2d(2, 3, 2, padding=2),
            (2, 2, 2),
            r"ConvTranspose2d: a padding of 2 leaves nothing of the output for an input of shape \(2, 2, 2\)\.",
        ),
        (
            cn.AdaptiveMaxPool2d(1),
            (4,),
            r"AdaptiveMaxPool2d: expected images \(c, h, w\), got an input of shape \(4,\)\.",
        ),
        (
            cn.MultiheadAttention(6, 2),
            (5,),
            r"MultiheadAttention: expected sequences \(length, 6\), got an input of shape \(5,\)\.",
        ),
        (cn.LayerNorm(4), (5,), r"LayerNorm: expected an input that ends in \(4,\), got an input of shape \(5,\)\."),
        (
            cn.LayerNorm(4),
            (3, 4, 4),
            r"LayerNorm: images are normalised whole, all of \(c, h, w\): got normalized_shape \(4,\) and an input of "
            r"shape \(3, 4, 4\)\.",
        ),
        (
            cn.LayerNorm2d(4),
            (4, 2),
            r"LayerNorm2d: expected images \(c, h, w\), got an input of shape \(4, 2\)\.",
        ),
        (
            cn.LayerNorm2d(4),
            (3, 2, 2),
            r"LayerNorm2d: expected 4 channels, got an input of shape \(3, 2, 2\)\.",
        ),
        (
            cn.Permute((0, 2, 1)),
            (3, 4, 5),
            r"Permute: expected one image of 2 axes, got an input of shape \(3, 4, 5\)\.",
        ),
        (
            cn.Select(0, 0),
            (3, 4),
            r"Select: expected an axis of one image, from 1, that has others, got dim=0 and \(3, 4\)\.",
        ),
        (
            cn.Select(1, 0),
            (3,),
            r"Select: expected an axis of one image, from 1, that has others, got dim=1 and \(3,\)\.",
        ),
        (cn.Select(2, 4), (3, 4), r"Select: axis 2 has 4 places, got index=4\."),
        (cn.GroupNorm(2, 4), (6, 2), r"GroupNorm: expected 4 channels, got an input of shape \(6, 2\)\."),
        (
            cn.InstanceNorm2d(3),
            (3, 4),
            r"InstanceNorm2d: expected images \(c, h, w\), got an input of shape \(3, 4\)\.",
        ),
        (
            cn.InstanceNorm2d(3),
            (3, 1, 1),
            r"InstanceNorm2d: expected more than one pixel a channel, got an input of shape \(3, 1, 1\)\.",
        ),
        (cn.Unfold(2), (5,), r"Unfold: expected images \(c, h, w\), got an input of shape \(5,\)\."),
        (cn.Unfold(4), (1, 3, 5), r"Unfold: a window of \(4, 4\) does not fit into images of \(3, 5\) .*"),
        (
            cn.Fold(3, 2),
            (4, 5),
            r"Fold: expected 4 columns of numbers that 4 divides, got an input of shape \(4, 5\)\.",
        ),
        (cn.InstanceNorm1d(3), (3, 4, 2), r"InstanceNorm1d: expected sequences \(c, l\), got an input of shape .*"),
        (cn.InstanceNorm1d(3), (3, 1), r"InstanceNorm1d: expected more than one position a channel, got .*"),
        (
            cn.PixelUnshuffle(2),
            (2, 4, 3),
            r"PixelUnshuffle: height and width must be divisible by 2, got an input of shape \(2, 4, 3\)\.",
        ),
        (cn.ChannelShuffle(2), (3, 4), r"ChannelShuffle: expected channels that 2 divides, and positions, got .*"),
        (cn.RMSNorm(3), (4,), r"RMSNorm: expected an input that ends in \(3,\), got an input of shape \(4,\)\."),
        (cn.RMSNorm(3), (2, 4, 3), r"RMSNorm: images are normalised whole, all of \(c, h, w\): got .*"),
        (cn.ReflectionPad1d(1), (5,), r"ReflectionPad1d: expected sequences \(c, l\), got an input of shape \(5,\)\."),
        (
            cn.ReflectionPad2d(3),
            (1, 3, 5),
            r"ReflectionPad2d: a border by 'reflect' is at most 2 wide on .*",
        ),
        (cn.CircularPad2d(1), (2, 5), r"CircularPad2d: expected images \(c, h, w\), got an input of shape \(2, 5\)\."),
        (cn.ZeroPad2d(1), (5,), r"ZeroPad2d: expected images \(c, h, w\), got an input of shape \(5,\)\."),
        (
            cn.Upsample(scale_factor=0.2),
            (3, 4, 4),
            r"Upsample: nothing is left of an input of shape \(3, 4, 4\) at 0\.2 times\.",
        ),
        (
            cn.PixelShuffle(2),
            (6, 3, 3),
            r"PixelShuffle: the channels must be divisible by 2², got an input of shape \(6, 3, 3\)\.",
        ),
        (cn.Unflatten(0, (2, 3)), (6,), r"Unflatten: dim must be an axis of one image, 1 to 1, got 0\."),
        (
            cn.Unflatten(1, (4, -1)),
            (6, 2),
            r"Unflatten: axis 1 of size 6 does not part into \(4, -1\), for an input of shape \(6, 2\)\.",
        ),
    ],
)
def test_inputs_that_do_not_fit(layer: cn.Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=f"^layer 0, {message}$"):
        cn.Model([layer]).build(shape)
