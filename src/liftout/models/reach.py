"""Which sources answer from here, and so which models can be downloaded.

Each place (a host, or a registry) is asked for one byte of one file that it is said to have, so that what stands behind
its redirects is asked too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from liftout.errors import one_line
from liftout.models.download import sources_of
from liftout.models.packages import PROBE_SECONDS
from liftout.models.packages import probe as probe_package
from liftout.models.sources import Source
from liftout.models.spec import ModelSpec
from liftout.models.transfer import BadSettings, Patience, Refused, client
from liftout.models.transfer import probe as probe_url


@dataclass(frozen=True, kw_only=True)
class Place:
    """A host or a registry, and what came of asking it."""

    name: str
    """The host, or `pypi` or `npm`."""
    kind: str
    problem: str | None
    """Why nothing comes from there, as the end of a sentence; None where it answers."""
    seconds: float


def place_of(source: Source) -> str:
    """The place that a source belongs to."""
    return source.kind if source.in_package else source.label


def survey(specs: Iterable[ModelSpec]) -> list[Place]:
    """Ask every place that the models' files may come from, all at once. Gated files, which need an account, are not asked for
    where the place has others."""
    examples: dict[str, tuple[bool, Source]] = {}
    for spec in specs:
        for file in spec.files:
            for source in sources_of(spec, file):
                example = examples.get(place_of(source))
                if example is None or (example[0] and not file.gated):
                    examples[place_of(source)] = (file.gated, source)
    with ThreadPoolExecutor(max(1, len(examples))) as pool:
        return list(pool.map(_ask, examples, (source for _, source in examples.values())))


def _ask(name: str, source: Source) -> Place:
    started, problem = time.monotonic(), None
    try:
        if source.url is None:
            probe_package(source)
        else:
            with client(Patience(stall=PROBE_SECONDS)) as http:
                probe_url(http, source.url)
    except Refused as refusal:
        problem = one_line(refusal)
    except BadSettings as error:
        problem = f"cannot be queried: {error}"
    return Place(name=name, kind=source.kind, problem=problem, seconds=time.monotonic() - started)
