"""`liftout doctor`: what is installed, and what would run."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Any

import click

EXTRAS = {"openvino": "openvino", "convert": "torch", "server": "fastapi", "ray": "ray", "heif": "pillow-heif"}
"""Extra, and the package whose presence shows that it is installed."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what is installed, and which engine, device and precision would run and why."""
    report = examine()
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for section, facts in report.items():
        click.echo(section)
        for name, fact in facts.items():
            click.echo(f"  {name:22}{fact}")


def examine() -> dict[str, dict[str, Any]]:
    """Facts by section."""
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
    import onnxruntime

    return {
        "engine": "onnxruntime (auto never leaves it in this version; --engine chooses another)",
        "device": "cpu",
        "precision": "fp32",
        "threads": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "onnxruntime providers": ", ".join(onnxruntime.get_available_providers()),
    }


def _models() -> dict[str, str]:
    from liftout.catalog import models
    from liftout.cli.models import here
    from liftout.weights.home import home

    root = home()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.is_dir() else 0
    facts = {"cache": f"{root} ({size / 1e6:.0f} MB)"}
    for spec in models().values():
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
