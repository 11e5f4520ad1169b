"""A static site: everything a browser needs to lift subjects on its own, as plain files for any host.

    index.html page.js page.css ...     the page: drop photos, get cutouts; samples/ has photos to try it with
    sw.js manifest.webmanifest          its service worker, which makes it work offline, and what installing it needs
    liftout.js liftout-worker.js        the ES module and its worker; liftout.d.ts and types/ beside them
    ort/                                ONNX Runtime Web
    graphs/                             the pixel graphs, the files that Python runs
    catalog.json                        what is known about every model, for `{ onnx, like }`
    points/                             the network that reads points and boxes, where this package has it
    packs/index.json                    the packs: name, size, memory, licence
    packs/<name>/                       a pack, its weights as one file per block

The browser's files are built by `make web` and travel inside the wheel.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from liftout.errors import ExtraMissing, ModelMissing, OutputError
from liftout.files import scratch_folder, write_whole
from liftout.home import home
from liftout.models import packs
from liftout.models.catalog import all_models, find
from liftout.models.resolve import locate
from liftout.options import DEFAULT_MODEL
from liftout.remedies import ConvertModel

PAGE_FILES = (
    "index.html",
    "page.js",
    "page-worker.js",
    "page.css",
    "early.js",
    "sw.js",
    "manifest.webmanifest",
    "icon.svg",
    "icon-192.png",
    "icon-512.png",
)
"""What a site holds for its page alone: the npm package goes without."""
PAGE_FOLDERS = ("samples",)
POINTS = "points"
"""The pack of the network that reads points and boxes, and its folder in a site."""


def write(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write or refresh a site, and publish packs into it; packs that are there already stay.

    names: models that are on this machine, packs in `LIFTOUT_HOME`, or folders of packs. Returns the folders of the packs just published.
    Raises UnknownModel, ModelUnavailable, OutputError, ExtraMissing where the browser's files have not been built.
    """
    page = _built_page()
    sources = [_pack_of(name) for name in names]
    try:
        shutil.copytree(page, folder, dirs_exist_ok=True)
        (folder / "graphs").mkdir(exist_ok=True)
        for name, content in graphs().items():
            write_whole(folder / "graphs" / name, content, overwrite=True)
        pointer = packs.built_in(POINTS)
        if pointer is not None:
            packs.publish(pointer, folder / POINTS)
        folders = [
            _publish(item, folder / "packs" / Path(name).name) for name, item in zip(names, sources, strict=True)
        ]
        _write_json(folder / "catalog.json", {name: spec.to_dict() for name, spec in all_models().items()})
        _write_json(folder / "packs" / "index.json", _index(folder / "packs"))
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", subject=error.filename or folder) from None
    return folders


def write_module(folder: Path) -> None:
    """Write what the npm package holds: a site with the built-in model, without the page and without ONNX Runtime Web, which is a package."""
    write(folder, [DEFAULT_MODEL])
    for name in PAGE_FILES:
        (folder / name).unlink()
    for name in (*PAGE_FOLDERS, "ort"):
        shutil.rmtree(folder / name)


def graphs() -> dict[str, bytes]:
    """The pixel graphs by file name."""
    entries = files("liftout.graphs.sources").iterdir()
    return {item.name: item.read_bytes() for item in entries if item.name.endswith(".onnx")}


def _built_page() -> Path:
    folder = Path(os.fspath(files("liftout").joinpath("web")))  # type: ignore[call-overload]
    if not (folder / "liftout.js").is_file():
        raise ExtraMissing(
            "this installation was built without the browser's files",
            remedy="install a wheel that has them, or run `make web` in the source (needs Node)",
        )
    return folder


_Source = packs.Pack | tuple[Path, packs.Manifest]
"""A pack, or a plain ONNX file with the manifest of the pack that it will be."""


def pack_folder(name: str) -> Path | None:
    """The folder of the pack that `name` means: a path to one, or the name of one in `LIFTOUT_HOME`. None for a model's name."""
    if os.sep in name and not (Path(name) / packs.MANIFEST).is_file():
        raise ModelMissing(f"is not a pack: it holds no {packs.MANIFEST}", subject=name, remedy=ConvertModel(name))
    folders = [Path(name)] if os.sep in name else [home() / "packs" / name]
    return next((folder for folder in folders if (folder / packs.MANIFEST).is_file()), None)


def _pack_of(name: str) -> _Source:
    folder = pack_folder(name)
    if folder:
        return packs.read(folder)
    resolved = locate(find(name))
    if resolved.source == "onnx":
        made_from = {"file": resolved.file.path.name}
        return resolved.file.path, packs.Manifest(
            spec=resolved.spec, precision=resolved.file.reduced or "fp32", files=(), made_from=made_from
        )
    return packs.read(resolved.file.path.parent)


def _publish(source: _Source, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, packs.Pack):
        packs.publish(source, target)
        return target
    path, manifest = source
    with scratch_folder(target) as folder:
        shutil.copyfile(path, folder / packs.NETWORK)
        packs.write_manifest(folder, manifest)
        packs.publish(packs.read(folder), target)
    return target


def _index(folder: Path) -> list[dict[str, Any]]:
    """What a page shows of each pack, smallest first."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in sorted(folder.glob(f"*/{packs.MANIFEST}")):
        if path.parent.name.startswith("."):
            continue
        manifest = packs.manifest_of(path)
        rows.append(
            {
                "name": path.parent.name,
                "model": manifest.spec.name,
                "summary": manifest.spec.summary,
                "size": list(manifest.spec.input.size),
                "precision": manifest.precision,
                "bytes": sum(item.bytes for item in manifest.files),
                "peak_bytes": manifest.peak_bytes,
                "commercial": manifest.spec.license.commercial,
                "license": asdict(manifest.spec.license),
                "added": manifest.spec.added,
            }
        )
    return sorted(rows, key=lambda row: int(row["bytes"]))


def _write_json(path: Path, value: object) -> None:
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), overwrite=True)
