"""Foreground types in the header X-Type.

Nothing is classified here: the type is the one that the caller gave, in the words of the classification level, else `other`.
"""

from __future__ import annotations

_COARSE = ("person", "product", "animal", "car")
_CLASSES = {"graphic": "graphics"}
"""Types whose class has another name."""


def detected_type(parameter: str, level: str) -> str | None:
    """The value of X-Type; None with level `none`, for which the API sends no header.

    parameter: the parameter `type`. level: the parameter `type_level`: level 1 knows person, product, animal, car and other.
    """
    if level == "none":
        return None
    if parameter == "auto" or (level == "1" and parameter not in _COARSE):
        return "other"
    return _CLASSES.get(parameter, parameter)
