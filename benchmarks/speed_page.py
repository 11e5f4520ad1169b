"""What `benchmarks/speed.py` measured as tables, verdicts and charts, and their places in docs/speed.md."""

from __future__ import annotations

import html
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pages import with_part
from liftout.files import write_whole

WAYS = {
    "rembg": "rembg",
    "torch": "PyTorch, eager, fp32",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO f32",
    "openvino bf16": "OpenVINO bf16",
    "onnxruntime, edges auto": "ONNX Runtime, default edges",
    "openvino, edges auto": "OpenVINO f32, default edges",
    "int8, edges auto": "int8 pack, ONNX Runtime, default edges",
    "pocket": "built-in model",
    "pocket, edges auto": "built-in model, default edges",
    "openvino bf16, edges auto": "OpenVINO bf16, default edges",
}
"""Ways in the order of the tables, as they are shown there; ours with `--edges plain` unless it says otherwise."""

EDGES = (
    ("built-in model", "pocket", "u2netp"),
    ("U2NetP", "onnxruntime", "u2netp"),
    ("U2-Net", "onnxruntime", "u2net"),
)
"""What is shown, the way with plain edges, and the case it stands in: where the cost of default edges is told."""

OURS = tuple(way for way in WAYS if way not in ("rembg", "torch"))

STEPS = (
    ("rembg", "rembg"),
    ("published graph, Pillow's PNG", "our pipeline around the same graph, Pillow's PNG"),
    ("published graph", "our PNG encoder"),
    ("onnxruntime", "the lean graph"),
    ("openvino", "OpenVINO f32"),
    ("openvino bf16", "bf16"),
    ("openvino bf16, edges auto", "default edges: the photo's edges, clean colours"),
)

MEMORY = 0.6
"""Largest share of rembg's peak memory that keeps the promise."""


@dataclass(frozen=True)
class Figures:
    """Medians over rounds; seconds and bytes. first: from the start of the process to the first PNG."""

    cpu: float
    wall: float
    peak: float
    first_cpu: float
    first_wall: float
    rounds: int


Key = tuple[str, float]
"""Case and megapixels."""

Table = dict[Key, dict[str, Figures]]


@dataclass(frozen=True)
class Target:
    """A promise: rembg's CPU seconds are at least `times` ours."""

    text: str
    key: Key
    way: str
    times: float


TARGETS = (
    Target("U2NetP, 2 MP, OpenVINO bf16", ("u2netp", 2.0), "openvino bf16", 2.5),
    Target("U2-Net, 2 MP, OpenVINO bf16", ("u2net", 2.0), "openvino bf16", 2.5),
    Target("IS-Net, 2 MP, OpenVINO bf16", ("isnet-general-use", 2.0), "openvino bf16", 5.0),
    Target("BiRefNet-lite, 2 MP, OpenVINO bf16", ("birefnet-general-lite", 2.0), "openvino bf16", 4.0),
    Target("BiRefNet-lite, 2 MP, OpenVINO f32", ("birefnet-general-lite", 2.0), "openvino", 2.0),
    Target("12 MP, JPEG bytes to PNG bytes, U2NetP, OpenVINO bf16", ("u2netp", 12.0), "openvino bf16", 6.0),
    Target("import", ("import", 0.0), "liftout", 4.0),
)


