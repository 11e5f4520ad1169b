"""Which page stands where. A section names pages by their path in the site; those that are not there are left out.

A document that is added to docs/ appears under Guides without being named here; naming it gives it its place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

SECTIONS: dict[str, tuple[str, ...]] = {
    "Home": ("index.md",),
    "Start here": ("start.md", "gallery.md", "page.md", "notebooks.md"),
    "Guides": (
        "guides/choosing-a-model.md",
        "guides/product-photos.md",
        "guides/portraits.md",
        "points.md",
        "video.md",
        "batch.md",
        "guides/private-page.md",
        "remove-bg.md",
        "rembg.md",
        "tune.md",
    ),
    "Doors": (
        "doors/index.md",
        "doors/comfyui.md",
        "doors/transformers.md",
        "doors/github-action.md",
        "doors/file-manager.md",
        "doors/n8n.md",
        "doors/darktable.md",
        "doors/gimp.md",
        "doors/apps.md",
    ),
    "Reference": (
        "command-line.md",
        "reference/commands.md",
        "python.md",
        "reference/python.md",
        "server.md",
        "reference/http.md",
        "reference/http-try.md",
        "browser.md",
        "reference/browser.md",
        "models.md",
        "reference/catalogue.md",
        "reference/pack.md",
        "reference/environment.md",
    ),
    "Explanation": (
        "explanation/pixels.md",
        "edges.md",
        "explanation/lean-graphs.md",
        "precision.md",
        "explanation/memory.md",
        "pocket.md",
        "explanation/training.md",
    ),
    "Benchmarks": ("speed.md",),
    "Project": ("security.md", "versions.md", "changelog.md", "contributing.md", "examples.md"),
    "中文": (
        "zh/index.md",
        "zh/start.md",
        "zh/choosing-a-model.md",
        "zh/product-photos.md",
        "zh/portraits.md",
        "zh/points.md",
        "zh/video.md",
        "zh/batch.md",
        "zh/private-page.md",
        "zh/remove-bg.md",
        "zh/rembg.md",
        "zh/tune.md",
    ),
}
REST = "Guides"
"""The section of pages that none names."""

Navigation: TypeAlias = list[dict[str, str | list[str]]]


def navigation(pages: Collection[str]) -> Navigation:
    """MkDocs' `nav` for these pages."""
    named = {page for section in SECTIONS.values() for page in section}
    rest = tuple(sorted(set(pages) - named))
    found: Navigation = []
    for title, section in SECTIONS.items():
        here = [page for page in (*section, *(rest if title == REST else ())) if page in pages]
        if len(here) == 1 and title == "Home":
            found.append({title: here[0]})
        elif here:
            found.append({title: here})
    return found
