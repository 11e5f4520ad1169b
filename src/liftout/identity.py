"""What a result depends on besides its source, as a hash: options, the model and its files, a background, prompts.

Batches tell by it which results they need not make again, films which parts of an earlier run they may use.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from liftout import pointing
from liftout.compose.background import parse_blur, parse_colour
from liftout.engines.choice import computes
from liftout.models import packs
from liftout.models.local import is_path
from liftout.models.resolve import locate
from liftout.options import ResultOptions, RunOptions
from liftout.prompts import NOTHING, Asked

NO_PIXELS = ("threads", "max_pixels")
"""Options that change no pixel of any result."""


def identity_of_cutouts(result: ResultOptions, run: RunOptions, asked: Asked = NOTHING) -> str:
    """The hash: of options, facts of the model, network files, background.

    `threads` and `max_pixels` are left out: they change no pixel. Raises UnknownModel, ModelUnavailable.
    """
    resolved, background = locate(run.model, run.precision, computes), background_file(result)
    run_facts = {key: value for key, value in dataclasses.asdict(run).items() if key not in NO_PIXELS}
    if is_path(run.model):
        run_facts["model"] = resolved.spec.name  # not where its pack lies
    result_facts = dataclasses.asdict(result)
    if background is not None:
        result_facts["background"] = sha256_of(background)  # its content counts, not where it lies
    facts: dict[str, Any] = {
        "result": result_facts,
        "run": run_facts,
        "input": dataclasses.asdict(resolved.spec.input),
        "output": dataclasses.asdict(resolved.spec.output),
        "network": {path.name: sha256_of(path) for path in _network_files(resolved.file.path)},
    }
    if asked or result.subjects == "each":  # subjects that touch are told apart by the same network
        facts["asked"] = identity_of_prompts(asked)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def identity_of_prompts(asked: Asked) -> str:
    """What an alpha depends on where prompts are given: they, and the network that reads them."""
    return json.dumps([asked.described(), prompted_network()], sort_keys=True)


@functools.cache
def prompted_network() -> dict[str, str]:
    """Hashes of the files of the network that reads prompts, by name."""
    pack = packs.built_in(pointing.NAME)
    return {} if pack is None else {path.name: sha256_of(path) for path in sorted(pack.folder.glob("*.onnx"))}


def background_file(result: ResultOptions) -> Path | None:
    """The background's file, or None where the background is a colour, a blur or nothing."""
    text = result.background
    if text is None or parse_blur(text) is not None or parse_colour(text) is not None or not Path(text).is_file():
        return None
    return Path(text)


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _network_files(network: Path) -> list[Path]:
    """The graph and the weights beside it. The manifest is left out, because its notes change no pixel."""
    beside = (path for path in network.parent.iterdir() if path.is_file() and path.suffix in (".bin", ".onnx", ".data"))
    return sorted({network, *beside})
