"""Tables and plots from the results of compare.py.

python benchmarks/report.py benchmark.json --page docs/performance.md --plots docs/assets
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]
MODES = ["torch", "torch channels_last", "torch.compile"]
LAYOUTS = MODES[:2]
ONE_THREAD = "compiled, one thread"
NAMES = {
    "compiled": "compiled",
    ONE_THREAD: "compiled, one thread",
    "NumPy alone": "NumPy alone",
    "before": "before",
    "torch": "PyTorch",
    "torch channels_last": "channels_last",
    "torch.compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
}
PACKAGES = {"colonnade": "Colonnade", "numba": "Numba", "torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
# Colours that remain apart for the colour-blind (Okabe and Ito 2008).
COLOURS = {
    "compiled": "#D55E00",
    "NumPy alone": "#E69F00",
    "torch": "#56B4E9",
    "torch channels_last": "#0072B2",
    "onnxruntime": "#009E73",
}
AT_LEAST, AT_MOST = "≥", "≤"


class Goal(NamedTuple):
    """What a ratio should reach, by network."""

    name: str
    bound: str
    each: dict[str, float]


# Of the compiled networks.
GOALS = {
    "training": Goal(
        "training, × PyTorch's best mode", AT_LEAST, {"lenet5": 2.0, "cnn": 2.0, "resnet20": 1.4, "vgg": 1.5}
    ),
    "inference": Goal("batches, × ONNX Runtime", AT_LEAST, {"lenet5": 1.2, "cnn": 1.2, "resnet20": 1.3, "vgg": 1.3}),
    "one image": Goal(
        "one image, time ÷ ONNX Runtime's", AT_MOST, {"lenet5": 1.2, "cnn": 0.9, "resnet20": 1.0, "vgg": 1.0}
    ),
    "threads": Goal(
        "training, all threads × one", AT_LEAST, {"lenet5": 1.7, "cnn": 1.75, "resnet20": 1.75, "vgg": 1.75}
    ),
    "memory": Goal(
        "training, memory ÷ PyTorch's", AT_MOST, {"lenet5": 0.25, "cnn": 0.25, "resnet20": 0.33, "vgg": 0.30}
    ),
}
OTHERS_TRAINING, OTHERS_INFERENCE = 1.0, 0.8
BEFORE = 0.6  # NumPy alone, × another version


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

    def __init__(self, records: list[Record]) -> None:
        self.records = {(r["network"], r["kind"], r["contender"]): r for r in records}
        self.networks = list(dict.fromkeys(r["network"] for r in records))

    def get(self, network: str, kind: str, contender: str, what: str) -> float:
        """One measured number; NaN where there is none."""
        return float(self.records.get((network, kind, contender), {}).get(what, math.nan))

    def speed(self, network: str, kind: str, contender: str) -> float:
        """Images a second."""
        return self.get(network, kind, contender, "images_per_second")

    def seconds(self, network: str, kind: str, *contenders: str) -> float:
        """The median seconds of a step, of the fastest of them."""
        times = (self.get(network, kind, name, "seconds") for name in contenders)
        return min((seconds for seconds in times if not math.isnan(seconds)), default=math.nan)

    def took_part(self, kind: str, contenders: list[str]) -> list[str]:
        """Those of whom there are records, in their order."""
        return [name for name in contenders if any((net, kind, name) in self.records for net in self.networks)]

    def reached(self, goal: str, network: str) -> float:
        """The ratio that a goal is about."""
        if goal == "training":
            return self.seconds(network, "training", *MODES) / self.seconds(network, "training", "compiled")
        if goal == "inference":
            return self.seconds(network, goal, "onnxruntime") / self.seconds(network, goal, "compiled")
        if goal == "one image":
            return self.seconds(network, goal, "compiled") / self.seconds(network, goal, "onnxruntime")
        if goal == "threads":
            return self.seconds(network, "training", ONE_THREAD) / self.seconds(network, "training", "compiled")
        ours, theirs = (self.get(network, "training", name, "peak_bytes") for name in ("compiled", "torch"))
        return ours / theirs


def ratio(value: float, bound: str = "", goal: float | None = None) -> str:
    """A ratio with its goal, in bold where it misses that."""
    if math.isnan(value):
        return "–"
    if goal is None:
        return f"{value:.2f}"
    missed = value < goal if bound == AT_LEAST else value > goal
    return f"{f'**{value:.2f}**' if missed else f'{value:.2f}'} ({bound} {goal:.2f})"


def amount(value: float, digits: int = 0) -> str:
    """A number with thousands set apart; a dash where nothing was measured."""
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def parts(found: Record) -> dict[str, str]:
    """The parts of the page, as Markdown, by name."""
    made = {"shipped": shipped_table(found)}
    if "results" in found:
        made |= measured_parts(found)
    return {name: part for name, part in made.items() if part}


def measured_parts(found: Record) -> dict[str, str]:
    """Those of a run of compare.py."""
    results, others = Results(found["results"]), Results(found["others"])
    return {
        "machine": introduction(found),
        "goals": goals_table(results),
        "training": speeds_table(results, "training", [*NAMES][:-1], "training, images/s"),
        "inference": speeds_table(results, "inference", [*NAMES], "batches, images/s"),
        "latency": latency_table(results),
        "memory": memory_table(results),
        "others": others_table(others),
        "layers": layers_tables(found["layers"], found["speeds"]["peak_flops"]),
        "first minute": first_table(found),
    }


def page(found: Record) -> str:
    """All parts, one behind the other."""
    return "\n\n".join(parts(found).values())


def fill(text: str, found: Record) -> str:
    """A page with the parts in their places, each between `<!-- measured: NAME -->` and `<!-- end -->`."""
    for name, part in parts(found).items():
        place = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise SystemExit(f"The page has no place for {name!r}.")
        text = place.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text


def introduction(found: Record) -> str:
    """What was measured, where, when and how."""
    machine, speeds = found["machine"], found["speeds"]
    versions = {"NumPy": speeds["numpy"]}
    for record in found["results"]:
        versions[PACKAGES[record["package"]]] = record["version"]
    versions |= {"Numba": speeds["numba"]} if speeds.get("numba") else {}
    return (
        f"{found['date']}, {machine['processor']}, {machine['cores']} cores, {found['threads']} threads; "
        f"Python {machine['python']}, {', '.join(f'{name} {number}' for name, number in versions.items())}. "
        f"A core's peak is {speeds['peak_flops'] / 1e9:.0f} GF/s, that of {found['threads']} threads "
        f"{speeds['peak_flops_of_all'] / 1e9:.0f}; a product in NumPy, on one thread, makes "
        f"{speeds['product_flops'] / 1e9:.0f}; copies {speeds['copy_bytes'] / 1e9:.0f} GB/s, what is read and what is "
        f"written both counted. Load before: {found['load']:.1f}. `{found['command']}`"
    )


def goals_table(results: Results) -> str:
    """What the project set itself, and what is reached."""
    rows = []
    for name, goal in GOALS.items():
        cells = [ratio(results.reached(name, net), goal.bound, goal.each.get(net)) for net in results.networks]
        rows.append([goal.name, *cells])
    for kind in ("training", "inference"):
        if results.took_part(kind, ["before"]):
            cells = [results.seconds(net, kind, "before") / results.seconds(net, kind, "NumPy alone")
                     for net in results.networks]  # fmt: skip
            rows.append([f"{kind}, NumPy alone × before", *(ratio(cell, AT_LEAST, BEFORE) for cell in cells)])
    return table(["reached (goal)", *results.networks], rows)


def speeds_table(results: Results, kind: str, contenders: list[str], title: str) -> str:
    """Images a second."""
    names = results.took_part(kind, contenders)
    rows = [[net, *(amount(results.speed(net, kind, name)) for name in names)] for net in results.networks]
    return table([title, *(NAMES[name] for name in names)], rows)


def latency_table(results: Results) -> str:
    """One image."""
    names = results.took_part("one image", [*NAMES])
    rows = [
        [net, *(amount(results.seconds(net, "one image", name) * 1e6) for name in names)] for net in results.networks
    ]
    return table(["one image, µs", *(NAMES[name] for name in names)], rows)


def memory_table(results: Results) -> str:
    """The most that the process held at once, in training."""
    names = results.took_part("training", ["compiled", "NumPy alone", *MODES])
    rows = [
        [net, *(amount(results.get(net, "training", name, "peak_bytes") / 2**20) for name in names)]
        for net in results.networks
    ]
    return table(["training, whole process, MiB", *(NAMES[name] for name in names)], rows)


def others_table(results: Results) -> str:
    """The larger networks: speeds, and ratios with their goals."""
    modes = results.took_part("training", MODES)
    rows = []
    for net in results.networks:
        record = next(r for (network, kind, _), r in results.records.items() if (network, kind) == (net, "training"))
        names = ["compiled", "NumPy alone"]
        best = max(results.speed(net, "training", name) for name in modes)
        row = [f"{net}, {'×'.join(map(str, record['shape']))}"]
        row += [amount(results.speed(net, "training", name), 1) for name in names]
        row += [amount(best, 1), ratio(results.speed(net, "training", "compiled") / best, AT_LEAST, OTHERS_TRAINING)]
        row += [amount(results.speed(net, "inference", name), 1) for name in [*names, "onnxruntime"]]
        row.append(ratio(results.reached("inference", net), AT_LEAST, OTHERS_INFERENCE))
        rows.append(row)
    header = ["images/s", "training: compiled", "NumPy alone", "PyTorch's best", "ratio (goal)"]
    header += ["inference: compiled", "NumPy alone", "ONNX Runtime", "ratio (goal)"]
    return table(header, rows) if rows else ""


def layers_tables(layers: list[Record], peak: float) -> str:
    """Single layers on one thread: convolutions and dense layers beside a core's peak, and the rest by their times."""
    names = ["NumPy", "tiles", "Winograd", "PyTorch"]
    speeds, times = [], []
    for layer in layers:
        seconds = layer["seconds"]
        if layer["flops"]:
            row = [layer["name"]]
            for place, share in ((0, 1.0), (1, 2.0)):  # backward has two gradients
                each = {name: share * layer["flops"] / seconds[name][place] for name in names if name in seconds}
                row += [amount(each.get(name, math.nan) / 1e9) for name in names]
                row.append(amount(max(each.get(name, math.nan) for name in ("Winograd", "tiles") if name in each)
                                  / peak if "tiles" in each else math.nan, 2))  # fmt: skip
            speeds.append(row)
        else:
            each = {name: 1e3 * sum(seconds[name]) for name in names if name in seconds}
            row = [layer["name"], *(amount(each.get(name, math.nan), 2) for name in ("NumPy", "tiles", "PyTorch"))]
            times.append([*row, ratio(each.get("tiles", each["NumPy"]) / each["PyTorch"])])
    made = []
    if speeds:
        header = [f"GF/s; a core's peak is {peak / 1e9:.0f}"]
        header += [f"{way}{name}" for way in ("forward: ", "backward: ") for name in [*names, "÷ peak"]]
        made.append(table(header, speeds))
    if times:
        made.append(table(["forward and backward, ms", "NumPy", "compiled", "PyTorch", "÷ PyTorch"], times))
    return "\n\n".join(made)


