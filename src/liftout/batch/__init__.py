"""Cut out many photos: a folder, a bucket or an archive, resumable, on one machine or on Ray.

from liftout.batch import Job, run_batch
summary = run_batch(Job(source="photos", target="s3://bucket/cutouts"))

job        what a batch is asked to do, and the outcome for one photo
storage    folders and object stores behind one small interface (fsspec)
journal    which results the target already holds, read from the names of small files
planner    compares source, target and journal: the photos that are still to do
prompts    what the subject of single photos is, from a file
prefetch   runs the planner in a thread, a bounded way ahead of the work
claim      keeps a second batch off a target while one is writing to it
capacity   how many workers fit on a machine
films      films among the photos, where the extra `video` is installed
cutter     one photo or film: read, cut, write; the same on every machine
local      worker processes on this machine
cluster    Ray Data, on this machine or on a cluster
payload    files that a worker on another machine needs
watch      photos that arrive while a batch runs
report     one line of JSON for each photo
run        `Batch`, which puts these together
"""

from __future__ import annotations

from liftout.batch.job import Item, Job, Outcome
from liftout.batch.run import Batch, Summary, run_batch

__all__ = ["Batch", "Item", "Job", "Outcome", "Summary", "run_batch"]
