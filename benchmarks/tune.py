"""What `liftout tune` gains on three kinds of photos that the built-in model never saw, and what it loses on others.

    python -m benchmarks.tune prepare u2net.onnx     photos and labels, once (7 minutes on one core)
    python -m benchmarks.tune run [KIND...]          tunes on 100 photos of each kind, measures, prints the table
    python -m benchmarks.tune table --write docs/tune.md   the table of what was run

Horses have true masks; leopards and people in the street have those of U2-Net (`training/teacher.py` says where its file can be had).
Measured are photos of the kind that no run was given, and the 200 of ECSSD. Needs the photos that `python -m training.photos` stores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from liftout.home import home
from liftout.models import packs
from liftout.tuning.scores import summarise
from training.evaluate import ecssd, measure, pocket
from training.export import SHIPPED
from training.photos import DATA, ROOT, RUNS, excluded, open_photos, read_names, serves_for_choosing

KINDS = {"horses": "weizmann__", "leopards": "caltech101__", "street": "ccp__"}
TO_TUNE, MOST_TO_MEASURE, OTHERS = 100, 60, 150
FOLDER = RUNS / "tune"
MARK = "<!-- python -m benchmarks.tune table -->"


def prepare(teacher_file: Path, threads: int) -> None:
    """Write, for each kind, photos and masks to tune with and others to measure on; and photos of other kinds."""
    from training.teacher import Teacher

    photos = open_photos()
    rows = {name: row for row, name in enumerate(photos.names)}
    teacher = Teacher(teacher_file, threads)
    kept = sorted(read_names(ROOT / "kept.txt"))
    for kind, prefix in KINDS.items():
        names = [name for name in kept if name.startswith(prefix)]
        order = [names[k] for k in np.random.default_rng(7).permutation(len(names))]
        parts = {"data": order[:TO_TUNE], "test": order[TO_TUNE : TO_TUNE + MOST_TO_MEASURE]}
        for part, some in parts.items():
            for name in some:
                mask = FOLDER / kind / part / "masks" / f"{name}.png"
                if mask.exists():
                    continue
                pixels = photos.pixels[rows[name]]
                alpha = photos.alphas[rows[name]] if kind == "horses" else teacher(pixels)
                _write(FOLDER / kind / part / "photos" / f"{name}.png", pixels)
                _write(mask, np.asarray(Image.fromarray(alpha).resize((320, 320), Image.Resampling.BILINEAR)))
        print(f"{kind}: {len(parts['data'])} to tune with, {len(parts['test'])} to measure on", flush=True)
    never = excluded()
    others = [
        name
        for name in photos.names
        if name not in never
        and not serves_for_choosing(name)
        and not name.startswith(("scenes", "weizmann", "ccp", "clothing"))
    ]
    for k in np.random.default_rng(8).permutation(len(others))[:OTHERS]:
        _write(FOLDER / "others" / f"{others[k]}.png", photos.pixels[rows[others[k]]])
    print(f"{OTHERS} photos of other kinds in {FOLDER / 'others'}")


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    Image.fromarray(pixels).save(partial, "PNG")
    partial.replace(path)


def run(kinds: list[str], options: list[str], *, with_others: bool) -> None:
    """Tune on each kind by the command that a user has, and measure."""
    results = FOLDER / "results.json"
    found = json.loads(results.read_text()) if results.exists() else {}
    for kind in kinds:
        name = f"bench-{kind}"
        command = [
            sys.executable,
            "-m",
            "liftout",
            "tune",
            str(FOLDER / kind / "data"),
            "-o",
            name,
            "--overwrite",
            *options,
        ]
        if with_others:
            command += ["--others", str(FOLDER / "others")]
        print(" ".join(command[2:]), flush=True)
        started = time.monotonic()
        status = subprocess.run(command, check=False).returncode
        network = home() / "packs" / name / packs.NETWORK if status == 0 else SHIPPED
        found[kind] = {
            "seconds": time.monotonic() - started,
            "options": options,
            "others": with_others,
            "status": status,
            "before": _measured(SHIPPED, kind),
            "after": _measured(network, kind),
        }
        results.write_text(json.dumps(found, indent=1))
        print(json.dumps({kind: found[kind]}, indent=1), flush=True)
    print(table(found))


def _measured(network: Path, kind: str) -> dict[str, float]:
    method = pocket(network)
    folder = FOLDER / kind / "test"
    overlaps, errors = [], []
    for path in sorted((folder / "photos").iterdir()):
        alpha = method(Image.open(path).convert("RGB"))[0]
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L"))
        inside, right = alpha >= 128, mask >= 128
        overlaps.append((inside & right).sum() / max(1, (inside | right).sum()))
        errors.append(np.abs(alpha.astype(float) - mask).mean() / 255)
    known = FOLDER / "before.json"
    if network == SHIPPED and known.exists():
        general = json.loads(known.read_text())
    else:
        summary = summarise(measure(method, ecssd(DATA / "eval" / "ecssd"))[0])
        general = {"max_f": summary.max_f, "general_mae": summary.mae, "general_iou": summary.miou}
        if network == SHIPPED:
            known.write_text(json.dumps(general))
    return {"photos": len(overlaps), "iou": float(np.mean(overlaps)), "mae": float(np.mean(errors)), **general}


def table(found: dict[str, dict]) -> str:
    """Markdown: before and after, for each kind."""
    lines = [
        "| kind | photos measured | mean IoU before | after | of the error gone | MAE before | after | other photos (ECSSD), maxF before | after | MAE before | after |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, result in found.items():
        one, two = result["before"], result["after"]
        gone = (two["iou"] - one["iou"]) / (1 - one["iou"])
        cells = [
            kind,
            f"{one['photos']}",
            f"{one['iou']:.3f}",
            f"{two['iou']:.3f}",
            f"{gone:.0%}",
            f"{one['mae']:.4f}",
            f"{two['mae']:.4f}",
        ]
        cells += [
            f"{one['max_f']:.4f}",
            f"{two['max_f']:.4f}",
            f"{one['general_mae']:.4f}",
            f"{two['general_mae']:.4f}",
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("0.", "."))
    return "\n".join(lines) + "\n"


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("teacher", type=Path, help="u2net.onnx")
    preparing.add_argument("--threads", type=int, default=1)
    running = commands.add_parser("run")
    running.add_argument("kinds", nargs="*", default=list(KINDS))
    running.add_argument("--without-others", action="store_true", help="tune without photos of other kinds")
    running.add_argument("--steps", type=int, help="as `liftout tune --steps`")
    running.add_argument("--threads", type=int, help="as `liftout tune --threads`")
    writing = commands.add_parser("table")
    writing.add_argument("--write", type=Path, help="put it into this file, between two marks")
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.teacher, options.threads)
    elif options.command == "run":
        passed = [
            word
            for name in ("steps", "threads")
            if (value := getattr(options, name))
            for word in (f"--{name}", str(value))
        ]
        run(options.kinds, passed, with_others=not options.without_others)
    else:
        text = table(json.loads((FOLDER / "results.json").read_text()))
        print(text)
        if options.write:
            before, _, rest = options.write.read_text().partition(f"{MARK}\n")
            _, _, after = rest.partition(f"{MARK}\n")
            options.write.write_text(f"{before}{MARK}\n{text}{MARK}\n{after}")


if __name__ == "__main__":
    main()
