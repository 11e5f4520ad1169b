"""Write a software bill of materials of a release, CycloneDX 1.6 as JSON: the same for the same sources.

python packaging/sbom.py > liftout.cdx.json

It holds what the wheel and the npm package bring along (the built-in model, scripts that are bundled into the page, ONNX Runtime Web) and
what they need: packages of PyPI, in the versions that the tests were last run with.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUNDLED = ("@noble/hashes", "client-zip", "fflate", "onnxruntime-web")
"""Packages of npm whose code goes into the page; the others of web/package.json only build it."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")


def bill() -> dict[str, Any]:
    """The document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    purl = f"pkg:pypi/liftout@{project['version']}"
    parts = [_model(), *map(_from_npm, BUNDLED), *_from_pypi(project)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": purl,
                "name": "liftout",
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": purl,
            }
        },
        "components": parts,
        "dependencies": [
            {"ref": purl, "dependsOn": [part["bom-ref"] for part in parts if part["scope"] == "required"]}
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


def _model() -> dict[str, Any]:
    manifest = json.loads((ROOT / "src/liftout/models/built_in/pocket/manifest.json").read_text(encoding="utf-8"))
    (network,) = manifest["files"]
    return {
        "type": "machine-learning-model",
        "bom-ref": "model:pocket",
        "name": manifest["name"],
        "version": network["sha256"][:12],
        "description": manifest["model"]["summary"],
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": network["sha256"]}],
        "licenses": [{"license": {"id": manifest["model"]["license"]["weights"]}}],
    }


def _from_npm(name: str) -> dict[str, Any]:
    entry = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))["packages"][f"node_modules/{name}"]
    kind, _, digest = entry["integrity"].partition("-")
    purl = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": entry["version"],
        "scope": "required",
        "hashes": [{"alg": kind.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
        "licenses": [{"license": {"id": entry["license"]}}],
        "purl": purl,
    }


def _from_pypi(project: dict[str, Any]) -> list[dict[str, Any]]:
    pins = dict(
        line.split("==")
        for line in (ROOT / "tests/constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    pins = {_canonical(name): version for name, version in pins.items()}
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = {_name(one): (one, "required") for one in project["dependencies"]}
    for extra, requirements in extras.items():
        if extra not in ("dev", "docs"):
            for one in requirements:
                if not one.startswith("liftout["):
                    wanted.setdefault(_name(one), (one, "optional"))
    found = []
    for name, (requirement, scope) in sorted(wanted.items()):
        match = _REQUIREMENT.match(requirement)
        assert match
        version = pins.get(name)
        purl = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
        part = {"type": "library", "bom-ref": purl, "name": name, "scope": scope, "purl": purl}
        if version:
            part["version"] = version
        found.append({**part, "properties": [{"name": "requirement", "value": requirement}]})
    return found


def _name(requirement: str) -> str:
    match = _REQUIREMENT.match(requirement)
    assert match
    return _canonical(match[1])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
