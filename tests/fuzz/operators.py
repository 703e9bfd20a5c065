"""ONNX graphs at random, of operators as each version of ONNX has them, beside ONNX Runtime.

A graph is told by one number: `check(seed)` draws it, takes it over, exports it and takes it over again, and raises
with the graph where the numbers differ from ONNX Runtime's. `python -m tests.fuzz.operators N [FIRST]` does so with as
many as one likes.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import colonnade as cn
from colonnade.errors import ColonnadeError
from colonnade.formats.onnx import import_model

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
IMAGES = 3
OLDEST, NEWEST = 7, min(onnx.defs.onnx_opset_version(), 23)
LARGEST = 400  # numbers of one image
STORED = {"float32": None, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16, "int8": TensorProto.INT8}


class UnfitError(Exception):
    """An operator that does not take what it was drawn for."""


def bodies(node: Any) -> list[Any]:
    """The graphs within a node."""
    return [each.g for each in node.attribute if each.type == onnx.AttributeProto.GRAPH]


class Drawing:
    """A graph that grows; every tensor in `shapes` has the batch first, which is left out there.

    Attributes:
        opset: The version of ONNX.
        stored: How weights lie in the file: they are cast, or scaled, to float32 there.
        exact: Tensors of which every implementation has the same bits.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = self.number(OLDEST, NEWEST)
        self.stored = self.pick(["float32", "float32", "float32", *STORED])
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shapes: dict[str, Shape] = {}
        self.inputs: list[str] = []
        self._made = 0
        for place in range(self.pick([1, 1, 1, 2])):
            name = f"x{place}"
            self.shapes[name] = tuple(self.pick([1, 2, 3, 4, 5, 6]) for _ in range(self.pick([1, 2, 2, 3, 3, 3, 4])))
            self.inputs.append(name)
        self.exact = set(self.inputs)
        self.used: list[str] = []
        for _ in range(self.number(1, 5)):
            self.grow()
        read = {name for node in self.nodes for name in node.input}
        read |= {name for node in self.nodes for graph in bodies(node) for each in graph.node for name in each.input}
        self.outputs = [name for name in self.shapes if name not in read and name not in self.inputs][-3:]
        needed = set(self.outputs)
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input, *(each.input for graph in bodies(node) for each in graph.node))
        self.nodes = [node for node in self.nodes if needed.intersection(node.output)]
        self.inputs = [name for name in self.inputs if name in needed]

    # Chance

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, max(least, most) + 1))

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def flag(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def normal(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def axis(self, shape: Shape) -> int:
        """An axis that is not the batch's, counted from either end."""
        axis = self.number(1, len(shape))
        return axis - len(shape) - 1 if self.opset >= 11 and self.flag() else axis

    # Parts of a graph

    def fresh(self) -> str:
        self._made += 1
        return f"t{self._made}"

    def constant(self, array: Any, dtype: Any = None) -> str:
        """The name of a known array."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant(list(numbers), np.int64)

    def weight(self, array: Array) -> str:
        """The name of an array that is learned, or could be: stored as the graph stores them."""
        kind = STORED[self.stored]
        if kind is None or (self.stored == "bfloat16" and self.opset < 13):
            return self.constant(array)
        if self.stored == "int8":
            if self.opset < 10:
                return self.constant(array)
            scale = np.float32(np.abs(array).max(initial=1e-3) / 127)
            numbers = self.constant(np.round(array / scale), np.int8)
            (name,) = self.node("DequantizeLinear", numbers, self.constant(scale), self.constant(0, np.int8))
            return name
        held = f"c{len(self.constants)}"
        self.constants.append(helper.make_tensor(held, kind, array.shape, array.ravel().tolist()))
        (name,) = self.node("Cast", held, to=TensorProto.FLOAT)
        return name

    def node(self, operator: str, *reads: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Put a node; "" stands for an input that is left out."""
        made = [self.fresh() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(reads), made, name=f"{operator}_{made[0]}", **attributes))
        return made

    def put(self, operator: str, *reads: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """The same, of an operator that must be there in this version."""
        try:
            since = onnx.defs.get_schema(operator, self.opset)
        except onnx.defs.SchemaError:
            raise UnfitError(operator) from None
        if unknown := attributes.keys() - since.attributes.keys():
            raise UnfitError(f"{operator} has no {unknown} yet")
        return self.node(operator, *reads, outputs=outputs, **attributes)

    def recent(self) -> str:
        names = list(self.shapes)
        return names[-1 - min(int(self.rng.exponential(1.5)), len(names) - 1)]

    def tensor(self, *axes: int) -> str:
        """A tensor of one of these numbers of axes beside the batch; made of another where there is none."""
        fitting = [name for name, shape in self.shapes.items() if len(shape) in axes]
        if fitting and self.flag(0.8):
            return self.pick(fitting[-4:])  # type: ignore[no-any-return]
        name = self.recent()
        sizes: list[int] = []
        left = math.prod(self.shapes[name])
        for _ in range(self.pick(axes) - 1):
            sizes.append(int(self.pick([size for size in range(1, left + 1) if left % size == 0])))
            left //= sizes[-1]
        sizes.append(left)
        (made,) = self.node("Reshape", name, self.whole(self.pick([0, -1]), *sizes))
        self.keep(made, tuple(sizes), name in self.exact)
        return made

    def exactly(self, *axes: int) -> str:
        """The same, of one whose bits all have."""
        name = self.tensor(*axes)
        if name not in self.exact:
            raise UnfitError("not exact")
        return name

    def keep(self, name: str, shape: Shape, exact: bool = False) -> None:
        self.shapes[name] = shape
        if exact:
            self.exact.add(name)

    def grow(self) -> None:
        """One more operator."""
        for _ in range(30):
            before = len(self.nodes), dict(self.shapes), set(self.exact), len(self.constants), self._made
            name = self.pick(list(OPERATORS))
            try:
                made = OPERATORS[name](self)
                self._infer([made] if isinstance(made, str) else made)
            except UnfitError:
                count, self.shapes, self.exact, constants, self._made = before
                del self.nodes[count:], self.constants[constants:]
            else:
                self.used.append(name)
                return

    def _infer(self, made: Sequence[str]) -> None:
        """Find the shapes of what was made, by ONNX itself."""
        try:
            inferred = onnx.shape_inference.infer_shapes(self._model(made, 97), True, True, True)
        except Exception as error:
            raise UnfitError(str(error)) from None
        for value in inferred.graph.output:
            sizes = [each.dim_value for each in value.type.tensor_type.shape.dim]
            if not sizes or sizes[0] != 97 or min(sizes) < 1 or math.prod(sizes[1:]) > LARGEST or len(sizes) < 2:
                raise UnfitError(f"{value.name} {sizes}")
            self.shapes[value.name] = tuple(sizes[1:])

    def _model(self, outputs: Sequence[str], batch: Any) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info(name, 1, [batch, *self.shapes[name]]) for name in self.inputs],
            [
                helper.make_tensor_value_info(name, 1, [batch, *self.shapes[name]] if name in self.shapes else None)
                for name in outputs
            ],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        version = max(4, helper.find_min_ir_version_for(opsets))
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)

    def model(self) -> Any:
        return self._model(self.outputs, "N")

    # Operators that are several, or that need something before them

    def turned(self, name: str) -> str:
        """A sequence with its steps first."""
        return self.node("Transpose", name, perm=[1, 0, 2])[0]

    def of_shape(self, shape: Shape, exact: bool = True) -> str:
        """Numbers of an input in a shape: picked at random, so that all may differ."""
        name = self.pick(self.inputs) if exact else self.recent()
        size = math.prod(self.shapes[name])
        (flat,) = self.node("Reshape", name, self.whole(-1, size))
        places = self.whole(*self.rng.integers(0, size, math.prod(shape)))
        (picked,) = self.node("Gather", flat, places, axis=1)
        (made,) = self.node("Reshape", picked, self.whole(-1, *shape))
        self.keep(made, shape, exact)
        return made

    def indices(self, shape: Shape, least: int, most: int) -> str:
        """Whole numbers within bounds, computed from an input, as int64."""
        (scaled,) = self.node("Mul", self.of_shape(shape), self.constant(np.float32(2.0)))
        (floor,) = self.node("Floor", scaled)
        low, high = self.constant(np.float32(least)), self.constant(np.float32(most))
        (low_bound,) = self.node("Max", floor, low)
        (bounded,) = self.node("Min", low_bound, high)
        return self.node("Cast", bounded, to=TensorProto.INT64)[0]

    def as_float(self, name: str) -> str:
        return self.node("Cast", name, to=TensorProto.FLOAT)[0]


