"""Reference of the browser's module: the declarations that web/src/index.ts exports, with the comments above them."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "web" / "src"
_EXPORT = re.compile(r"export (?:type )?\{([^}]*)\} from \"\./([\w/.-]+)\.js\"")


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Module reference\n",
        "Made from the TypeScript sources; the package has the same as `liftout.d.ts`. [In a browser](../browser.md) explains how it is used.\n",
    ]
    for name, file in exported():
        lines += [f"## {name}\n", f"```ts\n{declaration(name, file)}\n```\n"]
    return "\n".join(lines)


def exported() -> list[tuple[str, str]]:
    """Exported names, and the file that declares each, without suffix."""
    text = (SOURCE / "index.ts").read_text(encoding="utf-8")
    found = []
    for names, file in _EXPORT.findall(text):
        words = [name.replace("type ", "").strip() for name in names.split(",")]
        found += [(word, file) for word in words if word]
    return found


def declaration(name: str, file: str) -> str:
    """A declaration without the bodies of its functions."""
    text = (SOURCE / f"{file}.ts").read_text(encoding="utf-8")
    pattern = (
        rf"(?:^/\*\*(?:(?!\*/).)*\*/\n)?^export (?:async |abstract )?(?:interface|type|class|function|const) {name}\b"
    )
    start = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if start is None:
        raise LookupError(f"{file}.ts declares no {name}")
    whole = text[start.start() : _end(text, start.end())]
    return (
        _without_bodies(whole)
        if re.search(r"^export (?:async )?(?:class|function)", whole, re.MULTILINE)
        else whole.rstrip()
    )


def _end(text: str, position: int) -> int:
    """Where a declaration ends: at the bracket that closes it, or at the semicolon."""
    depth = 0
    for index in range(position, len(text)):
        letter = text[index]
        if letter in "{([":
            depth += 1
        elif letter in "})]":
            depth -= 1
            if depth == 0 and letter == "}" and text[index + 1 : index + 2] in ("\n", ""):
                return index + 1
        elif letter == ";" and depth == 0:
            return index + 1
    return len(text)


def _without_bodies(whole: str) -> str:
    """A class or function with its comments and signatures alone."""
    lines, kept, depth = whole.splitlines(), [], 0
    is_class = " class " in next(line for line in lines if line.startswith("export"))
    comment: list[str] = []
    for line in lines:
        stripped = line.strip()
        if depth == (1 if is_class else 0):
            if stripped.startswith(("/**", "*")):
                comment.append(line)
                continue
            private = is_class and re.match(r"(?:private|#|(?:get|set|static|async) #)", stripped) is not None
            if not private and stripped not in ("", "}"):
                opens = line.rstrip().endswith("{") and not (is_class and stripped.startswith("export"))
                kept += [*comment, re.sub(r"\s*\{$", ";", line).replace(";;", ";") if opens else line]
            comment = []
        elif depth == 0:
            kept.append(line)
        depth += line.count("{") - line.count("}")
    if is_class:
        kept.append("}")
    return "\n".join(kept).replace("export ", "", 1)
