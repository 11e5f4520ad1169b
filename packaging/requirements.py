"""Print what liftout needs to be installed before it, for a layer of an image that stays while only liftout changes.

python requirements.py EXTRA... > requirements.txt      beside pyproject.toml
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_OWN = re.compile(r"liftout\[(.+)\]")


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """The requirements of these extras and of liftout itself; extras that an extra names are resolved."""
    optional: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    found: list[str] = list(project["dependencies"])  # type: ignore[call-overload]
    for extra in extras:
        for requirement in optional[extra]:
            own = _OWN.fullmatch(requirement)
            found += requirements(project, own[1].split(",")) if own else [requirement]
    return sorted(set(found))


if __name__ == "__main__":
    told = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(requirements(told, sys.argv[1:])) + "\n")
