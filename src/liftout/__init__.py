"""liftout lifts the subject out of any photo.

from liftout import remove
remove("photo.jpg").save("cutout.png")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftout.cutout import Cutout
    from liftout.errors import LiftoutError
    from liftout.models.catalog import ModelSpec, all_models, find
    from liftout.removal import remove
    from liftout.remover import Remover

__all__ = ["Cutout", "LiftoutError", "ModelSpec", "Remover", "__version__", "all_models", "find", "remove"]

__version__ = "0.1.0"

_HOMES = {
    "Cutout": "liftout.cutout",
    "LiftoutError": "liftout.errors",
    "ModelSpec": "liftout.models.catalog",
    "Remover": "liftout.remover",
    "find": "liftout.models.catalog",
    "all_models": "liftout.models.catalog",
    "remove": "liftout.removal",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use: `import liftout` alone stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module `liftout` has no attribute `{name}`")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
