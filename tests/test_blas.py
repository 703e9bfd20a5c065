"""OpenBLAS is told which kernels to take where it would choose wrongly, and nowhere else; and they multiply rightly."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from colonnade import blas
from colonnade.blas import NEEDED, kernels

CPUINFO = Path("/proc/cpuinfo")
linux = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="only Linux on x86_64 is known well enough"
)


def processor(vendor: str = "AuthenticAMD", family: object = 26, flags: str = " ".join(sorted(NEEDED))) -> str:
    """What /proc/cpuinfo says of a processor, as far as it matters."""
    return (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 2\nmodel name\t: AMD EPYC 9R45\n"
        f"flags\t\t: fpu avx2 {flags} sha_ni\nbugs\t\t: sysret_ss_attrs\npower management:\n"
    )


@pytest.mark.parametrize("family", [26, 27])
def test_unknown_amd_processors_with_avx512_get_its_kernels(family):
    assert kernels(processor(family=family)) == "SKYLAKEX"


@pytest.mark.parametrize(
    "text",
    [
        processor(vendor="GenuineIntel", family=6),
        processor(vendor="GenuineIntel", family=26),
        processor(vendor="HygonGenuine"),
        processor(family=25),
        processor(family=""),
        processor(family="unknown"),
        processor(flags=""),
        "",
        "Processor\t: ARMv8\nFeatures\t: fp asimd",
    ],
)
def test_others_are_left_to_the_library(text):
    assert kernels(text) is None


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_every_instruction_set_is_needed(missing):
    assert kernels(processor(flags=" ".join(NEEDED - {missing}))) is None


# A processor of our choice, and an end at the moment when NumPy is looked for.
AT_NUMPY = f"""
import builtins, io, os, sys
text, really = {processor()!r}, open
builtins.open = lambda file, *rest, **named: (
    io.StringIO(text) if str(file) == {str(CPUINFO)!r} else really(file, *rest, **named)
)
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_CORETYPE"))
            raise SystemExit
"""


def run(program: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CORETYPE")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


@linux
@pytest.mark.parametrize("door", ["colonnade", "colonnade.cli.main", "colonnade.zoo"])
def test_kernels_are_named_before_numpy_is_imported(door):
    assert run(f"{AT_NUMPY}\nsys.meta_path.insert(0, Watch())\nimport {door}, numpy") == "SKYLAKEX"


@linux
@pytest.mark.parametrize("own", ["Haswell", "skylakex", ""])
def test_the_operators_own_setting_is_left_alone(own):
    assert run(f"{AT_NUMPY}\nsys.meta_path.insert(0, Watch())\nimport colonnade, numpy", OPENBLAS_CORETYPE=own) == own


@linux
def test_it_can_be_switched_off():
    assert (
        run(f"{AT_NUMPY}\nsys.meta_path.insert(0, Watch())\nimport colonnade, numpy", COLONNADE_CORETYPE="off")
        == "None"
    )


@linux
def test_nothing_is_said_where_numpy_is_loaded_already():
    assert run(f"import numpy\n{AT_NUMPY}\nimport colonnade\nprint(os.environ.get('OPENBLAS_CORETYPE'))") == "None"


def test_a_machine_that_does_not_say_what_it_is_changes_nothing():
    program = f"""{AT_NUMPY}
def refuse(file, *rest, **named):
    if str(file) == {str(CPUINFO)!r}:
        raise FileNotFoundError(file)
    return really(file, *rest, **named)
builtins.open = refuse
import colonnade
print(os.environ.get("OPENBLAS_CORETYPE"))"""
    assert run(program) == "None"


# Whole numbers whose products and sums float32 holds exactly: whatever the order of the sum, there is one right answer,
# and NumPy's own loops for integers, which know no BLAS, find it.
MULTIPLY = """
import itertools, os, sys
import numpy as np
from threadpoolctl import threadpool_info
np.seterr(all="ignore")  # some kernels multiply what they then throw away, which raises a flag now and then
rng = np.random.default_rng(0)
for rows, inner, columns in itertools.product((1, 2, 5, 16, 31, 65, 130), repeat=3):
    left, right = rng.integers(-9, 10, (rows, inner)), rng.integers(-9, 10, (inner, columns))
    exact = left @ right
    for dtype in (np.float32, np.float64):
        for a in (left.astype(dtype), left.T.astype(dtype).T):
            for b in (right.astype(dtype), right.T.astype(dtype).T):
                for out in (np.full((rows, columns), np.nan, dtype), np.full((columns, rows), np.nan, dtype).T):
                    np.matmul(a, b, out=out)
                    assert (out == exact).all(), (rows, inner, columns, dtype)
