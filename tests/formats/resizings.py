"""Resizes at random, by scales and by sizes, to be run beside ONNX Runtime and PyTorch.

python -m tests.formats.resizings 5000
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

import colonnade as cn
from colonnade.formats.onnx import import_model

Array = np.ndarray[Any, Any]
# Such as people write, at which a size or a place is a matter of rounding.
SCALES = (0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.9, 1.0, 1.1, 1.2, 1.25, 1.3, 4 / 3, 1.5)
SCALES += (1.6, 1.7, 2.0, 2.05, 2.2, 2.5, 3.0, 3.3, 3.5, 4.0)
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Case(NamedTuple):
    """One operator Resize, or Upsample, as it was called before.

    Attributes:
        opset: Its version.
        shape: Of the batch.
        inputs: Arrays by name: "roi", "scales" or "sizes".
        attributes: Of the node.
    """

    opset: int
    shape: tuple[int, ...]
    inputs: dict[str, Array]
    attributes: dict[str, Any]

    def model(self) -> onnx.ModelProto:
        """The file."""
        names = ("x", "roi", "scales", "sizes") if self.opset > 10 else ("x", "scales")
        inputs = self.inputs
        if 10 < self.opset < 13:  # where the others could be empty, but not left out
            inputs = {name: np.zeros(0, np.float32) for name in ("roi", "scales")} | inputs
        given = [name if name == "x" or name in inputs else "" for name in names]
        kind = "Upsample" if self.opset < 10 else "Resize"
        node = helper.make_node(kind, given[: 1 + max(map(given.index, inputs))], ["y"], **self.attributes)
        ports = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape[1:]]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"size{axis}" for axis in range(len(self.shape))]),
        ]
        constants = [onnx.numpy_helper.from_array(array, name) for name, array in inputs.items()]
        graph = helper.make_graph([node], "resizing", ports[:1], ports[1:], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """So many, all different."""
    rng = np.random.default_rng(seed)

    def pick(choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    while count:
        opset = pick((9, 10, 11, 13, 18, 19))
        spatial = pick((1, 2, 2)) if opset > 10 else 2
        shape = (2, 3, *(int(size) for size in rng.integers(1, 25, spatial)))
        mode = pick(("nearest", "nearest", "linear", "cubic") if opset > 10 and spatial == 2 else ("nearest", "linear"))
        attributes: dict[str, Any] = {"mode": mode}
        if opset > 10:
            known = COORDINATES + (("half_pixel_symmetric",) if opset >= 19 else ())
            known += ("tf_crop_and_resize",) + (("tf_half_pixel_for_nn",) if opset < 13 and mode == "nearest" else ())
            attributes["coordinate_transformation_mode"] = pick(known)
            if mode == "nearest":
                attributes["nearest_mode"] = pick(ROUNDINGS)
            if mode == "cubic":
                attributes |= {"cubic_coeff_a": pick((-0.75, -0.5)), "exclude_outside": pick((0, 1))}
        cropped = attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
        if opset >= 18 and mode != "nearest" and not cropped and spatial == 2:
            attributes["antialias"] = pick((0, 1))
        if by_axes := opset >= 18 and pick((True, False)):
            attributes["axes"] = list(range(2, 2 + spatial))
        before = [] if by_axes else [1, 1]
        inputs = {}
        if cropped:
            start = rng.uniform(-0.3, 0.6, spatial)
            end = start + rng.uniform(0.1, 0.9, spatial)
            inputs["roi"] = np.array([*(0 for _ in before), *start, *before, *end], np.float32)
            attributes["extrapolation_value"] = pick((0.0, 3.5))
        if opset < 11 or pick((True, False)):
            scales = [pick(SCALES) if pick((True, False)) else rng.uniform(0.1, 4) for _ in range(spatial)]
            scales = [max(scale, 1.0) for scale in scales] if opset < 10 else scales
            inputs["scales"] = np.array([*before, *scales], np.float32)
            made = [int(np.float32(scale) * np.float32(size)) for scale, size in zip(scales, shape[2:], strict=True)]
        else:
            made = [int(size) for size in rng.integers(1, 40, spatial)]
            inputs["sizes"] = np.array([*([] if by_axes else [2, 3]), *made], np.int64)
            if by_axes:
                attributes["keep_aspect_ratio_policy"] = pick(("stretch", "not_larger", "not_smaller"))
        # ONNX Runtime does not cut where the size stays, and makes images without pixels.
        if min(made) < 1 or (cropped and any(a == b for a, b in zip(made, shape[2:], strict=True))):
            continue
        count -= 1
        yield Case(opset, shape, inputs, attributes)


def differences(count: int, seed: int = 0) -> list[str]:
    """Those that we and ONNX Runtime see otherwise, in words."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    found = []
    for number, case in enumerate(cases(count, seed)):
        model = case.model()
        x = np.random.default_rng([seed, number]).normal(size=case.shape).astype(np.float32)
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (expected,) = session.run(None, {"x": x})
        if 0 in expected.shape:  # an aspect ratio that was kept
            continue
        y = import_model(model)(x)
        if y.shape != expected.shape:
            found.append(f"{case}: {y.shape} where {expected.shape} is expected")
        elif not np.allclose(y, expected, rtol=1e-4, atol=1e-4):
            found.append(f"{case}: {np.abs(y - expected).max()} apart")
    return found


