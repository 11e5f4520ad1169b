"""`liftout doctor`: what is installed, and what would run and why."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Any

import click

from liftout.engines.precision_check import PHOTOS, verdicts
from liftout.home import home
from liftout.machine import usable_cores
from liftout.options import RunOptions

EXTRAS = {
    "openvino": "openvino",
    "matting": "scipy",
    "torch": "torch",
    "convert": "safetensors",
    "server": "fastapi",
    "telemetry": "opentelemetry-exporter-otlp-proto-http",
    "batch": "fsspec",
    "ray": "ray",
    "heif": "pillow-heif",
    "video": "av",
}
"""A package of each extra, whose presence shows that the extra is installed."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show what is installed, and which engine, device and precision would run and why."""
    report = examine()
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for section, facts in report.items():
        click.echo(section)
        for name, fact in facts.items():
            click.echo(f"  {name:22}{fact}")


def examine() -> dict[str, dict[str, Any]]:
    """All facts that `liftout doctor` prints, by section and name."""
    return {"installed": _installed(), "would run": _would_run(), "models": _models(), "environment": _environment()}


def _installed() -> dict[str, str]:
    facts = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    for package in ("liftout", "onnxruntime", "numpy", "pillow"):
        facts[package] = _version(package) or "missing"
    for extra, package in EXTRAS.items():
        version = _version(package)
        facts[f"extra {extra}"] = f"{package} {version}" if version else f'no; pip install "liftout[{extra}]"'
    return facts


def _would_run() -> dict[str, str]:
    """What `auto` uses for models other than the built-in one, why, and what installing an extra would change."""
    import onnxruntime

    from liftout.engines.choice import choose, cuda_engine, has_nvidia, installed, openvino_capabilities, why_no_cuda

    chosen = choose(RunOptions())
    facts = {"engine": f"{chosen.engine}: {chosen.reason}"}
    for architecture, whose in (("pocket", "pocket"), ("u2net", "U2-Net and IS-Net")):
        other = choose(RunOptions(), architecture)
        if other.engine != chosen.engine:
            facts[f"engine of {whose}"] = f"{other.engine}: {other.reason}"
    facts["device"] = chosen.device
    facts["precision"] = (
        f"fp32, and {chosen.faster} where its alphas agree on the first {PHOTOS} photos" if chosen.faster else "fp32"
    )
    facts |= _verdicts()
    facts["threads"] = str(usable_cores())
    facts["onnxruntime providers"] = ", ".join(onnxruntime.get_available_providers())
    if installed("openvino"):
        facts["openvino computes in"] = ", ".join(openvino_capabilities())
    elif chosen.device == "cpu":
        facts["would be faster"] = (
            'pip install "liftout[openvino]": up to 1.5 times in fp32 and 3.7 times with bf16 units, docs/speed.md'
        )
    if cuda_engine() is None:
        facts["cuda"] = f"not used: {why_no_cuda()}" if has_nvidia() else f"none: {why_no_cuda()}"
    return facts


def _verdicts() -> dict[str, str]:
    """Which models run in a faster precision on this machine, as the check on their first photos decided."""
    verdicts_of_model: dict[str, list[str]] = {}
    for model, engine, precision, agrees in verdicts():
        word = "agrees" if agrees else "does not agree, so fp32 runs"
        verdicts_of_model.setdefault(model, []).append(f"{engine} {precision} {word}")
    return {f"tried with {model}": "; ".join(dict.fromkeys(words)) for model, words in verdicts_of_model.items()}


def _models() -> dict[str, str]:
    from liftout.cli.models import here
    from liftout.models.catalog import all_models

    root = home()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.is_dir() else 0
    facts = {"cache": f"{root} ({size / 1e6:.0f} MB)"}
    for spec in all_models().values():
        if form := here(spec):
            facts[spec.name] = f"{form}; {spec.license.weights}"
    return facts


def _environment() -> dict[str, str]:
    names = (
        "LIFTOUT_HOME",
        "LIFTOUT_OFFLINE",
        "LIFTOUT_MIRROR",
        "LIFTOUT_CATALOG",
        "LIFTOUT_ACCEPT_LICENSE",
        "HTTPS_PROXY",
    )
    facts = {name: os.environ[name] for name in names if name in os.environ}
    if "HF_TOKEN" in os.environ:
        facts["HF_TOKEN"] = "set"
    return facts or {"(nothing set)": ""}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
