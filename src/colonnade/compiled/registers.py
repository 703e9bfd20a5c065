"""The vector registers of the processor that Numba compiles for, and the sizes of tiles that fit them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from llvmlite import binding
from numba.core.registry import cpu_target

# A vector is of sixteen numbers: one AVX-512 register, two of AVX2, four of SSE or NEON. LLVM cuts it to what there is.
WIDTH = 16

# What is compiled to see which registers a vector takes.
_ADDITION = f"""
define void @add(ptr %x) {{
  %a = load <{WIDTH} x float>, ptr %x
  %b = fadd <{WIDTH} x float> %a, %a
  store <{WIDTH} x float> %b, ptr %x
  ret void
}}
"""
# By their names in machine code: how many a processor has, and how many float32 each holds. Others: as SSE's.
_REGISTERS = {"zmm": (32, 16), "ymm": (16, 8), r"4s\b": (32, 4), "": (16, 4)}


# Tiles of fewer rows wait for their own sums.
LEAST_ROWS = 4


class Size(NamedTuple):
    """Rows of a tile, and vectors of each."""

    rows: int
    vectors: int


@lru_cache
def registers(triple: str = "", processor: str = "", features: str = "") -> tuple[int, int]:
    """How many vector registers a processor has, and how many float32 each holds.

    LLVM itself is asked: what it makes of an addition shows them. A list of features would not do, since those of the
    processor's name count as well.

    Args:
        triple, processor, features: A target in LLVM's terms. By default what Numba compiles for: this machine, or what
            NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say.
    """
    if not triple:
        triple, processor, features = cpu_target.target_context.codegen().magic_tuple()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=processor, features=features)
    code = machine.emit_assembly(binding.parse_assembly(_ADDITION))
    return next(found for name, found in _REGISTERS.items() if re.search(name, code))


def largest_rows(vectors: int) -> int:
    """The most rows of a tile that stays in registers, beside the vectors it is multiplied with."""
    count, width = registers()
    each = WIDTH // width  # registers a vector
    return max(1, (count - 1 - vectors * each) // (vectors * each))


def largest_vectors() -> int:
    """Vectors of a row: two where registers are many, so that each number of x is used twice."""
    return 2 if largest_rows(2) >= 6 else 1


def vectors_for(outputs: int) -> int:
    """Vectors of a row for so many outputs: one where a block of two would be half empty."""
    vectors = largest_vectors()
    return 1 if -(-outputs // WIDTH) % vectors and outputs <= 5 * WIDTH else vectors
