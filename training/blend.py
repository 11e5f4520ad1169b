"""The mean of several runs' weights as a run of its own: `python -m training.blend NAME RUN RUN...`.

Runs that start from one another lie in one valley, and the middle between them is often better than its ends.

Source: Wortsman et al. 2022, "Model soups", ICML.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from training.cache import ROOT


def blend(folders: list[Path], target: Path) -> None:
    """Write the mean of the averaged weights in `folders` as the checkpoint of `target`, for `training.export` and as the start
    of a recipe. Raises SystemExit where the runs are of different networks or `target` holds a run."""
    if (target / "checkpoint.pt").exists():
        raise SystemExit(f"{target} holds a run; name the blend otherwise")
    states: list[dict[str, Any]] = [torch.load(folder / "checkpoint.pt", map_location="cpu") for folder in folders]
    first = states[0]
    mean = {}
    for kind in ("averaged", "hints"):
        if any(
            {k: v.shape for k, v in s[kind].items()} != {k: v.shape for k, v in first[kind].items()} for s in states
        ):
            raise SystemExit(f"{', '.join(folder.name for folder in folders)} are runs of different networks")
        mean[kind] = {
            name: torch.stack([state[kind][name] for state in states]).mean(0) if value.is_floating_point() else value
            for name, value in first[kind].items()
        }
    target.mkdir(parents=True, exist_ok=True)
    partial = target / "checkpoint.pt.part"
    torch.save({"recipe": first["recipe"], "blended": [folder.name for folder in folders], **mean}, partial)
    partial.replace(target / "checkpoint.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the blend")
    parser.add_argument("run", nargs="+", help="names of the runs, folders in runs/")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    blend([options.runs / run for run in options.run], options.runs / options.name)


if __name__ == "__main__":
    main()