def upsamplings(count: int, seed: int = 0) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Shapes of images, and arguments of Upsample."""
    rng = np.random.default_rng(seed)
    while count:
        shape = (3, *(int(size) for size in rng.integers(1, 25, 2)))
        arguments: dict[str, Any] = {"mode": ("nearest", "bilinear")[rng.integers(2)]}
        if arguments["mode"] == "bilinear":
            arguments["align_corners"] = (None, False, True)[rng.integers(3)]
        if rng.random() < 0.3:
            arguments["size"] = tuple(int(size) for size in rng.integers(1, 50, 2))
        else:
            factors = [float(rng.choice(SCALES)) if rng.random() < 0.7 else rng.uniform(0.1, 4) for _ in range(2)]
            made = [int(size * factor) for size, factor in zip(shape[1:], factors, strict=True)]
            # PyTorch's way for large images that do not lie channels-last is another forward than backward.
            if min(made) < 1 or sum(made) > 128:
                continue
            arguments["scale_factor"] = tuple(factors)
            arguments["recompute_scale_factor"] = (None, False, True)[rng.integers(3)]
        count -= 1
        yield shape, arguments


def differences_from_torch(count: int, seed: int = 0) -> list[str]:
    """Those Upsamples that are not PyTorch's, forward or backward, in words."""
    import torch

    found = []
    for number, (shape, arguments) in enumerate(upsamplings(count, seed)):
        rng = np.random.default_rng([seed, number])
        x = rng.normal(size=(2, *shape)).astype(np.float32)
        given = torch.tensor(x, requires_grad=True)
        expected = torch.nn.Upsample(**arguments)(given)
        model = cn.Model([cn.Upsample(**arguments)])
        y = model(x, training=True)
        if y.shape != tuple(expected.shape):
            found.append(f"{shape}, {arguments}: {y.shape} where {tuple(expected.shape)} is expected")
            continue
        gradient = rng.normal(size=y.shape).astype(np.float32)
        expected.backward(torch.tensor(gradient))
        assert given.grad is not None
        pairs = (y, expected.detach().numpy()), (model.backward(gradient), given.grad.numpy())
        if not all(np.allclose(ours, theirs, rtol=1e-3, atol=1e-4) for ours, theirs in pairs):
            found.append(f"{shape}, {arguments}")
    return found


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    sys.stdout.writelines(f"{line}\n" for line in [*differences(wanted, 1), *differences_from_torch(wanted, 1)])
