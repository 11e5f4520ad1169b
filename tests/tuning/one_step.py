"""Tune a published network for a step and measure it; print the memory that was estimated and that the process took, in bytes.

python -m tests.tuning.one_step MODEL CHECKPOINT SIZE RECOMPUTE FROZEN_BACKBONE
"""

from __future__ import annotations

import dataclasses
import resource
import sys
from pathlib import Path

import numpy as np
import torch

from liftout.tuning.examples import Examples
from liftout.tuning.lessons import Lessons
from liftout.tuning.published import open_checkpoint
from tests.tuning.shapes import shape


def main() -> None:
    """See the module's text."""
    model, checkpoint, size, recompute, frozen = sys.argv[1:]
    side = int(size)
    torch.set_num_threads(1)
    start = open_checkpoint(model, Path(checkpoint), size=side, frozen_backbone=frozen == "1")
    start.recompute = recompute == "1"
    estimated = start.need().total(recompute=start.recompute)
    photo, mask = (np.asarray(picture.resize((side, side))) for picture in shape(0))
    examples = Examples(("0",), photo[None], mask[None], ((side, side),))
    recipe = dataclasses.replace(start.recipe(2, 1), batch=2, others=0.5)
    learner = start.learner(recipe, Lessons(examples, Examples.none(start.spec.input), recipe, start.spec.input))
    learner.advance()
    with torch.no_grad():
        start.predictions(learner.at_share(1), learner.lessons.at(0).photos[:1])
    unit = 1 if sys.platform == "darwin" else 1024
    print(estimated, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


if __name__ == "__main__":
    main()
