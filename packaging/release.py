"""Build everything that a release consists of, twice, compare the bytes, try it in fresh environments, and say what would be uploaded.

    make release                        from the last commit, into dist/
    python packaging/release.py --no-try      without fresh environments

Nothing is uploaded. What is built: a source distribution and a wheel for PyPI, a tarball for npm, the manual as a site, a bill of
materials, and SHA256SUMS. Builds start from the files of the last commit in a new folder, with the time of that commit.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NODES = ("20", "22")


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files")
    parser.add_argument("--no-try", action="store_true", help="build and compare only")
    options = parser.parse_args()
    version = versions()
    if _output(["git", "status", "--porcelain"], ROOT):
        say("note: there are changes that are not committed; they are not part of what is built")
    commit = _output(["git", "rev-parse", "HEAD"], ROOT)  # once: the branch may move while this builds
    with tempfile.TemporaryDirectory(prefix="liftout-release-") as scratch:
        folder = Path(scratch)
        first, second = (build(folder / name, commit) for name in ("first", "second"))
        compare(first, second)
        shutil.rmtree(options.out, ignore_errors=True)
        shutil.copytree(first, options.out)
        write_sums(options.out)
        tried = [] if options.no_try else try_out(options.out, folder)
    report(options.out, version, tried)
    return 0


def versions() -> str:
    """The version, which is the same wherever it stands. Raises SystemExit where it is not."""
    found = {
        "pyproject.toml": tomllib.loads(_text("pyproject.toml"))["project"]["version"],
        "src/liftout/__init__.py": re.findall(r'__version__ = "(.+)"', _text("src/liftout/__init__.py"))[0],
        "web/package.json": json.loads(_text("web/package.json"))["version"],
        "web/package-lock.json": json.loads(_text("web/package-lock.json"))["version"],
        "integrations/comfyui/pyproject.toml": tomllib.loads(_text("integrations/comfyui/pyproject.toml"))["project"][
            "version"
        ],
    }
    if len(set(found.values())) != 1:
        raise SystemExit(f"the version differs: {found}")
    return str(found["pyproject.toml"])


def build(folder: Path, commit: str) -> Path:
    """Build everything from the files of a commit. Returns the folder of the results."""
    source, made = folder / "source", folder / "made"
    source.mkdir(parents=True)
    made.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        tree.extractall(source, filter="data")
    epoch = _output(["git", "log", "-1", "--format=%ct", commit], ROOT)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LIFTOUT_WITHOUT_PAGE")}
    env |= {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0", "NO_MKDOCS_2_WARNING": "1"}
    step("page, source distribution and wheel")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(made)], source, env)
    step("npm package")
    own = {**env, "PYTHONPATH": str(source / "src")}
    code = "from pathlib import Path; from liftout import site; site.write_module(Path('web/dist'))"
    _run([sys.executable, "-c", code], source, own)
    _run([_found("npm"), "pack", "--loglevel=error", "--pack-destination", str(made)], source / "web", env)
    step("manual")
    _run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder / "manual")],
        source,
        own,
    )
    name = f"liftout-manual-{versions()}.tar.gz"
    (made / name).write_bytes(_packed(folder / "manual", int(epoch)))
    step("bill of materials")
    bill = subprocess.run(
        [sys.executable, "packaging/sbom.py"], cwd=source, env=env, capture_output=True, check=True
    ).stdout
    (made / f"liftout-{versions()}.cdx.json").write_bytes(bill)
    return made


def compare(first: Path, second: Path) -> None:
    """Raise SystemExit where two builds differ in any byte."""
    names = sorted({path.name for folder in (first, second) for path in folder.iterdir()})
    differ = [name for name in names if _sum(first / name) != _sum(second / name)]
    if differ:
        raise SystemExit(f"two builds of the same commit differ in {', '.join(differ)}")
    say(f"two builds are the same, byte for byte: {len(names)} files")


def try_out(made: Path, folder: Path) -> list[str]:
    """Install what was built in fresh environments and use it. Returns a line for each. Raises SystemExit where something fails."""
    (wheel,), (source,), (package,) = (
        list(made.glob(pattern)) for pattern in ("*.whl", "liftout-[0-9]*.tar.gz", "*.tgz")
    )
    tried = [_try_metadata(folder, [wheel, source])]
    for version in PYTHONS:
        python = _python(version)
        if python is None:
            tried.append(f"Python {version}: not tried, it is not installed here")
            continue
        step(f"wheel in Python {version}")
        tried.append(_try_python(python, wheel, folder / f"wheel-{version}"))
    step("source distribution, without Node")
    tried.append(_try_python(Path(sys.executable), source, folder / "sdist", without_node=True))
    for version in NODES:
        step(f"npm package in Node {version}")
        tried.append(_try_node(version, package, folder / f"node-{version}"))
    return tried


def _try_metadata(folder: Path, files: list[Path]) -> str:
    step("metadata")
    python = _environment(Path(sys.executable), folder / "twine", ["twine"])
    _run([str(python), "-m", "twine", "check", "--strict", *map(str, files)], folder)
    return "metadata: twine finds nothing wrong"


def _try_python(python: Path, package: Path, folder: Path, *, without_node: bool = False) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LIFTOUT_", "PYTHONPATH"))}
    env["LIFTOUT_HOME"] = str(folder / "home")
    if without_node:
        env["PATH"] = str(folder / "tools")
        (folder / "tools").mkdir(parents=True)
    inside = _environment(python, folder / "environment", [str(package)], env)
    shutil.copyfile(ROOT / "examples/cat.jpg", folder / "cat.jpg")
    program = inside.parent / "liftout"
    _run([str(program), "cat.jpg"], folder, env)
    _run([str(program), "site", "public"], folder, env)
    code = "from liftout import remove; cutout = remove('cat.jpg'); assert cutout.box; print(cutout)"
    told = _run([str(inside), "-W", "error", "-c", code], folder, env).strip()
    if not (folder / "cat-cutout.png").is_file() or not (folder / "public/index.html").is_file():
        raise SystemExit(f"{package.name} did not write what it should")
    version = _run([str(inside), "--version"], folder, env).strip()
    return f"{package.name} in {version}: installed, cut out a photo, wrote a site ({told})"


def _try_node(version: str, package: Path, folder: Path) -> str:
    folder.mkdir()
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    install = [_found("npm"), "install", "--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts"]
    _run([*install, str(package), "onnxruntime-node", "sharp"], folder)
    shutil.copyfile(ROOT / "examples/cat.jpg", folder / "cat.jpg")
    (folder / "try.mjs").write_text(
        "import { writeFile } from 'node:fs/promises';"
        "import { removeBackground } from 'liftout';"
        "const blob = await removeBackground('cat.jpg');"
        "await writeFile('cat.png', Buffer.from(await blob.arrayBuffer()));"
        "console.log(process.version, blob.type, blob.size);"
    )
    node = [_found("node")]
    if not _output([*node, "--version"], folder).startswith(f"v{version}."):
        node = [_found("npx"), "--yes", "-p", f"node@{version}", "node"]
        if subprocess.run([*node, "--version"], cwd=folder, capture_output=True, check=False).returncode != 0:
            return f"{package.name} in Node {version}: not tried, it is not installed here"
    return f"{package.name}: cut out a photo in Node: {_run([*node, 'try.mjs'], folder).strip()}"


def report(made: Path, version: str, tried: list[str]) -> None:
    """Say what was found, and what a person would upload."""
    say("", *tried, "", f"liftout {version}, in {made}:")
    for path in sorted(made.iterdir()):
        say(f"  {_sum(path)[:16]}  {path.stat().st_size / 1e6:7.2f} MB  {path.name}")
    say(
        "",
        "To release, after a look at CHANGELOG.md: tag the commit and push the tag; .github/workflows/release.yml does the rest. By hand:",
        f"  git tag v{version} && git push origin v{version}",
        "  twine upload dist/*.whl dist/liftout-[0-9]*.tar.gz        to PyPI",
        "  npm publish dist/*.tgz --access public                    to npm",
        "  the manual, the bill of materials and SHA256SUMS          to the release's page",
        "Nothing was uploaded.",
    )


def write_sums(made: Path) -> None:
    """SHA256SUMS of all files, as `sha256sum -c` reads it."""
    lines = [f"{_sum(path)}  {path.name}\n" for path in sorted(made.iterdir())]
    (made / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _packed(folder: Path, epoch: int) -> bytes:
    """A folder as tar.gz, the same for the same files."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime, entry.mode = epoch, 0o755 if entry.isdir() else 0o644
        return entry

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=plain)
    return gzip.compress(raw.getvalue(), mtime=epoch)


def _environment(python: Path, folder: Path, packages: list[str], env: dict[str, str] | None = None) -> Path:
    """The Python of a new environment with these packages."""
    _run([str(python), "-m", "venv", str(folder)], ROOT, env)
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run([str(inside), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], ROOT, env)
    return inside


def _python(version: str) -> Path | None:
    """An interpreter of this version: on the PATH, or one that pyenv keeps."""
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(map(str, Path.home().glob(f".pyenv/versions/{version}*/bin/python"))),
    ]
    for one in candidates:
        if one:
            ended = subprocess.run(
                [one, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.stdout.strip() == version:
                return Path(one)
    return None


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is not installed")
    return path


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def _output(command: list[str], folder: Path) -> str:
    return _run(command, folder).strip()


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def step(text: str) -> None:
    """Say what is being done."""
    say(f"  {text}")


def say(*lines: str) -> None:
    """Print lines at once."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
