"""A folder, a bucket, a cluster: many photos to many cutouts, resumable, on one machine or on Ray.

from liftout.batch import Job, run_batch
summary = run_batch(Job(source="photos", target="s3://bucket/cutouts"))

job        what is to be done, frozen, and what becomes of one photo
storage    folders and object stores behind one small interface (fsspec)
journal    what the target holds already, told from the names of small objects
planner    the photos that are still to be done, folder by folder
cutter     one photo: read, cut, write; the same on every machine
local      worker processes on this machine
cluster    Ray Data, on this machine or on a cluster
watch      photos that arrive later
report     one JSON line for each photo, and the sum
run        puts these together
"""

from __future__ import annotations

from liftout.batch.job import Item, Job, Outcome
from liftout.batch.run import Batch, Summary, run_batch

__all__ = ["Batch", "Item", "Job", "Outcome", "Summary", "run_batch"]
