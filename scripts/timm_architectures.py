"""Runs from_torch over architectures of timm, with random weights, beside PyTorch in float64.

    pip install timm
    python scripts/timm_architectures.py [NAME ...]

A line for each: the largest relative error of the output outside training and in training, and of the gradients of
one step (each against the largest of its tensor; those that are all but zero against a millionth of the largest of
all), or what was refused. The last line counts those below 1e-4, 1e-4 and 1e-6.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import warnings
from typing import Any

import numpy as np

import colonnade as cn

# By name, the height and width of the images; None for what the architecture has by default.
ARCHITECTURES: dict[str, int | None] = {
    "test_resnet": None,
    "test_vit": None,
    "test_vit2": None,
    "test_vit3": None,
    "test_vit4": None,
    "test_byobnet": None,
    "test_convnext": None,
    "test_convnext2": None,
    "test_convnext3": None,
    "test_efficientnet": None,
    "test_efficientnet_gn": None,
    "test_efficientnet_ln": None,
    "test_efficientnet_evos": None,
    "test_nfnet": None,
    "test_mambaout": None,
    "test_maxvit": None,
    "test_coatnet": None,
    "test_vit_relpos": None,
    "coat_lite_tiny": None,
    "coat_tiny": None,
    "crossvit_tiny_240": None,
    "xcit_nano_12_p16_224": 64,
    "mobilevit_xxs": 64,
    "mobilevitv2_050": 64,
    "ghostnet_050": 64,
    "ghostnetv2_100": 64,
    "shvit_s1": 64,
    "starnet_s1": 64,
    "repvit_m0_9": 64,
    "fastvit_t8": 64,
    "mobileone_s0": 64,
    "edgenext_xx_small": 64,
    "tinynet_e": 64,
    "mnasnet_small": 64,
    "mobilenetv3_small_050": 64,
    "mobilenetv4_conv_small_035": 64,
    "lcnet_035": 64,
    "hardcorenas_a": 64,
    "regnetx_002": 64,
    "regnety_002": 64,
    "regnetz_005": 64,
    "res2net50_14w_8s": 64,
    "resnest14d": 64,
    "seresnet18": 64,
    "skresnet18": 64,
    "resnet18d": 64,
    "resnetblur18": 64,
    "ese_vovnet19b_slim_dw": 64,
    "dla34": 64,
    "dla46_c": 64,
    "densenet121": 64,
    "hrnet_w18_small": 64,
    "cspresnet50": 64,
    "darknet17": 64,
    "dpn48b": 64,
    "efficientvit_b0": 64,
    "efficientvit_m0": None,
    "efficientformer_l1": None,
    "efficientformerv2_s0": None,
    "levit_128s": None,
    "pvt_v2_b0": 64,
    "poolformer_s12": 64,
    "poolformerv2_s12": 64,
    "pit_ti_224": None,
    "mixer_s32_224": None,
    "gmlp_s16_224": None,
    "resmlp_12_224": None,
    "convmixer_1024_20_ks9_p14": 56,
    "inception_next_atto": 64,
    "mambaout_femto": 64,
    "convnextv2_atto": 64,
    "convnext_atto_ols": 64,
    "visformer_tiny": None,
    "swin_tiny_patch4_window7_224": None,
    "tiny_vit_5m_224": None,
    "focalnet_tiny_srf": 64,
    "hgnetv2_b0": 64,
    "hiera_tiny_224": None,
    "vgg11": 64,
    "inception_v3": 96,
    "inception_v4": 96,
    "xception41": 96,
    "selecsls42": 64,
    "rexnet_100": 64,
    "gernet_s": 64,
    "repvgg_a0": 64,
    "bat_resnext26ts": 64,
    "eca_botnext26ts_256": None,
    "halonet26t": None,
    "lambda_resnet26t": None,
    "gcresnet33ts": 64,
    "eca_resnet33ts": 64,
    "nf_regnet_b0": 64,
    "nfnet_f0": 64,
    "vovnet39a": 64,
    "convit_tiny": None,
    "cait_xxs24_224": None,
    "deit_tiny_distilled_patch16_224": None,
    "eva02_tiny_patch14_224": None,
    "mvitv2_tiny": None,
    "davit_tiny": 64,
    "nest_tiny": None,
    "twins_svt_small": None,
    "sequencer2d_s": None,
    "volo_d1_224": None,
    "rdnet_tiny": 64,
    "legacy_seresnet18": 64,
    "legacy_xception": 96,
}


def _make(timm: Any, name: str, size: int | None) -> tuple[Any, int]:
    """The architecture in float64 with random weights, without dropout; and the height and width it takes."""
    import torch

    torch.manual_seed(0)
    try:
        module = timm.create_model(name, num_classes=7, **({} if size is None else {"img_size": size}))
    except TypeError:  # it takes images of any size
        module = timm.create_model(name, num_classes=7)
    size = size or module.default_cfg["input_size"][1]
    generator = torch.Generator().manual_seed(1)
    for path, parameter in module.named_parameters():
        if parameter.ndim <= 1 or "gamma" in path or not parameter.any():  # a head of zeros would hide all below it
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    for path, buffer in module.named_buffers():
        if path.endswith("running_var"):
            buffer.data *= 0.5 + torch.rand(buffer.shape, generator=generator)
        elif path.endswith("running_mean"):
            buffer.data += 0.1 * torch.randn(buffer.shape, generator=generator)
    for each in module.modules():
        if isinstance(getattr(each, "drop_prob", None), float):
            each.drop_prob = 0.0
        if isinstance(getattr(each, "drop_rate", None), float):
            each.drop_rate = 0.0
        if isinstance(each, torch.nn.Dropout | torch.nn.Dropout2d):
            each.p = 0.0
    return module.double(), size


def _error(ours: Any, theirs: Any, least: float = 1e-12) -> float:
    expected = theirs.detach().numpy()
    return float(np.abs(ours.reshape(expected.shape) - expected).max() / max(np.abs(expected).max(), least))


def _compare(module: Any, size: int) -> tuple[float, float, float]:
    """The errors of the output outside training, in training, and of the gradients."""
    import torch

    x = np.random.default_rng(0).normal(size=(3, 3, size, size))
    target = np.array([1, 3, 5])
    model = cn.from_torch(module, (3, size, size))
    with torch.no_grad():
        outside = _error(model(x), module.eval()(torch.from_numpy(x)))
    theirs = module.train()(torch.from_numpy(x))
    torch.nn.functional.cross_entropy(theirs, torch.from_numpy(target)).backward()
    ours = model(x, training=True)
    model.backward(cn.CrossEntropyLoss()(ours, target)[1])
    held = {path: each for path, each in module.named_parameters() if each.grad is not None}
    scale = max(float(each.grad.abs().max()) for each in held.values())
    learned = {each.name: each.grad for each in model.parameters()}
    for path, alias in model.aliases.items():  # a parameter with another name here, perhaps with its axes moved
        if path not in learned and alias.name in learned:
            learned[path] = learned[alias.name].transpose(np.argsort(alias.axes))
    if held.keys() - learned.keys():
        raise AssertionError(f"without a gradient: {sorted(held.keys() - learned.keys())[:5]}")
    gradients = max(_error(learned[path], each.grad, 1e-6 * scale) for path, each in held.items())
    return outside, _error(ours, theirs), gradients


def main() -> int:
    """Compare those that were named, or all; 1 if one of them differs."""
    parser = argparse.ArgumentParser(description="from_torch over architectures of timm")
    parser.add_argument("names", nargs="*", help="which (default: all)")
    names = parser.parse_args().names or list(ARCHITECTURES)
    os.environ.setdefault("COLONNADE_COMPILED", "0")
    import torch

    timm = importlib.import_module("timm")

    torch.set_num_threads(1)
    torch.Tensor.float = torch.Tensor.double  # some modules round to float32 on purpose, and would hide their errors
    warnings.simplefilter("ignore")
    agree = differ = 0
    for name in names:
        began = time.time()
        try:
            module, size = _make(timm, name, ARCHITECTURES.get(name))
            errors = _compare(module, size)
            good = errors[0] < 1e-4 and errors[1] < 1e-4 and errors[2] < 1e-6
            result = ("agrees" if good else "DIFFERS") + " {:.0e} {:.0e} {:.0e}".format(*errors)
            agree, differ = agree + good, differ + (not good)
        except cn.errors.ColonnadeError as error:
            result = f"refused {error}"
        except Exception as error:  # of PyTorch, or a fault of ours: the other architectures are compared all the same
            result = f"FAILS {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            differ += 1
        print(f"{name} {result} ({time.time() - began:.0f} s)", flush=True)
    print(f"{agree} of {len(names)} agree, {differ} fail")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
