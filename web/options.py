"""Write `src/options.json`, the options of `liftout.options` and the names by purpose as the browser reads them: `python web/options.py`.

    {
      "result": { <name>: <option>, ... },     how a cutout becomes a file
      "run": { <name>: <option>, ... },        which model runs, where and how
      "limits": { <name>: number, ... }
      "positions": [<word>, ...]               those that `position` takes beside shares
      "purposes": { <name>: {"summary": ..., "models": [<model>, ...], "last": <model>}, ... }   names by purpose: models in order, the best first
    }

Names are camelCase. An option is

    name         as on the command line, in HTTP and in Python: lower case with underscores
    type         boolean, integer, number or string
    default      null where nothing is chosen; `nullable` options take null
    choices      the values that it takes, as keys, so that `keyof typeof` is their type; absent where any of its type will do. An option of
                 type integer takes these and numbers
    minimum, maximum

A browser takes some of these options and some of their choices: which ones, `src/options.ts` says.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

from liftout import options
from liftout.models.purposes import purposes

TARGET = Path(__file__).parent / "src" / "options.json"
LIMITS = {
    "maxPixels": options.DEFAULT_MAX_PIXELS,
    "longestSide": options.LONGEST_SIDE,
    "largestRatio": options.LARGEST_RATIO,
    "canvasDpi": options.CANVAS_DPI,
}
TYPES = {bool: "boolean", int: "integer", float: "number"}


def content() -> str:
    """The text of options.json."""
    described = {
        "result": _options(options.ResultOptions),
        "run": _options(options.RunOptions),
        "limits": LIMITS,
        "positions": list(typing.get_args(options.Position)),
        "purposes": {
            name: {"summary": purpose.summary, "models": list(purpose.models), "last": purpose.last}
            for name, purpose in purposes().items()
        },
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _options(schema: type[Any]) -> dict[str, Any]:
    return {_camel_case(field.name): _option(schema, field) for field in dataclasses.fields(schema)}


def _option(schema: type[Any], field: dataclasses.Field[Any]) -> dict[str, Any]:
    about, choices = options.about(field), options.choices(schema, field.name)
    option: dict[str, Any] = {
        "name": field.name,
        "type": TYPES.get(options.kind(schema, field.name), "string"),
        "nullable": field.default is None,
        "default": field.default,
        "choices": choices and {choice: {} for choice in choices},
        "minimum": about.low,
        "maximum": about.high,
    }
    return {key: value for key, value in option.items() if value is not None or key == "default"}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


if __name__ == "__main__":
    TARGET.write_text(content(), encoding="utf-8")
