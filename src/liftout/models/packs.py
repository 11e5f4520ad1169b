"""Packs: a converted model with its manifest, the form that Python and the browser load.

    <model>[-<size>][-<precision>]/
      manifest.json    what it is, and the size and sha256 of every file
      network.onnx     the graph; small models hold their weights inside
      weights.bin      the external data of network.onnx

A pack is written into a folder beside its target and renamed, so that it appears whole. Every file carries the sha256 of
each 16 MiB block: a static host serves large files block by block (`block_name`), and a browser checks each as it arrives.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.files import scratch_folder
from liftout.models.spec import ModelSpec

SCHEMA = 1
BLOCK_BYTES = 16 * 1024 * 1024
MANIFEST = "manifest.json"
NETWORK = "network.onnx"
WEIGHTS = "weights.bin"


@dataclass(frozen=True, kw_only=True)
class PackFile:
    """One file of a pack, as the manifest records it."""

    path: str
    bytes: int
    sha256: str
    blocks: tuple[str, ...]
    """sha256 of every block of `BLOCK_BYTES`, the last one shorter."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What manifest.json says."""

    spec: ModelSpec
    precision: str
    files: tuple[PackFile, ...]
    batch: int | None = 1
    """Photos per run; None where the graph takes any number."""
    peak_bytes: int | None = None
    """Estimate of the memory that one run takes at its peak, weights included."""
    agreement: Mapping[str, Any] = field(default_factory=dict)
    """How close the network is to the checkpoint in fp32 (agreement report); empty where not measured."""
    made_from: Mapping[str, Any] = field(default_factory=dict)
    """File name and sha256 of the checkpoint, and the versions of the tools."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of manifest.json."""
        return {
            "schema": SCHEMA,
            "name": self.spec.name,
            "model": self.spec.to_dict(),
            "precision": self.precision,
            "batch": self.batch,
            "block_bytes": BLOCK_BYTES,
            "files": [{**dataclasses.asdict(item), "blocks": list(item.blocks)} for item in self.files],
            "memory": {"peak_bytes": self.peak_bytes},
            "agreement": dict(self.agreement),
            "made_from": dict(self.made_from),
        }


@dataclass(frozen=True)
class Pack:
    """A pack on disk."""

    folder: Path
    manifest: Manifest

    @property
    def spec(self) -> ModelSpec:
        """The model, at the size of this pack."""
        return self.manifest.spec

    @property
    def network(self) -> Path:
        """Path of network.onnx; weights.bin lies beside it."""
        return self.folder / NETWORK

    @property
    def bytes(self) -> int:
        """Size of all files that the manifest names."""
        return sum(item.bytes for item in self.manifest.files)


def read(folder: Path) -> Pack:
    """Read a pack's manifest and check that its files are there with their sizes (`verify` reads them whole).

    Raises ModelMissing where there is no manifest, ModelFileCorrupt where it or a file is damaged.
    """
    manifest = manifest_of(folder / MANIFEST)
    for item in manifest.files:
        target = folder / item.path
        size = target.stat().st_size if target.is_file() else None
        if size != item.bytes:
            state = "is missing" if size is None else f"is {size} bytes, not {item.bytes}"
            raise ModelFileCorrupt(
                f"{item.path} {state}", subject=manifest.spec.name, remedy=f"get or make the pack in {folder} again"
            )
    return Pack(folder, manifest)


def manifest_of(path: Path) -> Manifest:
    """What a manifest.json says; its files are not looked at.

    Raises ModelMissing where there is none, ModelFileCorrupt where it is damaged.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelMissing(f"holds no {MANIFEST}, so it is not a pack", subject=path.parent) from None
    except (ValueError, OSError) as error:
        raise ModelFileCorrupt(str(error), subject=path, remedy="remove the folder and make the pack again") from None
    try:
        if raw["schema"] > SCHEMA:
            raise ModelFileCorrupt(
                f"schema {raw['schema']} is newer than this liftout reads", subject=path, remedy="upgrade liftout"
            )
        return Manifest(
            spec=ModelSpec.from_dict({**raw["model"], "name": raw["name"]}, where=str(path)),
            precision=raw["precision"],
            batch=raw.get("batch", 1),
            files=tuple(PackFile(**{**item, "blocks": tuple(item["blocks"])}) for item in raw["files"]),
            peak_bytes=raw.get("memory", {}).get("peak_bytes"),
            agreement=raw.get("agreement", {}),
            made_from=raw.get("made_from", {}),
        )
    except (KeyError, TypeError) as error:
        raise ModelFileCorrupt(f"{error!r} is missing or wrong", subject=path, remedy="make the pack again") from None


def verify(pack: Pack) -> None:
    """Read every file and compare its sha256. Raises ModelFileCorrupt."""
    for item in pack.manifest.files:
        content = describe(pack.folder / item.path, item.path)
        if content.sha256 != item.sha256:
            raise ModelFileCorrupt(
                f"{item.path} has sha256 {content.sha256[:8]}..., not {item.sha256[:8]}...",
                subject=pack.spec.name,
                remedy=f"get or make the pack in {pack.folder} again",
            )


@contextmanager
def writing(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A new folder to write a pack into; it becomes `folder` when the block succeeds, and is removed when it fails.

    Raises FileExistsError where `folder` is there and `overwrite` is false.
    """
    if folder.exists() and not overwrite:
        raise FileExistsError(f"{folder} already exists")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as partial:
        yield partial
        if folder.exists():
            aside = partial.with_suffix(".old")
            folder.rename(aside)
            partial.rename(folder)
            shutil.rmtree(aside)
        else:
            partial.rename(folder)


def write_manifest(folder: Path, manifest: Manifest, names: tuple[str, ...] = (NETWORK, WEIGHTS)) -> None:
    """Describe the files in `folder` that are there of `names`, and write manifest.json.

    `manifest.files` is filled in here.
    """
    files = tuple(describe(folder / name, name) for name in names if (folder / name).is_file())
    text = json.dumps(dataclasses.replace(manifest, files=files).to_dict(), indent=2, ensure_ascii=False) + "\n"
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / MANIFEST)


def describe(path: Path, name: str) -> PackFile:
    """Size, sha256 and block hashes of a file.

    name: its path in the pack.
    """
    whole, blocks, size = hashlib.sha256(), [], 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            whole.update(block)
            blocks.append(hashlib.sha256(block).hexdigest())
            size += len(block)
    return PackFile(path=name, bytes=size, sha256=whole.hexdigest(), blocks=tuple(blocks))


def block_name(path: str, index: int) -> str:
    """Name of block `index` of a file on a static host: `weights.bin.000`."""
    return f"{path}.{index:03d}"


def publish(pack: Pack, target: Path) -> None:
    """Copy a pack for a static host: files of more than one block as one file per block."""
    with writing(target, overwrite=True) as folder:
        shutil.copyfile(pack.folder / MANIFEST, folder / MANIFEST)
        for item in pack.manifest.files:
            if len(item.blocks) <= 1:
                shutil.copyfile(pack.folder / item.path, folder / item.path)
                continue
            with (pack.folder / item.path).open("rb") as stream:
                for index in range(len(item.blocks)):
                    (folder / block_name(item.path, index)).write_bytes(stream.read(BLOCK_BYTES))


def built_in(name: str) -> Pack | None:
    """The pack of this name that ships inside liftout, if there is one."""
    folder = Path(__file__).parent / "built_in" / name
    return read(folder) if (folder / MANIFEST).is_file() else None