def _recurrent(operator: str, gates: int, **more: Callable[[Drawing], Any]) -> Callable[[Drawing], list[str]]:
    def draw(d: Drawing) -> list[str]:
        x = d.tensor(2)
        size = d.shapes[x][-1]
        hidden, direction = d.number(1, 4), d.pick(["forward", "reverse", "bidirectional"])
        ways = 2 if direction == "bidirectional" else 1
        reads = [
            d.turned(x),
            d.weight(d.normal(ways, gates * hidden, size)),
            d.weight(d.normal(ways, gates * hidden, hidden)),
        ]
        reads.append(d.weight(d.normal(ways, 2 * gates * hidden)) if d.flag() else "")
        reads.append("")  # lengths
        states = [
            d.node("Transpose", d.of_shape((ways, hidden)), perm=[1, 0, 2])[0]
            for _ in range(2 if operator == "LSTM" else 1)
        ]
        reads += states if d.flag() else []
        attributes = {name: make(d) for name, make in more.items()}
        outputs = d.put(operator, *reads, outputs=2, hidden_size=hidden, direction=direction, **attributes)
        (sequence,) = d.node("Transpose", outputs[0], perm=[2, 0, 1, 3])
        (last,) = d.node("Transpose", outputs[1], perm=[1, 0, 2])
        return [sequence, last]

    return draw


