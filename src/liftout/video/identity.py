"""What a film that is being written depends on, as a hash: the source, the options, the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from liftout.identity import identity_of_cutouts, prompted_network
from liftout.options import ResultOptions, RunOptions
from liftout.video.clip import Clip


def identity_of(clip: Clip, target: Path, result: ResultOptions, run: RunOptions) -> str:
    """The hash. Where the source is a stream, it is another one for each call: nothing of it can be read again."""
    if clip.source.path is None:
        return os.urandom(16).hex()
    source = clip.source.path.resolve()
    state = source.stat()
    facts = {
        "source": [str(source), state.st_size, state.st_mtime_ns],
        "target": target.suffix.lower(),
        "options": dataclasses.asdict(clip.options),
        "cutouts": identity_of_cutouts(result, run),
    }
    if clip.said:
        facts["prompted"] = prompted_network()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