class Report:
    """Tables of what was measured. kept: whether no target that could be judged was missed."""

    def __init__(self, rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> None:
        self.machine = machine
        self.table = medians(rows)
        self.failures = failures(rows)
        verdicts = [*self._times(), *self._never_slower(), *self._memory()]
        self.kept = all(kept is not False for _, _, _, kept in verdicts)
        self.parts: dict[str, list[str]] = {
            "verdicts": verdict_table(verdicts),
            "starting": self._starting(),
            "cutting": self._cutting(),
            "steps": self._steps(),
            "losses": self._losses(),
            "machine": self._machine(),
        }

    def text(self) -> str:
        """All tables, for a terminal."""
        return "\n\n".join("\n".join(lines) for lines in self.parts.values())

    def short(self) -> list[str]:
        """Everything that was measured, and what default edges cost, for one class of processor."""
        lines = [
            *self._machine(),
            "",
            *self._starting(),
            "",
            *(line.replace("### ", "#### ") for line in self._cutting()),
        ]
        lines += ["", "| default edges above plain ones, CPU s | 0.3 MP | 2 MP | 12 MP |", "|---|---|---|---|"]
        for shown, plain, name in EDGES:
            held = [self.table.get((name, megapixels), {}) for megapixels in (0.3, 2.0, 12.0)]
            costs = [
                f"{ways[f'{plain}, edges auto'].cpu - ways[plain].cpu:.2f}" if plain in ways else "" for ways in held
            ]
            lines.append(f"| {shown} | {' | '.join(costs)} |")
        return lines

    def write(self, page: Path) -> None:
        """Replace the tables of a page, and the charts in the folder of its name beside it."""
        text = page.read_text(encoding="utf-8")
        for part, lines in self.parts.items():
            text = with_part(text, part, lines)
        folder = page.with_suffix("")
        folder.mkdir(exist_ok=True)
        for name, chart in self.charts().items():
            write_whole(folder / name, chart.encode(), overwrite=True)
        write_whole(page, text.encode(), overwrite=True)

    def charts(self) -> dict[str, str]:
        """File name -> SVG."""
        ratios = []
        for key, held in self.cuts().items():
            if "rembg" in held:
                bars = [
                    (WAYS[way], held["rembg"].cpu / held[way].cpu)
                    for way in ("onnxruntime", "openvino", "openvino bf16")
                    if way in held
                ]
                ratios.append((f"{key[0]}, {key[1]:g} MP", bars))
        made = {"cpu.svg": bar_chart("rembg's CPU seconds for a photo, divided by ours", ratios, "{:.1f} x", line=1.0)}
        for key, rows in self.step_rows().items():
            groups = [
                ("", [(f"{'' if k == 0 else '+ '}{label}", figures.cpu) for k, (label, figures) in enumerate(rows)])
            ]
            title = f"CPU seconds for a photo: {key[0]}, {key[1]:g} MP"
            made[f"steps-{key[0]}.svg"] = bar_chart(title, groups, "{:.2f} s", wide=True)
        return made

    def cuts(self) -> Table:
        """The cases that cut photos."""
        return {key: held for key, held in self.table.items() if key[1]}

    def step_rows(self) -> dict[Key, list[tuple[str, Figures]]]:
        """The cases in which every step was measured."""
        found = {key: held for key, held in self.cuts().items() if "published graph" in held and "rembg" in held}
        return {key: [(label, held[way]) for way, label in STEPS if way in held] for key, held in found.items()}

    def _times(self) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for target in TARGETS:
            held = self.table.get(target.key, {})
            asked = f"{target.times:g} x less CPU than rembg"
            if target.way not in held or "rembg" not in held:
                verdicts.append((target.text, asked, "not measured", None))
                continue
            ratio = held["rembg"].cpu / held[target.way].cpu
            verdicts.append((target.text, asked, f"{ratio:.1f} x", ratio >= target.times))
        return verdicts

    def _never_slower(self) -> list[Verdict]:
        found = []
        for key, held in self.cuts().items():
            if "rembg" in held and "onnxruntime" in held:
                ratio, what = min(
                    (held["rembg"].cpu / held["onnxruntime"].cpu, "CPU"),
                    (held["rembg"].wall / held["onnxruntime"].wall, "wall"),
                )
                found.append((ratio, f"{key[0]}, {key[1]:g} MP, {what}"))
        if not found:
            return [("ONNX Runtime alone", "never slower than rembg", "not measured", None)]
        ratio, where = min(found)
        return [("ONNX Runtime alone", "never slower than rembg", f"at worst {ratio:.2f} x ({where})", ratio >= 1)]

    def _memory(self) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for way in ("onnxruntime", "openvino", "openvino bf16"):
            found = [
                (held[way].peak / held["rembg"].peak, f"{key[0]}, {key[1]:g} MP")
                for key, held in self.cuts().items()
                if way in held and "rembg" in held
            ]
            asked = f"at most {MEMORY:.0%} of rembg's in each case"
            if not found:
                verdicts.append((f"peak memory, {WAYS[way]}", asked, "not measured", None))
                continue
            share, where = max(found)
            many = sum(share <= MEMORY for share, _ in found)
            told = f"in {many} of {len(found)} cases; at worst {share:.0%} ({where})"
            verdicts.append((f"peak memory, {WAYS[way]}", asked, told, share <= MEMORY))
        return verdicts

    def _starting(self) -> list[str]:
        lines = ["| | CPU s | wall s | peak MB |", "|---|---|---|---|"]
        shown = {"import": "`from {} import remove`", "help": "`{} --help`"}
        for (name, _), held in self.table.items():
            if name not in shown or not {"rembg", "liftout"} <= held.keys():
                continue
            theirs, ours = held["rembg"], held["liftout"]
            lines += [
                f"| {shown[name].format(tool)} | {row.cpu:.2f} | {row.wall:.2f} | {row.peak / 1e6:.0f} |"
                for tool, row in (("rembg", theirs), ("liftout", ours))
            ]
            lines.append(
                f"| rembg / liftout | **{theirs.cpu / ours.cpu:.1f}** | {theirs.wall / ours.wall:.1f} | {theirs.peak / ours.peak:.1f} |"
            )
        return lines

    def _cutting(self) -> list[str]:
        lines: list[str] = []
        for name in dict.fromkeys(name for name, _ in self.cuts()):
            lines += [
                f"### {name}",
                "",
                "| photo | way | first photo, wall s | CPU s | wall s | peak MB | rembg / this: first | CPU | wall | memory |",
                "|---|---|---|---|---|---|---|---|---|---|",
            ]
            for (_, megapixels), held in sorted((key, held) for key, held in self.cuts().items() if key[0] == name):
                for way, shown in WAYS.items():
                    if way in held:
                        lines.append(f"| {megapixels:g} MP | {shown} | {cells(held[way], held.get('rembg'))} |")
                    elif (name, megapixels, way) in self.failures:
                        lines.append(
                            f"| {megapixels:g} MP | {shown} | failed: {self.failures[name, megapixels, way]} | | | | | | | |"
                        )
            lines.append("")
        return lines[:-1]

    def _steps(self) -> list[str]:
        lines: list[str] = []
        for (name, megapixels), rows in self.step_rows().items():
            lines += [
                f"### {name}, {megapixels:g} MP",
                "",
                f"![CPU seconds of every step](speed/steps-{name}.svg)",
                "",
                "| step | CPU s | wall s | peak MB | CPU, against the line before |",
                "|---|---|---|---|---|",
            ]
            before = None
            for label, row in rows:
                change = f"{row.cpu / before - 1:+.0%}" if before else ""
                sign = "" if before is None else "+ "
                lines.append(f"| {sign}{label} | {row.cpu:.2f} | {row.wall:.2f} | {row.peak / 1e6:.0f} | {change} |")
                before = row.cpu
            lines.append("")
        return lines[:-1]

    def _losses(self) -> list[str]:
        lines = []
        for key, held in self.cuts().items():
            for against in ("rembg", "torch"):
                lines += [
                    f"* {key[0]}, {key[1]:g} MP, {WAYS[way]}: {what} {value(mine):.{places}f} {unit}, {WAYS[against]} "
                    f"{value(theirs):.{places}f} ({value(theirs) / value(mine):.2f} x)"
                    for way in OURS
                    if way in held and against in held
                    for mine, theirs in [(held[way], held[against])]
                    for what, unit, places, value in COMPARED
                    if value(theirs) < value(mine)
                ]
        return lines or ["Nowhere in what was measured."]

    def _machine(self) -> list[str]:
        told = self.machine
        rounds = [row.rounds for held in self.table.values() for row in held.values()]
        return [
            f"Measured {told['date']}: {told['cpu']}, {told['cores']} cores, {told['memory']} GB; {told['system']}; ours: {told['liftout']}; "
            f"theirs: {told['rembg']}. {_rounds(rounds)}"
        ]


def _rounds(counts: list[int]) -> str:
    """How often everything ran."""
    low, high = min(counts, default=0), max(counts, default=0)
    if high <= 1:
        return "One round, each figure the median of its repetitions."
    return f"Medians of {high} rounds." if low == high else f"Medians of {low} to {high} rounds."


Verdict = tuple[str, str, str, bool | None]
"""What, what was promised, what was found, whether that keeps the promise (None: not measured)."""

COMPARED: tuple[tuple[str, str, int, Callable[[Figures], float]], ...] = (
    ("CPU", "s", 2, lambda row: row.cpu),
    ("wall", "s", 2, lambda row: row.wall),
    ("first photo", "s", 2, lambda row: row.first_wall),
    ("memory", "MB", 0, lambda row: row.peak / 1e6),
)


def medians(rows: Iterable[dict[str, Any]]) -> Table:
    """Figures of every case and way that was measured, cases in the order in which they came."""
    groups: dict[Key, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        if "error" not in row:
            groups.setdefault((row["case"], row["megapixels"]), {}).setdefault(row["way"], []).append(row)

    def middle(held: list[dict[str, Any]], *path: str) -> float:
        values = []
        for row in held:
            for name in path:
                row = row.get(name, {})
            values.append(row or 0.0)
        return float(statistics.median(values))

    return {
        key: {
            way: Figures(
                cpu=middle(held, "cpu"),
                wall=middle(held, "wall"),
                peak=middle(held, "peak"),
                first_cpu=middle(held, "first", "cpu"),
                first_wall=middle(held, "first", "wall"),
                rounds=len(held),
            )
            for way, held in ways.items()
        }
        for key, ways in groups.items()
    }


def failures(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, float, str], str]:
    """What the last try of a way said."""
    return {(row["case"], row["megapixels"], row["way"]): row["error"] for row in rows if "error" in row}


def verdict_table(verdicts: Iterable[Verdict]) -> list[str]:
    """One line for each promise."""
    lines = ["| target | asked | measured | |", "|---|---|---|---|"]
    words = {True: "kept", False: "**missed**", None: "not measured"}
    lines += [f"| {text} | {asked} | {found} | {words[kept]} |" for text, asked, found, kept in verdicts]
    return lines


def cells(row: Figures, theirs: Figures | None) -> str:
    """A row of the table of photos after its first two columns."""
    own = f"{row.first_wall:.2f} | {row.cpu:.2f} | {row.wall:.2f} | {row.peak / 1e6:.0f}"
    if theirs is None:
        return f"{own} | | | |"
    if theirs is row:
        return f"{own} | 1 | 1 | 1 | 1"
    ratios = (theirs.first_wall / row.first_wall, theirs.cpu / row.cpu, theirs.wall / row.wall, theirs.peak / row.peak)
    return f"{own} | {ratios[0]:.2f} | **{ratios[1]:.2f}** | {ratios[2]:.2f} | {ratios[3]:.2f}"


COLOURS = ("#8fb8de", "#3f7fbf", "#0b3d70")


def bar_chart(
    title: str,
    groups: Sequence[tuple[str, Sequence[tuple[str, float]]]],
    shown: str,
    *,
    line: float | None = None,
    wide: bool = False,
) -> str:
    """Horizontal bars as SVG. line: a value that is marked; wide: each bar has its own label, else colours tell them apart."""
    left, right, row, gap, top = (430 if wide else 220), 70, 18, 12, 64
    longest = max((value for _, bars in groups for _, value in bars), default=1.0)
    scale = (900 - left - right) / longest
    parts, y = [], top
    for name, bars in groups:
        middle = y + row * len(bars) / 2 + 4
        if name:
            parts.append(f'<text x="{left - 10}" y="{middle:.0f}" text-anchor="end">{html.escape(name)}</text>')
        for k, (label, value) in enumerate(bars):
            colour = COLOURS[1] if wide else COLOURS[k % len(COLOURS)]
            parts.append(
                f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="{row - 3}" rx="2" fill="{colour}"/>'
                f'<text x="{left + value * scale + 6:.1f}" y="{y + row - 6}">{html.escape(shown.format(value))}</text>'
            )
            if wide:
                parts.append(f'<text x="{left - 10}" y="{y + row - 6}" text-anchor="end">{html.escape(label)}</text>')
            y += row + (8 if wide else 0)
        y += gap
    if line is not None:
        x = left + line * scale
        parts.append(
            f'<line x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{y - gap + 3}" stroke="#c0392b" stroke-dasharray="4 3"/>'
        )
    if not wide and groups:
        x = left
        for k, (label, _) in enumerate(max((bars for _, bars in groups), key=len)):
            parts.append(
                f'<rect x="{x}" y="38" width="12" height="12" rx="2" fill="{COLOURS[k % len(COLOURS)]}"/>'
                f'<text x="{x + 18}" y="49">{html.escape(label)}</text>'
            )
            x += 150
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {y}" width="900" height="{y}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#222">\n<title>{html.escape(title)}</title>\n'
        f'<rect width="900" height="{y}" fill="white"/>\n<text x="16" y="26" font-size="16" font-weight="600">{html.escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