a, b = rng.normal(size=(67, 333)), rng.normal(size=(333, 45))
error = abs((a.astype("f") @ b.astype("f")).astype(float) - np.einsum("ik,kj->ij", a, b))
assert (error <= 336 * np.finfo("f").eps * np.einsum("ik,kj->ij", abs(a), abs(b))).all()
print(*[library["architecture"] for library in threadpool_info() if library["internal_api"] == "openblas"])
"""


def test_products_are_right_with_the_kernels_that_the_library_chooses():
    run(MULTIPLY)


def needs_avx512() -> None:
    if not NEEDED.issubset(CPUINFO.read_text(encoding="utf-8").split()):
        pytest.skip("this processor has no AVX-512")


@linux
def test_products_are_right_with_the_kernels_that_we_choose():
    needs_avx512()
    architectures = run(MULTIPLY, OPENBLAS_CORETYPE="SKYLAKEX").split()
    if not architectures:
        pytest.skip("this NumPy multiplies with another library")
    assert set(architectures) == {"SkylakeX"}


class Library:
    """A BLAS library as threadpoolctl shows it."""

    def __init__(self, api: str, architecture: str | None, filepath: str = "/usr/lib/libblas.so") -> None:
        self.internal_api, self.filepath, self.dynlib = api, filepath, object()
        if architecture is not None:
            self.architecture = architecture
        self.count, self.released = 4, 0

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count

    def clear_controlling_thread(self) -> None:
        self.released += 1


def test_openblas_is_asked_itself_how_many_threads_it_has():
    def count(path: str) -> int:
        return next(each["num_threads"] for each in threadpool_info() if each["filepath"] == path)

    for library, threads in zip(blas._libraries(), blas.threads(), strict=True):
        before = threads.get()
        assert before == count(library.filepath)
        threads.set(1)
        assert (threads.get(), count(library.filepath)) == (1, 1)
        threads.set(before)
        assert threads.get() == before


def test_other_libraries_are_asked_through_threadpoolctl():
    library = Library("mkl", None)
    threads = blas._threads(library)
    threads.set(1)
    assert (threads.get(), library.count, library.released) == (1, 1, 1)


CONVOLVE = """
import sys
import numpy as np
import colonnade as cn
model = cn.Model([cn.Conv2d(3, 16, 3, padding=1), cn.ReLU(), cn.Conv2d(16, 64, 3, stride=2), cn.ReLU(),
                  cn.Conv2d(64, 64, 3, padding=1), cn.Flatten(), cn.Dense(64 * 9 * 9, 4)], seed=0)
x = np.random.default_rng(0).normal(size=(40, 3, 20, 20)).astype(np.float32)
y = model(x, training=True)
grad_x = model.backward(np.ones_like(y) / 40)
grads = np.concatenate([parameter.grad.ravel() for parameter in model.parameters()])
np.savez(sys.argv[1], y=y, grad_x=grad_x, grads=grads)
"""


@linux
def test_convolutions_are_right_with_kernels_that_multiply_in_place_and_with_those_that_pack(tmp_path):
    needs_avx512()
    if not any(library.internal_api == "openblas" for library in blas._libraries()):
        pytest.skip("this NumPy multiplies with another library")
    results = []
    for kernels_named in ("SKYLAKEX", "HASWELL"):
        path = tmp_path / f"{kernels_named}.npz"
        program = f"import sys\nsys.argv = ['', {str(path)!r}]\n{CONVOLVE}"
        run(program, OPENBLAS_CORETYPE=kernels_named)
        results.append(np.load(path))
    for name in ("y", "grad_x", "grads"):
        scale = np.abs(results[0][name]).max()
        np.testing.assert_allclose(results[0][name], results[1][name], atol=2e-5 * scale)
