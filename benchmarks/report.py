"""Tables and plots from the results of compare.py.

python benchmarks/report.py benchmark.json --plots docs/assets
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

Record = dict[str, Any]
FREE_THREADED = "colonnade, free-threaded"  # in a Python without the interpreter's lock
MODES = ["torch", "torch channels_last", "torch.compile"]
LAYOUTS = MODES[:2]
NAMES = {
    "colonnade": "Colonnade",
    "colonnade, one thread": "one thread",
    FREE_THREADED: "Colonnade",
    "torch": "PyTorch",
    "torch channels_last": "channels_last",
    "torch.compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
}
# Colours that remain apart for the colour-blind (Okabe and Ito 2008).
COLOURS = {"colonnade": "#D55E00", "torch": "#56B4E9", "torch channels_last": "#0072B2", "onnxruntime": "#009E73"}


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, aligned for who reads it as text."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in [header, rule, *rows]:
        aligned = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("| " + " | ".join(aligned) + " |")
    return "\n".join(lines)


class Results:
    """The records of a comparison, found by what was measured."""

    def __init__(self, found: Record) -> None:
        self.found = found
        self.records = {(r["network"], r["kind"], r["framework"]): r for r in found["results"]}
        self.networks = list(dict.fromkeys(r["network"] for r in found["results"]))

    def get(self, network: str, kind: str, framework: str, what: str) -> float:
        """One measured number; NaN where there is none."""
        return float(self.records.get((network, kind, framework), {}).get(what, math.nan))

    def speed(self, network: str, kind: str, framework: str) -> float:
        """Images a second."""
        return self.get(network, kind, framework, "images_per_second")

    def seconds(self, network: str, kind: str, *frameworks: str) -> float:
        """The median seconds of a step, of the fastest of the frameworks."""
        times = (self.get(network, kind, name, "seconds") for name in frameworks)
        return min((seconds for seconds in times if not math.isnan(seconds)), default=math.nan)

    def floor(self, network: str) -> float:
        """The seconds of a training step in which nothing is done but what cannot be avoided.

        Each product at the measured peak, and each of its operands through memory once, at the measured speed of a
        copy. A layer takes three: forward, the gradient at the weight, and, but for the first, that at the input.
        """
        operations, numbers = 0.0, 0.0
        for place, (multiply_adds, *operands) in enumerate(self.found["products"][network]):
            products = 3 if place else 2
            operations += 2.0 * multiply_adds * products
            numbers += sum(operands) * products
        speeds = self.found["speeds"]
        return float(operations / speeds["product_flops"] + 4.0 * numbers / speeds["copy_bytes"])


def ratio(value: float, goal: float | None = None, *, at_most: bool = False) -> str:
    """A ratio, in bold where it misses its goal."""
    if math.isnan(value):
        return "–"
    missed = goal is not None and (value > goal if at_most else value < goal)
    return f"**{value:.2f}**" if missed else f"{value:.2f}"


def amount(value: float, digits: int = 0) -> str:
    """A number with thousands set apart; a dash where nothing was measured."""
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def tables(found: Record) -> str:
    """All tables, as Markdown. What misses its goal is in bold; the goals are in the headers."""
    results = Results(found)
    parts = [introduction(found)]
    kinds = {record["kind"] for record in found["results"]}
    free = found.get("free_threaded")
    for ours in ["colonnade", FREE_THREADED] if free else ["colonnade"]:
        if ours == FREE_THREADED:
            parts.append(f"The same in Python {free['version']} without the interpreter's lock:")
        if "training" in kinds:
            parts += [training_table(results, ours), cost_table(results, ours)]
        if "inference" in kinds:
            parts.append(inference_table(results, ours))
        if "one image" in kinds:
            parts.append(latency_table(results, ours))
    parts.append(footprint_table(found))
    return "\n\n".join(parts)


def introduction(found: Record) -> str:
    """What was measured, where and when."""
    machine, speeds = found["machine"], found["speeds"]
    versions = {"NumPy": speeds["numpy"]}
    for record in found["results"]:
        versions[NAMES[record["package"]]] = record["version"]
    return (
        f"{found['date']}, {machine['processor']}, {machine['cores']} cores, {found['threads']} threads; "
        f"Python {machine['python']}, {', '.join(f'{name} {number}' for name, number in versions.items())}. "
        f"Matrix products {speeds['product_flops'] / 1e9:.0f} GF/s, copies {speeds['copy_bytes'] / 1e9:.0f} GB/s, "
        f"what is read and what is written both counted."
    )


def training_table(results: Results, who: str) -> str:
    """Images a second, and the ratios that the project set itself as goals."""
    goals = {"cnn": 1.5, "lenet5": 1.0, "resnet20": 1.2, "vgg": 1.2}
    rows, gains = [], []
    for network in results.networks:
        ours = results.seconds(network, "training", who)
        plain = results.seconds(network, "training", "torch") / ours
        best = results.seconds(network, "training", *MODES) / ours
        row = [network, *(amount(results.speed(network, "training", name)) for name in [who, *MODES])]
        row.append(amount(results.get(network, "training", "torch.compile", "first_seconds"), 1))
        row += [ratio(best, goals[network]), ratio(plain, 2.0)]
        rows.append(row)
        gains.append(plain)
    mean = math.exp(sum(map(math.log, gains)) / len(gains))
    names = [NAMES[name] for name in [who, *MODES]]
    header = ["training, images/s", *names, "compiling, s", "× best", "× PyTorch"]
    return table(header, rows) + f"\n\nGeometric mean against PyTorch as it comes: {ratio(mean, 2.5)}."


def cost_table(results: Results, who: str) -> str:
    """What a training step costs beside the least it could, one thread against all, and memory."""
    floors = {"vgg": 1.6, "cnn": 2.0}
    shares = {"cnn": 0.3, "resnet20": 0.3}
    rows = []
    for network in results.networks:
        ours, torch = (results.get(network, "training", name, "peak_bytes") for name in (who, "torch"))
        seconds, floor = results.seconds(network, "training", who), results.floor(network)
        row = [network, amount(seconds * 1e3, 2), amount(floor * 1e3, 2)]
        row.append(ratio(seconds / floor, floors.get(network), at_most=True))
        row.append(ratio(results.seconds(network, "training", "colonnade, one thread") / seconds, 1.7))
        row += [amount(ours / 2**20), amount(torch / 2**20), ratio(ours / torch, shares.get(network), at_most=True)]
        rows.append(row)
    return table(["training step", "ms", "floor, ms", "÷ floor", "× one thread", "MiB", "PyTorch, MiB", "ratio"], rows)


def inference_table(results: Results, who: str) -> str:
    """Batches of 128."""
    names = [who, *LAYOUTS, "onnxruntime"]
    rows = []
    for network in results.networks:
        ours = results.seconds(network, "inference", who)
        torch = results.seconds(network, "inference", *LAYOUTS)
        runtime = results.seconds(network, "inference", "onnxruntime")
        row = [network, *(amount(results.speed(network, "inference", name)) for name in names)]
        row += [ratio(torch / ours, 1.2), ratio(runtime / ours, 0.5 if network == "lenet5" else 0.8)]
        peaks = (
            results.get(network, "inference", name, "peak_bytes") for name in names if name != "torch channels_last"
        )
        row += [amount(peak / 2**20) for peak in peaks]
        rows.append(row)
    header = ["inference, images/s", *(NAMES[name] for name in names), "× PyTorch", "× ONNX Runtime"]
    return table([*header, "MiB", "PyTorch, MiB", "ONNX Runtime, MiB"], rows)


def latency_table(results: Results, who: str) -> str:
    """One image."""
    names = [who, *LAYOUTS, "onnxruntime"]
    rows = []
    for network in results.networks:
        ours = results.seconds(network, "one image", who)
        torch = results.seconds(network, "one image", *LAYOUTS)
        row = [network, *(amount(results.seconds(network, "one image", name) * 1e6) for name in names)]
        row.append(ratio(ours / torch, 0.5, at_most=True))
        row.append(ratio(ours / results.seconds(network, "one image", "onnxruntime")))
        rows.append(row)
    return table(["one image, µs", *(NAMES[name] for name in names), "÷ PyTorch", "÷ ONNX Runtime"], rows)


def footprint_table(found: Record) -> str:
    """Import and installation."""
    sizes, rows = found["installed_bytes"], []
    for name, taken in found["imports"].items():
        row = [NAMES.get(name, "NumPy alone"), amount(taken["seconds"] * 1e3), amount(taken["bytes"] / 2**20, 1)]
        rows.append([*row, amount(sizes.get(name, math.nan) / 2**20)])
    return table(["import, beyond NumPy's", "ms", "MiB", "installed with what it requires, MiB"], rows)


def plot(found: Record, folder: Path) -> list[Path]:
    """One SVG for each sweep: images a second (or, over the image's size, pixels) against what grows."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    titles = {
        "batch": "images in the batch",
        "side": "side of the image, pixels",
        "channels": "channels",
        "threads": "threads",
    }
    written = []
    groups = dict.fromkeys((r["along"], r["network"], r["kind"]) for r in found["sweeps"])
    for along, network, kind in groups:
        figure, axes = pyplot.subplots(figsize=(6.0, 3.6), layout="constrained")
        chosen = [r for r in found["sweeps"] if (r["along"], r["network"], r["kind"]) == (along, network, kind)]
        for framework in dict.fromkeys(r["framework"] for r in chosen):
            line = [r for r in chosen if r["framework"] == framework]
            pixels = [r["shape"][2] * r["shape"][3] if along == "side" else 1 for r in line]
            speeds = [r["images_per_second"] * each for r, each in zip(line, pixels, strict=True)]
            axes.plot(
                [r["value"] for r in line], speeds, marker="o", label=NAMES[framework], color=COLOURS.get(framework)
            )
        values = sorted({r["value"] for r in chosen})
        axes.set(xlabel=titles[along], ylabel="pixels/s" if along == "side" else "images/s", title=f"{network}, {kind}")
        if along == "threads":
            axes.set_ylim(bottom=0)
        else:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
        axes.set_xticks(values, [f"{value:,}" for value in values])
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        path = folder / f"{along}_{network}_{kind}.svg"
        # The same results give the same file: no date, and no random names inside.
        with matplotlib.rc_context({"svg.hashsalt": "colonnade"}):
            figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="what compare.py wrote")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also plot the sweeps, there")
    arguments = parser.parse_args()
    found = json.loads(arguments.results.read_text(encoding="utf-8"))
    print(tables(found))
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for path in plot(found, arguments.plots):
            print(path)


if __name__ == "__main__":
    main()