def _branch(d: Drawing, x: str, operator: str, name: str) -> Any:
    """A graph within the graph that reads a tensor of the outer one."""
    made = helper.make_tensor_value_info(name, 1, None)
    return helper.make_graph([helper.make_node(operator, [x], [name])], name, [], [made])


def _if(d: Drawing) -> list[str]:
    x = d.recent()
    known = d.constant(d.flag(), bool)
    branches = [_branch(d, x, d.pick(["Tanh", "Abs", "Neg", "Identity"]), f"{x}_{place}_{d._made}") for place in "ab"]
    return d.put("If", known, then_branch=branches[0], else_branch=branches[1])


def _loop(d: Drawing) -> list[str]:
    """x = tanh(x · w + x₀), so many times, and what each turn saw of one number."""
    x = d.tensor(2)
    size = d.shapes[x][-1]
    weight, turn = d.weight(d.normal(size, size)), d.fresh()
    body = helper.make_graph(
        [
            helper.make_node("MatMul", [f"{turn}_v", weight], [f"{turn}_p"]),
            helper.make_node("Add", [f"{turn}_p", x], [f"{turn}_s"]),
            helper.make_node("Tanh", [f"{turn}_s"], [f"{turn}_o"]),
            helper.make_node("Identity", [f"{turn}_c"], [f"{turn}_d"]),
        ],
        "body",
        [
            helper.make_tensor_value_info(f"{turn}_i", TensorProto.INT64, []),
            helper.make_tensor_value_info(f"{turn}_c", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{turn}_v", 1, None),
        ],
        [
            helper.make_tensor_value_info(f"{turn}_d", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{turn}_o", 1, None),
        ],
    )
    count = d.constant(d.number(1, 4), np.int64)
    # What goes round may change its shape, for all that ONNX knows: it is said once more.
    (state,) = d.node("Loop", count, d.constant(True, bool), x, body=body)
    (shape,) = d.node("Shape", x)
    return d.put("Reshape", state, shape)


def _scan(d: Drawing) -> list[str]:
    """Sums along the steps, each halved."""
    x = d.tensor(2)
    if d.opset < 9:
        raise UnfitError("Scan of version 8 has another form")
    size = d.shapes[x][-1]
    half, turn = d.constant(np.float32(0.5)), d.fresh()
    body = helper.make_graph(
        [
            helper.make_node("Mul", [f"{turn}_h", half], [f"{turn}_m"]),
            helper.make_node("Add", [f"{turn}_m", f"{turn}_x"], [f"{turn}_o"]),
            helper.make_node("Tanh", [f"{turn}_o"], [f"{turn}_y"]),
        ],
        "body",
        [helper.make_tensor_value_info(f"{turn}_{name}", 1, ["B", size]) for name in "hx"],
        [helper.make_tensor_value_info(f"{turn}_{name}", 1, ["B", size]) for name in "oy"],
    )
    begin = d.of_shape((size,))
    forward = {} if d.flag() else {"scan_input_directions": [1], "scan_output_directions": [1]}
    last, sequence = d.put("Scan", begin, d.turned(x), outputs=2, body=body, num_scan_inputs=1, **forward)
    return [last, d.turned(sequence)]


def _whole_product(d: Drawing) -> list[str]:
    """A product of whole numbers, small ones: without VNNI sums of two products saturate in ONNX Runtime at 2¹⁵."""
    x = d.exactly(1)
    size, width = d.shapes[x][0], d.number(1, 5)
    numbers = d.constant(d.rng.integers(-63, 63, (size, width)), np.int8)
    low, high = d.constant(np.float32(-2)), d.constant(np.float32(2))
    (above,) = d.node("Max", x, low)
    (bounded,) = d.node("Min", above, high)
    scale, zero = d.constant(np.float32(4 / 255)), d.constant(128, np.uint8)
    (whole,) = d.put("QuantizeLinear", bounded, scale, zero)
    (product,) = d.put("MatMulInteger", whole, numbers, zero, d.constant(0, np.int8))
    return d.node("Mul", d.as_float(product), d.constant(np.float32(0.001)))


def _quantized(d: Drawing) -> list[str]:
    x, kind = d.exactly(1, 2, 3), d.pick([np.int8, np.uint8])
    axis = d.number(1, len(d.shapes[x]))
    along = d.opset >= 13 and d.flag()
    count = d.shapes[x][axis - 1]
    scale = d.rng.uniform(0.03, 0.2, count if along else ()).astype(np.float32)
    zero = d.rng.integers(0, 20, scale.shape).astype(kind)
    given = {"axis": axis} if along else {}
    reads = d.constant(scale), d.constant(zero)
    (whole,) = d.put("QuantizeLinear", x, *reads, **given)
    return d.put("DequantizeLinear", whole, *reads, **given)


def _qlinear_conv(d: Drawing) -> list[str]:
    x = d.exactly(3)
    channels, outputs = d.shapes[x][0], d.number(1, 4)
    scale, zero = d.constant(np.float32(0.05)), d.constant(100, np.uint8)
    (whole,) = d.put("QuantizeLinear", x, scale, zero)
    numbers = d.constant(d.rng.integers(-63, 63, (outputs, channels, d.number(1, 3), d.number(1, 3))), np.int8)
    by_channel = d.flag()
    grid = d.constant(d.rng.uniform(0.001, 0.01, outputs if by_channel else ()).astype(np.float32))
    zeros = d.constant(np.zeros(outputs if by_channel else (), np.int8))
    bias = [d.constant(d.rng.integers(-500, 500, outputs), np.int32)] if d.flag() else []
    out_scale, out_zero = d.constant(np.float32(0.07)), d.constant(d.number(0, 200), np.uint8)
    options = _window(d, 2, strides=True, dilations=True)
    (made,) = d.put("QLinearConv", whole, scale, zero, numbers, grid, zeros, out_scale, out_zero, *bias, **options)
    return d.put("DequantizeLinear", made, out_scale, out_zero)


def _whole_convolution(d: Drawing) -> list[str]:
    x = d.exactly(3)
    zero = d.constant(100, np.uint8)
    (whole,) = d.put("QuantizeLinear", x, d.constant(np.float32(0.05)), zero)
    sizes = d.number(1, 3), d.shapes[x][0], d.number(1, 3), d.number(1, 3)
    numbers = d.constant(d.rng.integers(-63, 63, sizes), np.int8)
    (made,) = d.put("ConvInteger", whole, numbers, zero, **_window(d, 2))
    return d.node("Mul", d.as_float(made), d.constant(np.float32(0.001)))


def _qlinear_product(d: Drawing) -> list[str]:
    """On a grid that no product lies half-way of."""
    x = d.exactly(1, 2)
    scale, zero = d.constant(np.float32(0.05)), d.constant(100, np.uint8)
    (whole,) = d.put("QuantizeLinear", x, scale, zero)
    numbers = d.constant(d.rng.integers(-63, 63, (d.shapes[x][-1], d.number(1, 4))), np.int8)
    right = numbers, d.constant(np.float32(0.02)), d.constant(0, np.int8)
    grid = d.constant(np.float32(0.0837)), d.constant(d.number(0, 200), np.uint8)
    (made,) = d.put("QLinearMatMul", whole, scale, zero, *right, *grid)
    return d.put("DequantizeLinear", made, *grid)


def _window(d: Drawing, axes: int, **kinds: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if d.flag():
        made["strides"] = [d.number(1, 2) for _ in range(axes)]
    if kinds.get("dilations") and d.flag(0.3):
        made["dilations"] = [d.number(1, 2) for _ in range(axes)]
    if d.flag():
        made["pads"] = [d.number(0, 1) for _ in range(2 * axes)]
    elif d.flag(0.3):
        made["auto_pad"] = d.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
        made.pop("dilations", None)
    return made


def _conv(d: Drawing) -> list[str]:
    x = d.tensor(2, 3, 4)
    channels, *sides = d.shapes[x]
    groups = d.pick([each for each in range(1, channels + 1) if channels % each == 0])
    outputs = groups * d.number(1, 3)
    kernel = [d.number(1, min(3, side + 1)) for side in sides]
    weight = d.weight(d.normal(outputs, channels // groups, *kernel) / 3)
    bias = [d.weight(d.normal(outputs))] if d.flag() else []
    return d.put("Conv", x, weight, *bias, group=groups, **_window(d, len(sides), dilations=True))


def _conv_transpose(d: Drawing) -> list[str]:
    x = d.tensor(2, 3, 4)
    channels, *sides = d.shapes[x]
    groups = d.pick([each for each in range(1, channels + 1) if channels % each == 0])
    kernel = [d.number(1, 3) for _ in sides]
    weight = d.weight(d.normal(channels, d.number(1, 3), *kernel) / 3)
    window = _window(d, len(sides), dilations=True)
    window.pop("auto_pad", None)
    if "strides" in window and d.flag():
        window["output_padding"] = [d.number(0, stride - 1) for stride in window["strides"]]
    return d.put("ConvTranspose", x, weight, group=groups, **window)


def _pool(operator: str, **more: Callable[[Drawing], Any]) -> Callable[[Drawing], list[str]]:
    def draw(d: Drawing) -> list[str]:
        x = d.tensor(2, 3, 4)
        sides = d.shapes[x][1:]
        kernel = [d.number(1, min(3, side)) for side in sides]
        window = _window(d, len(sides), dilations=operator == "MaxPool" and d.opset >= 10)
        if "pads" in window:
            window["pads"] = [min(pad, size - 1) for pad, size in zip(window["pads"], kernel * 2, strict=True)]
        attributes = {name: make(d) for name, make in more.items()}
        if d.opset >= 10 and operator != "LpPool" and "auto_pad" not in window:
            attributes["ceil_mode"] = d.number(0, 1)
        return d.put(operator, x, kernel_shape=kernel, **window, **attributes)

    return draw


def _resize(d: Drawing) -> list[str]:
    x = d.tensor(2, 3, 4)
    sides = d.shapes[x][1:]
    mode = d.pick(["nearest", "linear", "cubic"]) if len(sides) == 2 else d.pick(["nearest", "linear"])
    if d.opset < 10:
        scales = d.constant([1, 1, *(d.pick([1, 2, 3]) for _ in sides)], np.float32)
        mode = "nearest" if mode == "cubic" or len(sides) == 3 else mode
        if d.opset < 9:
            raise UnfitError("Upsample by an attribute")
        return d.put("Upsample", x, scales, mode=mode)
    factors = [1.0, 1.0, *(d.pick([0.5, 1.0, 1.5, 2.0, 2.7, 3.0]) for _ in sides)]
    if d.opset < 11:
        return d.put("Resize", x, d.constant(factors, np.float32), mode="nearest" if mode == "cubic" else mode)
    attributes: dict[str, Any] = {"mode": mode}
    names = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    attributes["coordinate_transformation_mode"] = d.pick(names)
    if mode == "nearest":
        attributes["nearest_mode"] = d.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attributes |= {"cubic_coeff_a": d.pick([-0.75, -0.5]), "exclude_outside": d.number(0, 1)}
    region = d.constant([], np.float32) if d.opset < 13 else ""
    if d.opset >= 18 and d.flag():
        attributes["axes"] = [axis + 2 for axis in range(len(sides))]
        if d.flag():
            attributes["antialias"] = int(mode != "nearest")
        return d.put("Resize", x, region, "", d.whole(*(d.number(1, 8) for _ in sides)), **attributes)
    return d.put("Resize", x, region, d.constant(factors, np.float32), **attributes)


def _slice(d: Drawing) -> list[str]:
    x = d.recent()
    axis = d.axis(d.shapes[x])
    start, end = d.number(-3, 2), d.pick([-1, 3, 5, 2**31])
    if d.opset < 10:
        return d.put("Slice", x, axes=[axis], starts=[max(start, 0)], ends=[end])
    step = d.pick([1, 1, 2, -1])
    start, end = (end, -(2**31)) if step < 0 else (start, end)
    return d.put("Slice", x, d.whole(start), d.whole(end), d.whole(axis), d.whole(step))


def _pad(d: Drawing) -> list[str]:
    x = d.recent()
    axes = len(d.shapes[x])
    modes = ["constant", "constant", "reflect", "edge", *(["wrap"] if d.opset >= 19 else [])]
    mode = d.pick(modes)
    sides = [0, *(d.number(0, 2) for _ in range(axes))]
    sides += [0, *(d.number(0, 2) for _ in range(axes))]
    if mode in ("reflect", "wrap") and any(
        max(sides[place], sides[place + axes + 1]) >= size for place, size in enumerate(d.shapes[x], 1)
    ):
        raise UnfitError("too little to reflect")
    if d.opset < 11:
        return d.put("Pad", x, pads=sides, mode=mode, **({"value": 0.5} if mode == "constant" else {}))
    value = [d.constant(np.float32(0.5))] if mode == "constant" and d.flag() else []
    return d.put("Pad", x, d.whole(*sides), *value, mode=mode)


def _reduce(d: Drawing) -> list[str]:
    x = d.recent()
    names = ["Sum", "Mean", "Max", "Min", "L1", "L2", "LogSumExp", "SumSquare"]
    operator = f"Reduce{d.pick(names)}"
    axes, keep = [d.axis(d.shapes[x])], d.number(0, 1)
    schema = onnx.defs.get_schema(operator, d.opset)
    if "axes" in schema.attributes:
        return d.put(operator, x, axes=axes, keepdims=keep)
    return d.put(operator, x, d.whole(*axes), keepdims=keep)


def _top_k(d: Drawing) -> list[str]:
    x = d.exactly(1, 2, 3)
    axis = d.axis(d.shapes[x])
    count = d.number(1, (0, *d.shapes[x])[axis])
    if d.opset < 10:
        values, places = d.put("TopK", x, outputs=2, axis=axis, k=count)
    else:
        given = {"largest": d.number(0, 1)} if d.opset >= 11 else {}
        values, places = d.put("TopK", x, d.whole(count), outputs=2, axis=axis, **given)
    return [values, d.as_float(places)]


def _einsum(d: Drawing) -> list[str]:
    x = d.tensor(2)
    steps, size = d.shapes[x]
    equations = {
        "bij,jk->bik": lambda: [d.weight(d.normal(size, d.number(1, 4)))],
        "bij,bkj->bik": lambda: [x],
        "bij->bji": list,
        "bij->bj": list,
        "bij,ik->bkj": lambda: [d.weight(d.normal(steps, d.number(1, 4)))],
        "bij,bij->bi": lambda: [x],
        "...ij,jk->...ik": lambda: [d.weight(d.normal(size, d.number(1, 4)))],
    }
    equation = d.pick(list(equations))
    return d.put("Einsum", x, *equations[equation](), equation=equation)


def _gather_nd(d: Drawing) -> list[str]:
    x = d.tensor(2, 3)
    if d.opset < 12:
        raise UnfitError("batches of GatherND came later")
    first = d.shapes[x][0]
    return d.put("GatherND", x, d.indices((d.number(1, 3), 1), -first, first - 1), batch_dims=1)


def _gather(d: Drawing) -> list[str]:
    x = d.recent()
    axis = d.axis(d.shapes[x])
    size = (0, *d.shapes[x])[axis]
    places = d.rng.integers(-size if d.opset >= 11 else 0, size, [d.number(1, 3)] * d.number(0, 2))
    return d.put("Gather", x, d.constant(places, np.int64), axis=axis)


def _gather_elements(d: Drawing) -> list[str]:
    x = d.tensor(1, 2)
    axis = d.axis(d.shapes[x])
    place = axis % (len(d.shapes[x]) + 1) - 1
    shape = [*d.shapes[x]]
    least = -shape[place]
    most, shape[place] = shape[place] - 1, d.number(1, 4)
    return d.put("GatherElements", x, d.indices(tuple(shape), least, most), axis=axis)


def _scatter_elements(d: Drawing) -> list[str]:
    x = d.tensor(1, 2)
    axis = d.axis(d.shapes[x])
    place = axis % (len(d.shapes[x]) + 1) - 1
    shape = [*d.shapes[x]]
    size, shape[place] = shape[place], d.number(1, 3)
    how = {"reduction": d.pick(["add", "mul", *(["max", "min"] if d.opset >= 18 else [])])} if d.opset >= 16 else {}
    if not how:
        shape[place] = 1
    index = d.indices(tuple(shape), -size, size - 1)
    return d.put("ScatterElements", x, index, d.of_shape(tuple(shape)), axis=axis, **how)


def _one_hot(d: Drawing) -> list[str]:
    count = d.number(2, 5)
    places = d.indices((d.number(1, 4),), -count - 1, count)
    values = d.constant([d.pick([0.0, -1.0]), d.pick([1.0, 2.5])], np.float32)
    return d.put("OneHot", places, d.whole(count), values, axis=d.pick([-1, 1, 2]))


def _look(d: Drawing) -> list[str]:
    x = d.tensor(3, 4)
    axes = len(d.shapes[x]) - 1
    if axes == 3 and d.opset < 20:
        raise UnfitError("volumes came later")
    grid = d.of_shape((*(d.number(1, 3) for _ in range(axes)), axes))
    older = d.opset < 20
    mode = d.pick(["bilinear", "nearest", "bicubic"] if older else ["linear", "nearest", "cubic"])
    if axes == 3 and mode == "cubic":
        mode = "linear"
    padding = d.pick(["zeros", "border", "reflection"])
    return d.put("GridSample", x, grid, mode=mode, padding_mode=padding, align_corners=d.number(0, 1))


def _trilu(d: Drawing) -> list[str]:
    diagonal = [d.constant(d.number(-2, 2), np.int64)] if d.flag() else []
    return d.put("Trilu", d.tensor(2, 3), *diagonal, upper=d.number(0, 1))


def _mod(d: Drawing) -> list[str]:
    return d.put("Mod", d.exactly(1, 2, 3), d.constant(d.pick([0.7, -0.6, 1.3]), np.float32), fmod=1)


def _where(d: Drawing) -> list[str]:
    x = d.exactly(1, 2, 3)
    (which,) = d.put("Greater", x, d.constant(np.float32(0.1)))
    other = d.constant(np.float32(d.pick([0.0, -1.0])))
    return d.put("Where", which, x, other)


def _softmax(d: Drawing) -> list[str]:
    x = d.recent()
    return d.put(d.pick(["Softmax", "LogSoftmax"]), x, axis=d.axis(d.shapes[x]))


def _hardmax(d: Drawing) -> list[str]:
    x = d.exactly(1, 2, 3)
    return d.put("Hardmax", x, axis=d.axis(d.shapes[x]))


def _arg(d: Drawing) -> list[str]:
    x = d.exactly(1, 2, 3)
    how = {"select_last_index": d.number(0, 1)} if d.opset >= 12 else {}
    (made,) = d.put(d.pick(["ArgMax", "ArgMin"]), x, axis=d.axis(d.shapes[x]), keepdims=1, **how)
    return [d.as_float(made)]


def _norm(d: Drawing) -> list[str]:
    x = d.tensor(2, 3, 4)
    channels = d.shapes[x][0]
    scale, bias = d.weight(d.normal(channels)), d.weight(d.normal(channels))
    way = d.number(0, 5)
    if way == 0:
        return d.put("InstanceNormalization", x, scale, bias, epsilon=1e-2)
    if way == 1:
        groups = d.pick([each for each in range(1, channels + 1) if channels % each == 0])
        if d.opset < 21:
            raise UnfitError("scales of groups, and no kernel for it")
        return d.put("GroupNormalization", x, scale, bias, num_groups=groups, epsilon=1e-2)
    if way == 2:
        axis = d.number(1, len(d.shapes[x]))
        rest = d.shapes[x][axis - 1 :]
        bias = d.weight(d.normal(*rest))
        return d.put(
            "LayerNormalization", x, d.weight(d.normal(*rest)), bias, axis=axis - len(d.shapes[x]) - 1, epsilon=1e-2
        )
    if way == 3:
        mean, variance = d.weight(d.normal(channels)), d.constant(np.abs(d.normal(channels)) + 0.5)
        return d.put("BatchNormalization", x, scale, bias, mean, variance)
    if way == 4:
        return d.put("LRN", x, size=d.pick([1, 3]), alpha=0.1)
    return d.put("LpNormalization", x, axis=d.axis(d.shapes[x]), p=d.number(1, 2))


def _shape_of(d: Drawing) -> list[str]:
    """A shape that is computed from the tensor's own, as exporters write it."""
    x = d.tensor(2, 3)
    (shape,) = d.put("Shape", x)
    (batch,) = d.put("Gather", shape, d.constant(0, np.int64))
    axes = {} if d.opset >= 13 else {"axes": [0]}
    (first,) = d.put("Unsqueeze", batch, *([d.whole(0)] if d.opset >= 13 else []), **axes)
    (target,) = d.put("Concat", first, d.whole(-1), axis=0)
    return d.put("Reshape", x, target)


def _joined(d: Drawing) -> list[str]:
    x = d.recent()
    same = [name for name, shape in d.shapes.items() if shape == d.shapes[x]]
    operator = d.pick(["Add", "Mul", "Sub", "Max", "Min", "Concat"])
    if operator == "Concat":
        return d.put("Concat", x, d.pick(same), axis=d.axis(d.shapes[x]))
    return d.put(operator, x, d.pick([*same, d.weight(d.normal(d.shapes[x][-1]))]))


def _split(d: Drawing) -> list[str]:
    x = d.recent()
    axis = d.axis(d.shapes[x])
    size = (0, *d.shapes[x])[axis]
    if size < 2:
        raise UnfitError("nothing to split")
    first = d.number(1, size - 1)
    if d.opset < 13:
        return d.put("Split", x, outputs=2, axis=axis, split=[first, size - first])
    return d.put("Split", x, d.whole(first, size - first), outputs=2, axis=axis)


def _unary(d: Drawing) -> list[str]:
    names = ["Tanh", "Sigmoid", "Relu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "LeakyRelu", "Erf", "Neg"]
    names += ["Abs", "Mish", "HardSwish", "Gelu", "Celu", "ThresholdedRelu", "Sin", "Cos", "Atan", "Asinh", "Swish"]
    return d.put(d.pick(names), d.recent())


def _clip(d: Drawing) -> list[str]:
    x = d.recent()
    if d.opset < 11:
        return d.put("Clip", x, min=-0.5, max=0.7)
    low, high = (d.constant(np.float32(each)) for each in (-0.5, 0.7))
    return d.put("Clip", x, *d.pick([[low, high], [low], ["", high]]))


def _blocks(d: Drawing) -> list[str]:
    x = d.tensor(3)
    if d.flag():
        return d.put("SpaceToDepth", x, blocksize=d.number(1, 2))
    return d.put(
        "DepthToSpace", x, blocksize=d.pick([1, 2]), **({"mode": d.pick(["DCR", "CRD"])} if d.opset >= 11 else {})
    )


def _matrices(d: Drawing) -> list[str]:
    x = d.tensor(1, 2)
    size = d.shapes[x][-1]
    if len(d.shapes[x]) == 1 and d.flag():
        width = d.number(1, 5)
        turned = d.flag()
        weight = d.weight(d.normal(*((width, size) if turned else (size, width))))
        given = [d.weight(d.normal(width))] if d.opset >= 11 or d.flag() else []
        if not given and d.opset < 11:
            raise UnfitError("a bias is needed")
        return d.put("Gemm", x, weight, *given, transB=int(turned), alpha=0.7, beta=d.pick([1.0, 0.5]))
    return d.put("MatMul", x, d.weight(d.normal(size, d.number(1, 5))))


def _stretch(d: Drawing) -> list[str]:
    x = d.recent()
    if d.flag():
        return d.put("Tile", x, d.whole(1, *(d.number(1, 2) for _ in d.shapes[x])))
    return d.put("Expand", x, d.whole(1, *(d.number(1, 3) if size == 1 else d.pick([1, size]) for size in d.shapes[x])))


def _turn(d: Drawing) -> list[str]:
    x = d.recent()
    order = [0, *(int(axis) + 1 for axis in d.rng.permutation(len(d.shapes[x])))]
    return d.put("Transpose", x, perm=order)


def _sums(d: Drawing) -> list[str]:
    x = d.recent()
    axis = d.constant(d.axis(d.shapes[x]), np.int64)
    return d.put("CumSum", x, axis, exclusive=d.number(0, 1), reverse=d.number(0, 1))


def _attention(d: Drawing) -> list[str]:
    x = d.tensor(2)
    steps, size = d.shapes[x]
    heads = d.pick([each for each in range(1, size + 1) if size % each == 0])
    memory = d.of_shape((d.number(1, 5), size))
    mask = [d.constant(d.normal(steps, d.shapes[memory][0]))] if d.flag() else []
    return d.put("Attention", x, memory, memory, *mask, q_num_heads=heads, kv_num_heads=heads, is_causal=d.number(0, 1))


def _columns(d: Drawing) -> list[str]:
    x = d.tensor(2)
    kernel = d.pick([(1, 1), (2, 2), (1, 2), (3, 1)])
    sides, strides = [d.number(kernel[0], 5), d.number(kernel[1], 5)], [d.number(1, 2), 1]
    windows = math.prod((side - size) // step + 1 for side, size, step in zip(sides, kernel, strides, strict=True))
    if d.shapes[x] != (d.shapes[x][0], windows) or d.shapes[x][0] % math.prod(kernel):
        x = d.of_shape((2 * math.prod(kernel), windows))
    return d.put("Col2Im", x, d.whole(*sides), d.whole(*kernel), strides=strides)


# What is drawn: one operator, with what it needs before and behind it.
OPERATORS: dict[str, Callable[[Drawing], list[str]]] = {
    "Attention": _attention,
    "ArgMax": _arg,
    "AveragePool": _pool("AveragePool", count_include_pad=lambda d: d.number(0, 1)),
    "Clip": _clip,
    "Col2Im": _columns,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "ConvInteger": _whole_convolution,
    "CumSum": _sums,
    "Einsum": _einsum,
    "GRU": _recurrent("GRU", 3, linear_before_reset=lambda d: d.number(0, 1)),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _matrices,
    "GridSample": _look,
    "Hardmax": _hardmax,
    "If": _if,
    "LSTM": _recurrent("LSTM", 4),
    "Loop": _loop,
    "LpPool": _pool("LpPool", p=lambda d: d.pick([1, 2, 3])),
    "MatMulInteger": _whole_product,
    "MaxPool": _pool("MaxPool"),
    "Mod": _mod,
    "OneHot": _one_hot,
    "Pad": _pad,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_product,
    "QuantizeLinear": _quantized,
    "RNN": _recurrent("RNN", 1),
    "Reduce": _reduce,
    "Resize": _resize,
    "Scan": _scan,
    "ScatterElements": _scatter_elements,
    "Shape": _shape_of,
    "Slice": _slice,
    "Softmax": _softmax,
    "SpaceToDepth": _blocks,
    "Split": _split,
    "Tile": _stretch,
    "TopK": _top_k,
    "Transpose": _turn,
    "Trilu": _trilu,
    "Where": _where,
    "a norm": _norm,
    "a function": _unary,
    "a join": _joined,
}


class UnrunError(Exception):
    """A graph that ONNX Runtime does not run."""


def session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def run(content: bytes, xs: Sequence[Array]) -> list[Array]:
    """What ONNX Runtime makes of a batch."""
    made = session(content)
    return made.run(None, {each.name: x for each, x in zip(made.get_inputs(), xs, strict=True)})  # type: ignore[no-any-return]


def check(seed: int) -> str:
    """Hold the graph of a seed to ONNX Runtime, on every way; returns how far it came.

    Raises:
        AssertionError: What disagrees, with the graph.
    """
    drawn = Drawing(seed)
    if not drawn.outputs or not drawn.inputs:
        return "nothing drawn"
    model = drawn.model()
    content = model.SerializeToString()
    xs = [drawn.normal(IMAGES, *drawn.shapes[name]) for name in drawn.inputs]
    try:
        expected = run(content, xs)
    except Exception as error:
        return f"not run: {drawn.used} {' '.join(str(error).split())[-150:]}"
    if not all(np.isfinite(each).all() for each in expected):
        return "not finite"
    what = f"seed {seed}: opset {drawn.opset}, {drawn.stored}, {drawn.used}"
    try:
        ours = import_model(content)
    except ColonnadeError as error:
        return f"refused: {str(error).partition('operator ')[2] or str(error)} {what}"
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}\n{onnx.printer.to_text(model)}") from error
    try:
        hold(ours, drawn.outputs, xs, expected, "as it came")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            cn.export_onnx(ours, path, opset=max(18, drawn.opset))
            exported = path.read_bytes()
        for each, theirs, name in zip(run(exported, xs), expected, drawn.outputs, strict=True):
            compare(each, theirs, f"{name}, exported and run by ONNX Runtime")
        made = onnx.ModelProto.FromString(exported)
        del made.metadata_props[:]  # as in a file of somebody else's
        hold(import_model(made), drawn.outputs, xs, expected, "exported and taken over again")
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}\n{onnx.printer.to_text(model)}") from error
    return "agrees"


def hold(model: cn.Model, names: Sequence[str], xs: Sequence[Array], expected: Sequence[Array], what: str) -> None:
    outputs = model(tuple(xs) if len(xs) > 1 else xs[0])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for ours, theirs, name in zip(outputs, expected, names, strict=True):
        compare(ours, theirs, f"{name}, {what}")


def compare(ours: Array, theirs: Array, what: str) -> None:
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, expected {theirs.shape}"
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * scale, err_msg=what)


def main(arguments: Sequence[str]) -> int:
    count, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    came: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            result = check(seed)
        except AssertionError as error:
            result = "failed"
            print(f"{error}\n", flush=True)
        kind = result.partition(":")[0]
        came[kind] += 1
        if kind in ("refused", "not run"):
            print(result, flush=True)
    print(", ".join(f"{number} {kind}" for kind, number in came.most_common()))
    return int(came["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
