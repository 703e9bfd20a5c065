"""Graphs at random: any wiring of any layers, with what is frozen in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import colonnade as cn
from colonnade.composites import construct_body, describe
from colonnade.errors import ArgumentError, ShapeError
from tests.graphs.layers import (
    BOUNDED,
    CLOSED,
    ELEMENTWISE,
    FAMILIES,
    JUMPING,
    POSITIVE,
    RECURRENT,
    RESHAPING,
    Dice,
    Draw,
    Shape,
)

Array = np.ndarray[Any, Any]
# What may stand a second time, anywhere: what wants a range of its own may not.
ANYWHERE = {name for family, _ in FAMILIES if family not in (BOUNDED, POSITIVE) for name in family}
LARGEST = 600  # numbers of one image at any node; above that a graph is slow, not harder
WIDEST = 1104  # unless they are the channels of one pixel


class Drawn:
    """A graph at random.

    Attributes:
        nodes: As a Graph takes them.
        shapes: One image's, by the names of inputs and nodes.
        inputs: The names of the inputs.
        outputs: Those of the outputs.
        frozen: The names of nodes to freeze.
        open: Whether gradients reach the inputs: nothing rounds on the way.
    """

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.nodes: dict[str, tuple[Any, ...]] = {}
        self.shapes: dict[str, Shape] = {}
        self.exact: set[str] = set()  # nodes whose numbers no framework rounds
        self.open = True
        self.frozen: list[str] = []
        dice = self.dice
        for number in range(dice.pick([1, 1, 1, 2])):
            name = f"input{number}"
            self.shapes[name] = tuple(self._size() for _ in range(dice.pick([1, 2, 3, 3, 3, 4])))
            self.exact.add(name)
        self.inputs = list(self.shapes)
        for _ in range(dice.number(2, 14)):
            self.grow()
        self.finish()

    def _size(self) -> int:
        return self.dice.pick([1, 1, 2, 3, 4, 5, 6, 7])  # type: ignore[no-any-return]

    # Nodes

    def put(self, layer: Any, *reads: str | None, exact: bool = False) -> str | None:
        """Put a layer, unless it or one that it reads does not fit or makes too many numbers; returns its name."""
        if None in reads:
            return None
        shapes = [self.shapes[each] for each in reads]
        try:
            shape = shape_of(layer, shapes)
        except (ShapeError, ArgumentError):
            return None
        if not shape or math.prod(shape) > (WIDEST if len(shape) == 1 or math.prod(shape[1:]) == 1 else LARGEST):
            return None
        name = f"{kind_of(layer)}_{len(self.shapes)}".lower()
        self.nodes[name] = (layer, *reads)
        self.shapes[name] = shape
        if exact and all(each in self.exact for each in reads):
            self.exact.add(name)
        return name

    def grow(self) -> None:
        """One more node, or a few that belong together."""
        dice = self.dice
        name = self.recent()
        way = dice.rng.random()
        for _ in range(20):  # until a layer fits
            if way < 0.30:
                made = self.join()
            elif way < 0.42:
                made = self.composite(name)
            elif way < 0.47:
                made = self.again()
            elif way < 0.53:
                made = self.jump()
            else:
                made = self.single(name)
            if made:
                return

    def recent(self) -> str:
        """A tensor, the latest ones most often."""
        names = list(self.shapes)
        back = min(int(self.dice.rng.exponential(2.0)), len(names) - 1)
        return names[-1 - back]

    def single(self, name: str) -> str | None:
        dice = self.dice
        weights = np.array([weight for _, weight in FAMILIES])
        family = FAMILIES[int(dice.rng.choice(len(FAMILIES), p=weights / weights.sum()))][0]
        layer = drawn(dice, family, self.shapes[name])
        if layer is None:
            return None
        if family is BOUNDED:
            return self.after(name, layer, cn.Tanh())
        if family is POSITIVE:
            return self.after(name, layer, cn.Sigmoid(), cn.Affine(1.0, 0.3))
        return self.put(layer, name, exact=family is RESHAPING)

    def after(self, name: str, layer: Any, *before: Any) -> str | None:
        """A layer behind others that keep the shape."""
        for each in before:
            name = self.put(each, name) or name
        return self.put(layer, name)

    def again(self) -> str | None:
        """A layer that stands in the graph already, at another node."""
        dice = self.dice
        name = dice.pick(list(self.nodes)) if self.nodes else None
        if name is None or kind_of(self.nodes[name][0]) not in ANYWHERE:
            return None
        shape = self.shapes[self.nodes[name][1]]
        same = [each for each, other in self.shapes.items() if other == shape]
        return self.put(self.nodes[name][0], dice.pick(same))

    def jump(self) -> str | None:
        """A layer that jumps, or through which no gradient passes, where both frameworks have the very same bits."""
        dice = self.dice
        name = dice.pick(sorted(self.exact))
        if dice.flag(0.15):
            layer = drawn(dice, CLOSED, self.shapes[name])
            made = layer and self.put(layer, name, exact=True)
            if made:
                self.open = False
                self.frozen += self.ancestors([made])
                if isinstance(layer, cn.TopKIndices):
                    self.put(cn.TakeAlongDim(layer.dim), name, made)
                if isinstance(layer, cn.Argmax | cn.Argmin):
                    self.put(cn.Embedding(max(self.shapes[name]), dice.number(1, 5)), made)
            return made
        if dice.flag(0.3):
            return self.after_index(name)
        layer = drawn(dice, JUMPING, self.shapes[name])
        return layer and self.put(layer, name, exact=True)

    def whole(self, name: str, least: int, most: int) -> str | None:
        """Whole numbers within bounds, of what both frameworks have the same bits of."""
        floor = self.put(cn.Floor(), name, exact=True)
        return self.put(cn.Hardtanh(least, most), floor, exact=True)

    def after_index(self, name: str) -> str | None:
        """What looks up whole numbers that are made on the spot."""
        dice = self.dice
        numbers = dice.number(2, 6)
        places = self.whole(str(self.put(cn.Abs(), name, exact=True)), 0, numbers - 1)
        return self.put(cn.Embedding(numbers, dice.number(1, 4), dice.pick([None, 0, -1])), places)

    def ancestors(self, names: Sequence[str]) -> list[str]:
        """The nodes that these are made from, themselves included."""
        needed = set(names)
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(self.nodes[name][1:])
        return [name for name in self.nodes if name in needed]

    # Several inputs

    def join(self) -> str | None:
        first = self.recent()
        made: str | None = self.dice.pick(JOINS)(self, first)
        return made

    def add(self, first: str) -> str | None:
        """An addition, often of views."""
        reads = [self.viewed(each) for each in self.alike(first, self.dice.number(2, 4))]
        return self.put(cn.Add(), *reads, exact=True)

    def multiply(self, first: str) -> str | None:
        return self.put(cn.Mul(), *(self.after_tanh(each) for each in self.alike(first, self.dice.number(2, 3))))

    def with_constant(self, first: str) -> str | None:
        dice = self.dice
        constant = self.put(cn.Constant(self.stretchable(self.shapes[first]), dice.flag()))
        kind = dice.pick([cn.Add, cn.Mul, cn.Sub, cn.Maximum])
        reads = [first, constant] if dice.flag() or kind is cn.Sub else [constant, first]
        return self.put(kind(stretch=True), *reads)

    def divide(self, first: str) -> str | None:
        left, right = self.pair(first)
        return self.put(cn.Div(stretch=True), left, self.after(right, cn.Affine(1.0, 0.4), cn.Sigmoid()))

    def power(self, first: str) -> str | None:
        left, right = self.pair(first)
        positive = self.after(left, cn.Affine(1.0, 0.4), cn.Sigmoid())
        return self.put(cn.Pow(stretch=True), positive, self.after_tanh(right))

    def combine(self, first: str) -> str | None:
        return self.put(self.dice.pick([cn.Sub, cn.Maximum, cn.Minimum, cn.Add])(stretch=True), *self.pair(first))

    def compare(self, first: str) -> str | None:
        dice = self.dice
        left, right = self.pair(first)
        if left not in self.exact or right not in self.exact:
            return None
        kind = dice.pick(
            [cn.Equal, cn.Greater, cn.GreaterEqual, cn.Less, cn.LessEqual]
            + [cn.LogicalAnd, cn.LogicalOr, cn.LogicalXor]
        )
        which = self.put(kind(stretch=True), left, right, exact=True)
        return which and self.put(cn.Where(stretch=True), which, left, right)

    def remain(self, first: str) -> str | None:
        """What division leaves: of the same bits, since it jumps."""
        left, right = self.pair(first)
        if left not in self.exact:
            return None
        positive = self.after(right, cn.Sigmoid(), cn.Affine(1.0, 0.3))
        return self.put(self.dice.pick([cn.Remainder, cn.Fmod])(stretch=True), left, positive)

    def of_shape(self, name: str, shape: Shape) -> str | None:
        """Numbers of a tensor, each perhaps several times, in another shape."""
        size, wanted = math.prod(self.shapes[name]), math.prod(shape)
        flat = self.put(cn.Reshape((size,)), name, exact=True)
        picked = self.put(cn.IndexSelect(1, [self.dice.number(0, size - 1) for _ in range(wanted)]), flat, exact=True)
        return self.put(cn.Reshape(shape), picked, exact=True)

    def sequence(self, name: str) -> str | None:
        """The tensor as a sequence of so many numbers a step."""
        shape = self.shapes[name]
        return name if len(shape) == 2 else self.put(cn.Reshape(self.dice.sizes(math.prod(shape), 2)), name, exact=True)

    def mask(self, kind: str | None, shape: Shape) -> list[str | None]:
        """A mask of a kind, of a shape; none of None."""
        if kind is None:
            return []
        numbers = self.of_shape(self.dice.pick(sorted(self.exact)), shape)
        signs = self.put(cn.Sign(), numbers, exact=True)
        return [numbers if kind == "float" else self.put(cn.Hardtanh(0.0, 1.0), signs, exact=True)]

    def attend(self, first: str) -> str | None:
        """A sequence looks at another, of another length and size, with masks."""
        dice = self.dice
        query, key = self.sequence(first), self.sequence(self.recent())
        if query is None or key is None:
            return None
        (steps, size), (keys, kdim) = self.shapes[query], self.shapes[key]
        value = dice.pick([each for each, shape in self.shapes.items() if len(shape) == 2 and shape[0] == keys])
        heads, kinds = dice.divisor(size), [dice.pick([None, "bool", "float"]) for _ in range(2)]
        masks = [
            *self.mask(kinds[0], dice.pick([(steps, keys), (heads, steps, keys)])),
            *self.mask(kinds[1], (keys,)),
        ]
        layer = cn.MultiheadAttention(
            size, heads, 0.0, dice.flag(), dice.flag(0.2), dice.flag(0.2), kdim, self.shapes[value][1],
            is_causal=dice.flag(0.3), attn_mask=kinds[0], key_padding_mask=kinds[1], return_weights=dice.flag(0.2),
            zero_empty_rows=True,
        )  # fmt: skip
        return self.put(layer, query, key, value, *masks)

    def decode(self, first: str) -> str | None:
        """A layer of a transformer that looks at a memory."""
        dice, target = self.dice, self.sequence(first)
        if target is None:
            return None
        steps, size = self.shapes[target]
        memory = dice.pick([each for each, shape in self.shapes.items() if len(shape) == 2 and shape[1] == size])
        kinds = [dice.pick([None, "bool", "float"]) for _ in range(2)]
        masks = [*self.mask(kinds[0], (steps, steps)), *self.mask(kinds[1], (self.shapes[memory][0],))]
        layer = cn.TransformerDecoderLayer(
            size, dice.divisor(size), dice.number(1, 6), 0.0, dice.pick(["relu", "gelu"]), norm_first=dice.flag(),
            bias=dice.flag(), tgt_is_causal=dice.flag(0.3), memory_is_causal=dice.flag(0.3), tgt_mask=kinds[0],
            memory_key_padding_mask=kinds[1],
        )  # fmt: skip
        return self.put(layer, target, memory, *masks)

    def bilinear(self, first: str) -> str | None:
        dice, shape = self.dice, self.shapes[first]
        other = dice.pick([each for each, another in self.shapes.items() if another[:-1] == shape[:-1]])
        return self.put(cn.Bilinear(shape[-1], self.shapes[other][-1], dice.number(1, 4), dice.flag()), first, other)

    def recur(self, first: str) -> str | None:
        """A recurrent layer with states before the first step."""
        dice, x = self.dice, self.sequence(first)
        if x is None:
            return None
        layer = drawn(dice, RECURRENT, self.shapes[x])
        if layer is None:
            return None
        shape = (layer.num_layers * (1 + layer.bidirectional), layer.hidden_size)
        states = [self.of_shape(self.recent(), shape) for _ in range(2 if isinstance(layer, cn.LSTM) else 1)]
        return self.put(layer, x, *states)

    def look(self, first: str) -> str | None:
        """An image looked at where another tensor says."""
        dice, axes = self.dice, len(self.shapes[first]) - 1
        grid = self.of_shape(dice.pick(sorted(self.exact)), (*(dice.number(1, 4) for _ in range(axes)), max(axes, 1)))
        mode = dice.pick(["linear", "linear", "nearest", "cubic"])
        return self.put(cn.GridSample(mode, dice.pick(["zeros", "border", "reflection"]), dice.flag()), first, grid)

    def take(self, first: str) -> str | None:
        """Numbers from places along an axis, or put there: of the same bits, since they are whole numbers."""
        dice, shape = self.dice, self.shapes[first]
        axis = dice.axis(shape)
        place = axis % (len(shape) + 1) - 1
        chosen = (*shape[:place], dice.number(1, 3), *shape[place + 1 :])
        index = self.of_shape(dice.pick(sorted(self.exact)), chosen)
        index = index and self.whole(index, -shape[place], shape[place] - 1)
        if dice.flag():
            return self.put(cn.TakeAlongDim(axis), first, index)
        # Of several numbers for one place PyTorch does not say which counts.
        layer = cn.ScatterAlongDim(axis, "none" if chosen[place] == 1 and dice.flag() else "add")
        return self.put(layer, first, index, self.of_shape(self.recent(), chosen))

    def after_tanh(self, name: str) -> str:
        return (self.put(cn.Tanh(), name) if self.dice.flag() else None) or name

    def alike(self, name: str, count: int) -> list[str]:
        """Tensors of one shape, the same perhaps several times."""
        same = [each for each, shape in self.shapes.items() if shape == self.shapes[name]]
        return [self.dice.pick(same) for _ in range(count)]

    def viewed(self, name: str) -> str:
        """The tensor, or what only hands it on."""
        dice, shape = self.dice, self.shapes[name]
        if dice.flag(0.4):
            return name
        if dice.flag():
            return self.put(cn.Identity(), name, exact=True) or name
        between = self.put(cn.Reshape(dice.sizes(math.prod(shape), dice.number(1, 4))), name, exact=True) or name
        return self.put(cn.Reshape(shape), between, exact=True) or name

    def stretchable(self, shape: Shape) -> Shape:
        return tuple(self.dice.pick([1, size, size]) for size in shape)

    def pair(self, name: str) -> tuple[str, str]:
        """Two tensors that can be stretched to one shape."""
        dice = self.dice
        if dice.flag():
            left, right = self.alike(name, 2)
        else:
            shape = self.shapes[name]
            axes = [axis for axis in range(1, len(shape) + 1) if dice.flag()] or [1]
            left, right = name, self.put(dice.pick([cn.Mean, cn.Sum])(axes, keepdim=True), name) or name
        return (left, right) if dice.flag() else (right, left)

    def concat(self, name: str) -> str | None:
        dice, shape = self.dice, self.shapes[name]
        axis = dice.axis(shape)
        place = axis % (len(shape) + 1) - 1
        rest = (*shape[:place], *shape[place + 1 :])
        fitting = [
            each
            for each, other in self.shapes.items()
            if len(other) == len(shape) and (*other[:place], *other[place + 1 :]) == rest
        ]
        return self.put(cn.Concat(axis), *(dice.pick(fitting) for _ in range(dice.number(1, 4))), exact=True)

    def product(self, name: str) -> str | None:
        shape = self.shapes[name]
        if len(shape) < 2:
            return None
        axes = [0, *range(1, len(shape) - 1), len(shape), len(shape) - 1]
        left = self.after_tanh(name)
        right = self.put(cn.Permute(axes), self.pick_matrix(left))
        return right and self.put(cn.MatMul(), left, right)

    def pick_matrix(self, name: str) -> str:
        """A tensor whose matrices have rows as long."""
        shape = self.shapes[name]
        fitting = [
            each
            for each, other in self.shapes.items()
            if len(other) == len(shape)
            and other[-1] == shape[-1]
            and all(1 in pair or pair[0] == pair[1] for pair in zip(shape[:-2], other[:-2], strict=True))
        ]
        return self.dice.pick(fitting)  # type: ignore[no-any-return]

    # Composites

    def composite(self, name: str) -> str | None:
        dice, shape = self.dice, self.shapes[name]
        way = dice.number(0, 3)
        if way <= 1:
            shortcut = [] if dice.flag() else self.keeping(shape, 2)
            return self.put(cn.Residual(self.keeping(shape, 4), shortcut), name)
        if way == 2:
            paths = [self.keeping(shape, 3) for _ in range(dice.number(2, 3))]
            if dice.flag() and len(shape) == 3:
                paths[0] = [*paths[0], cn.Conv2d(shape[0], dice.number(1, 5), 1, bias=dice.flag())]
            return self.put(cn.Branches(*paths), name)
        return self.put(cn.composites.Chain(self.keeping(shape, 4) or [cn.Identity()]), name)

    def keeping(self, shape: Shape, most: int, depth: int = 0) -> list[Any]:
        """Some layers that keep the shape."""
        made: list[Any] = []
        for _ in range(self.dice.number(0, most)):
            if depth < 2 and self.dice.flag(0.15):
                made.append(cn.Residual(self.keeping(shape, 2, depth + 1), self.keeping(shape, 1, depth + 1)))
            elif self.dice.flag(0.2):
                between = self.dice.sizes(math.prod(shape), self.dice.number(1, 4))
                made += [cn.Reshape(between), cn.Reshape(shape)]
            elif layer := drawn(self.dice, ELEMENTWISE, shape):
                made.append(layer)
        return made

    # Ends

    def finish(self) -> None:
        """Choose outputs, and what is frozen; drop what no output needs."""
        dice = self.dice
        if not self.nodes:
            self.put(cn.Sum(keepdim=True), self.inputs[0])
        read = {each for _, *reads in self.nodes.values() for each in reads}
        ends = [name for name in self.nodes if name not in read]
        if dice.flag(0.3):  # branches that nobody uses
            ends = ends[-1:]
        inner = [name for name in self.nodes if name in read and dice.flag(0.1)]
        self.outputs = list(dict.fromkeys([*ends, *inner]))[-4:]
        kept = self.ancestors(self.outputs)
        self.nodes = {name: entry for name, entry in self.nodes.items() if name in kept}
        used = {each for _, *reads in self.nodes.values() for each in reads}
        self.inputs = [name for name in self.inputs if name in used] or self.inputs[:1]
        if self.inputs[0] not in used:  # constants alone
            self.outputs.append(str(self.put(cn.Sum(keepdim=True), self.inputs[0])))  # however large it is
        if dice.flag(0.25):
            self.frozen += [name for name in self.nodes if dice.flag(0.3)]
        first: dict[int, str] = {}  # a layer that stands at several nodes goes by the first one's name
        names = {name: first.setdefault(id(self.nodes[name][0]), name) for name in self.nodes}
        self.frozen = list(dict.fromkeys(names[name] for name in self.frozen if name in names))

    def body(self) -> cn.Graph:
        """The graph, of layers of its own."""
        graph = cn.Graph(self.nodes, self.inputs, self.outputs)
        return construct_body(describe([graph])[0])  # type: ignore[return-value]

    def batch(self, images: int) -> tuple[Array, ...]:
        """A batch for each input."""
        return tuple(self.dice.rng.normal(size=(images, *self.shapes[name])) for name in self.inputs)


def kind_of(layer: Any) -> str:
    return type(layer).__name__


def drawn(dice: Dice, family: dict[str, Draw], shape: Shape) -> Any:
    """A layer of a family that takes the shape, or None."""
    try:
        layer = family[dice.pick(list(family))](dice, shape)
        shape_of(layer, [shape])
    except (ShapeError, ArgumentError, IndexError):
        return None
    return layer


def shape_of(layer: Any, shapes: Sequence[Shape]) -> Shape:
    """The output's, for one image."""
    names = [f"x{number}" for number in range(len(shapes))]
    node: Any = layer
    if not names:  # a Constant
        return layer.shape  # type: ignore[no-any-return]
    body = construct_body(describe([cn.Graph({"y": (node, *names)}, names)])[0])
    model = cn.Model(body)
    model.build(shapes[0] if len(shapes) == 1 else shapes)
    return model.output_shape  # type: ignore[no-any-return]


# What reads several tensors, as often as it stands here.
JOINS: list[Callable[[Drawn, str], str | None]] = [
    *[Drawn.add] * 4,
    Drawn.multiply,
    Drawn.concat,
    Drawn.product,
    Drawn.with_constant,
    Drawn.divide,
    Drawn.power,
    Drawn.combine,
    Drawn.compare,
    Drawn.remain,
    Drawn.attend,
    Drawn.decode,
    Drawn.bilinear,
    Drawn.recur,
    Drawn.look,
    Drawn.take,
]
