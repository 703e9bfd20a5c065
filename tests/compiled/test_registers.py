"""Registers are counted of the processor that Numba compiles for, and tiles fit them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

from llvmlite import binding

from colonnade.compiled import registers
from colonnade.compiled.registers import largest_rows, largest_vectors, vectors_for

PROCESSORS = {
    "AVX-512": ("x86_64-unknown-linux-gnu", "skylake-avx512", "", (32, 16)),
    "AVX-512 by its feature": ("x86_64-unknown-linux-gnu", "haswell", "+avx512f", (32, 16)),
    "AVX-512 without its feature": ("x86_64-unknown-linux-gnu", "skylake-avx512", "-avx512f", (16, 8)),
    "AVX2": ("x86_64-unknown-linux-gnu", "haswell", "", (16, 8)),
    "AVX": ("x86_64-unknown-linux-gnu", "sandybridge", "", (16, 8)),
    "SSE": ("x86_64-unknown-linux-gnu", "nehalem", "", (16, 4)),
    "any x86": ("x86_64-pc-windows-msvc", "", "", (16, 4)),
    "NEON": ("aarch64-unknown-linux-gnu", "", "", (32, 4)),
    "NEON of Apple": ("arm64-apple-darwin", "apple-m1", "", (32, 4)),
    "NEON with SVE": ("aarch64-unknown-linux-gnu", "neoverse-v1", "", (32, 4)),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_registers_of_processors(name: str) -> None:
    triple, processor, features, expected = PROCESSORS[name]
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"this LLVM compiles for no {triple}")
    assert registers.registers(triple, processor, features) == expected


PROGRAM = """
import re
import numpy as np
from numba import njit
from colonnade.compiled.registers import registers
import colonnade.compiled.elementwise  # by which tiles are added
from colonnade.compiled.tiles import load, store

@njit
def twice(x):
    tile = load(1, 1, x, 0, 0)
    store(tile + tile, x, 0, 0)

twice(np.ones(16, np.float32))
(code,) = twice.inspect_asm().values()
print(re.findall("add.*([xyz]mm)", code), *registers())
"""


def thorough(*case: object) -> Any:
    """Each of these is a process in which Numba is imported and compiles."""
    return pytest.param(*case, marks=pytest.mark.thorough)


X86 = pytest.mark.skipif("x86" not in binding.get_process_triple(), reason="names of x86 processors")


@X86
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, "['ymm', 'ymm'] 16 8"),
        thorough(
            {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,-avx512f"}, "['ymm', 'ymm'] 16 8"
        ),
        thorough({"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""}, "['xmm', 'xmm', 'xmm', 'xmm'] 16 4"),
        thorough({"NUMBA_CPU_NAME": "generic"}, "['xmm', 'xmm', 'xmm', 'xmm'] 16 4"),
    ],
)
def test_a_processor_that_numba_is_told_of(environment: dict[str, str], expected: str) -> None:
    assert _program(environment) == expected


@X86
@pytest.mark.parametrize(
    "environment", [{}, thorough({"NUMBA_CPU_NAME": "haswell"}), thorough({"NUMBA_CPU_NAME": "nehalem"})]
)
def test_by_its_name_alone_a_processor_has_the_features_of_this_one(environment: dict[str, str]) -> None:
    kinds = {"zmm": (1, "32 16"), "ymm": (2, "16 8"), "xmm": (4, "16 4")}
    found = _program(environment)
    assert found in [f"{[kind] * times} {counts}" for kind, (times, counts) in kinds.items()]


def _program(environment: dict[str, str]) -> str:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU")}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, env=ours | environment, cwd=root, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize(
    ("processor", "vectors", "rows"),
    [((32, 16), 2, 14), ((16, 8), 1, 6), ((16, 4), 1, 2), ((32, 4), 1, 6)],
)
def test_a_tile_leaves_registers_for_what_it_is_multiplied_with(
    monkeypatch: pytest.MonkeyPatch, processor: tuple[int, int], vectors: int, rows: int
) -> None:
    monkeypatch.setattr(registers, "registers", lambda: processor)
    assert (largest_vectors(), largest_rows(vectors)) == (vectors, rows)
    assert vectors_for(1000) == vectors
    assert vectors_for(16) == 1
    count, width = processor
    assert (rows + 1) * vectors * 16 // width + 1 <= count
