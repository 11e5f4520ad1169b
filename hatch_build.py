"""What building a package does besides copying files: it builds the browser's page, and makes the README fit for a package index.

The page of `liftout site` and `liftout serve` is TypeScript and is not kept in the repository. Building a wheel or a source
distribution builds it with Node, as `make web` does, unless it is there and up to date. Where there is no Node the build stops
with one line; with LIFTOUT_WITHOUT_PAGE=1 it goes on, and the package is without the page. Editable installs build nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

WITHOUT_PAGE = "LIFTOUT_WITHOUT_PAGE"
PAGE = "src/liftout/web"


class PageHook(BuildHookInterface):
    """Builds the page and adds it to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects the files. version: `editable` for an editable install."""
        if version == "editable" or os.environ.get(WITHOUT_PAGE, "").lower() not in ("", "0", "false", "no"):
            return
        root = Path(self.root)
        if not _is_up_to_date(root):
            problem = _build(root)
            if problem:
                self.app.abort(
                    f"the page cannot be built: {problem}; set {WITHOUT_PAGE}=1 for a package without the page "
                    "(`liftout site` then does not work, and `liftout serve` has the API only)"
                )
        build_data["artifacts"].append(f"{PAGE}/**")


class ReadmeHook(MetadataHookInterface):
    """README.md as the package's description, without links and pictures that lead to files of the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling for the fields that `project.dynamic` names."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text)}


def for_index(readme: str) -> str:
    """Markdown without relative links: their text stays; pictures and the line of languages go."""
    relative = r"\((?!https?://|#)[^)\s]+\)"
    readme = re.sub(rf"^English \| \[[^\]]*\]{relative}\n+", "", readme, flags=re.MULTILINE)
    readme = re.sub(rf"^!\[[^\]]*\]{relative}\n+", "", readme, flags=re.MULTILINE)
    return re.sub(rf"\[([^\]]*)\]{relative}", r"\1", readme)


def _is_up_to_date(root: Path) -> bool:
    built = root / PAGE / "liftout.js"
    if not built.is_file():
        return False
    web = root / "web"
    sources = [
        path
        for pattern in ("*.json", "*.mjs", "src/**/*", "page/**/*", "wrappers/*", "licenses/*")
        for path in web.glob(pattern)
        if path.is_file()
    ]
    return all(path.stat().st_mtime <= built.stat().st_mtime for path in sources) or not _node()


def _node() -> bool:
    return all(shutil.which(name) for name in ("node", "npm"))


def _build(root: Path) -> str:
    """Build the page into the package. Returns what is wrong where it cannot be done."""
    web = root / "web"
    if not (web / "build.mjs").is_file():
        return f"{web} with its sources is not here"
    if not _node():
        return "it needs Node and npm, which are not installed"
    lock, installed = web / "package-lock.json", web / "node_modules/.installed"  # the stamp that the Makefile uses too
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        problem = _run(["npm", "ci", "--ignore-scripts", "--loglevel=error"], web)
        if problem:
            return problem
        installed.touch()
    return _run(["node", "build.mjs"], web)


def _run(command: list[str], folder: Path) -> str:
    executable = shutil.which(command[0]) or command[0]  # npm is npm.cmd on Windows
    ended = subprocess.run([executable, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    if ended.returncode == 0:
        return ""
    told = [line.strip() for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    cause = next((line for line in told if "error" in line.lower()), told[0] if told else "no message")
    return f"`{' '.join(command)}` in {folder} ended with status {ended.returncode}: {cause[:300]}"