def shipped_table(found: Record) -> str:
    """Files that others made: milliseconds of one image, line or sound."""
    results, rows = Results(found.get("shipped", [])), []
    for net in results.networks:
        record = results.records[net, "one image", "compiled"]
        sizes = ", ".join("×".join(map(str, shape)) for shape, _ in record["feeds"].values())
        ours, theirs = (results.seconds(net, "one image", name) for name in ("compiled", "onnxruntime"))
        rows.append(
            [f"{record['from']}: {net}", sizes, amount(ours * 1e3, 2), amount(theirs * 1e3, 2), ratio(ours / theirs)]
        )
    if not rows:
        return ""
    header = ["one image, ms", "inputs", "compiled", "ONNX Runtime", "ratio"]
    return (
        f"{found['date']}, {found['machine']['processor']}, {found['threads']} threads each. Load before: "
        f"{found['load']:.1f}. `{found['command']}`\n\n{table(header, rows)}"
    )


def first_table(found: Record) -> str:
    """Import, installation, and the first training step."""
    sizes, rows = found["installed_bytes"], []
    for name, taken in found["imports"].items():
        row = [PACKAGES.get(name, "NumPy alone"), amount(taken["seconds"] * 1e3), amount(taken["bytes"] / 2**20, 1)]
        rows.append([*row, amount(sizes.get(name, math.nan) / 2**20)])
    rows.append(["Numba, for compiled models", "–", "–", amount(sizes.get("numba", math.nan) / 2**20)])
    first = found["first_steps"]
    return (
        table(["import, beyond NumPy's", "ms", "MiB", "installed with what it requires, MiB"], rows)
        + f"\n\nThe first training step of cnn takes {first['cold']:.1f} s where nothing was compiled before, and "
        f"{first['warm']:.1f} s in the next process."
    )


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
        for contender in dict.fromkeys(r["contender"] for r in chosen):
            line = [r for r in chosen if r["contender"] == contender]
            pixels = [r["shape"][2] * r["shape"][3] if along == "side" else 1 for r in line]
            speeds = [r["images_per_second"] * each for r, each in zip(line, pixels, strict=True)]
            axes.plot(
                [r["value"] for r in line], speeds, marker="o", label=NAMES[contender], color=COLOURS.get(contender)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what compare.py wrote")
    parser.add_argument("--page", type=Path, metavar="FILE", help="fill the places of a page with them, too")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also plot the sweeps, there")
    arguments = parser.parse_args()
    found = json.loads(arguments.results.read_text(encoding="utf-8"))
    print(page(found))
    if arguments.page:
        arguments.page.write_text(fill(arguments.page.read_text(encoding="utf-8"), found), encoding="utf-8")
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for path in plot(found, arguments.plots):
            print(path)


if __name__ == "__main__":
    main()
