"""Jobs on disk: an SQLite database and a folder of results, which survive a restart and may be shared by several servers.

A photo is `queued`, `running`, `done` or `failed`. A server claims one photo at a time for a lease; a photo whose server died is
queued again when the lease ends.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, options TEXT NOT NULL, webhook TEXT NOT NULL, created REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL
);
CREATE TABLE IF NOT EXISTS photos (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, number INTEGER NOT NULL, url TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', lease REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    media_type TEXT NOT NULL DEFAULT '', claims INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, number)
);
CREATE INDEX IF NOT EXISTS photos_by_state ON photos(state);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs(created);
CREATE INDEX IF NOT EXISTS jobs_by_notice ON jobs(next_attempt) WHERE next_attempt IS NOT NULL;
"""


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photo that was claimed. options: the JSON of its job. claims: how often it was claimed, this time included."""

    job: str
    number: int
    url: str
    options: dict[str, Any]
    claims: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A finished job whose webhook must be called."""

    job: str
    webhook: str
    created: float
    attempts: int


class JobStore:
    """The jobs of one folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / "jobs.sqlite", check_same_thread=False, isolation_level=None, timeout=30
        )
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; {_SCHEMA}")

    def add(self, urls: list[str], options: dict[str, Any], *, webhook: str, owner: str) -> str:
        """Add a job; returns its id."""
        job = secrets.token_urlsafe(12)
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "INSERT INTO jobs (id, owner, options, webhook, created) VALUES (?, ?, ?, ?, ?)",
                (job, owner, json.dumps(options), webhook, time.time()),
            )
            rows = [(job, number, url) for number, url in enumerate(urls)]
            self._database.executemany("INSERT INTO photos (job, number, url) VALUES (?, ?, ?)", rows)
        return job

    def waiting(self) -> int:
        """Photos of all jobs that are not finished."""
        return int(self._rows("SELECT count(*) FROM photos WHERE state IN ('queued', 'running')")[0][0])

    def describe(self, job: str, owner: str) -> dict[str, Any] | None:
        """A job for its owner, with its photos; None if the owner has no such job."""
        job_rows = self._rows("SELECT created FROM jobs WHERE id = ? AND owner = ?", job, owner)
        if not job_rows:
            return None
        rows = self._rows("SELECT number, url, state, error FROM photos WHERE job = ? ORDER BY number", job)
        photos: list[dict[str, Any]] = []
        for number, url, state, error in rows:
            photo = {"number": number, "url": url, "status": state}
            if state == "done":
                photo["result"] = f"/v1/jobs/{job}/photos/{number}"
            if error:
                photo["error"] = error
            photos.append(photo)
        counts = {state: sum(row[2] == state for row in rows) for state in ("queued", "running", "done", "failed")}
        status = "running" if counts["queued"] or counts["running"] else "done"
        return {"id": job, "status": status, "created": int(job_rows[0][0]), "counts": counts, "photos": photos}

    def result(self, job: str, number: int, owner: str) -> tuple[Path, str] | None:
        """(file, media type) of a finished photo; None if the owner has no such result."""
        rows = self._rows(
            "SELECT media_type FROM photos JOIN jobs ON jobs.id = photos.job "
            "WHERE job = ? AND number = ? AND owner = ? AND state = 'done'",
            job,
            number,
            owner,
        )
        return (self._file(job, number), rows[0][0]) if rows else None

    def claim(self, lease: float) -> PhotoTask | None:
        """The next photo, claimed for `lease` seconds; None if there is none."""
        now = time.time()
        rows = self._rows(
            "UPDATE photos SET state = 'running', lease = ?, claims = claims + 1 WHERE rowid = coalesce("
            "(SELECT rowid FROM photos WHERE state = 'running' AND lease < ? LIMIT 1), "
            "(SELECT rowid FROM photos WHERE state = 'queued' ORDER BY rowid LIMIT 1)) RETURNING job, number, url, claims",
            now + lease,
            now,
        )
        if not rows:
            return None
        job, number, url, claims = rows[0]
        (options,) = self._rows("SELECT options FROM jobs WHERE id = ?", job)[0]
        return PhotoTask(job=job, number=number, url=url, options=json.loads(options), claims=claims)

    def release(self, task: PhotoTask) -> None:
        """Queue a claimed photo again."""
        self._rows("UPDATE photos SET state = 'queued' WHERE job = ? AND number = ?", task.job, task.number)

    def finish(self, task: PhotoTask, content: bytes, media_type: str) -> None:
        """Store the result of a claimed photo, unless its job was deleted meanwhile."""
        path = self._file(task.job, task.number)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)
        self._end(task, "done", media_type=media_type)

    def fail(self, task: PhotoTask, error: str) -> None:
        """Store why a claimed photo failed."""
        self._end(task, "failed", error=error)

    def delete(self, job: str, owner: str) -> bool:
        """Delete a job with its results; False if the owner has no such job."""
        if not self._rows("DELETE FROM jobs WHERE id = ? AND owner = ? RETURNING id", job, owner):
            return False
        shutil.rmtree(self._folder / job, ignore_errors=True)
        return True

    def delete_older(self, seconds: float) -> None:
        """Delete jobs that were added longer ago."""
        for (job,) in self._rows("DELETE FROM jobs WHERE created < ? RETURNING id", time.time() - seconds):
            shutil.rmtree(self._folder / job, ignore_errors=True)

    def due_notice(self) -> Notice | None:
        """A finished job whose webhook is due; its next attempt is set an hour off until `noticed` says how it went."""
        now = time.time()
        rows = self._rows(
            "UPDATE jobs SET next_attempt = ? WHERE id = (SELECT id FROM jobs WHERE next_attempt <= ? LIMIT 1) "
            "RETURNING id, webhook, created, attempts",
            now + 3600,
            now,
        )
        if not rows:
            return None
        job, webhook, created, attempts = rows[0]
        return Notice(job=job, webhook=webhook, created=created, attempts=attempts)

    def noticed(self, notice: Notice, *, again_in: float | None) -> None:
        """Record an attempt. again_in: seconds to the next one, None after the last."""
        due = None if again_in is None else time.time() + again_in
        self._rows("UPDATE jobs SET attempts = attempts + 1, next_attempt = ? WHERE id = ?", due, notice.job)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _end(self, task: PhotoTask, state: str, *, error: str = "", media_type: str = "") -> None:
        self._rows(
            "UPDATE photos SET state = ?, error = ?, media_type = ? WHERE job = ? AND number = ?",
            state,
            error,
            media_type,
            task.job,
            task.number,
        )
        self._rows(
            "UPDATE jobs SET next_attempt = ? WHERE id = ? AND webhook != '' AND attempts = 0 AND NOT EXISTS "
            "(SELECT 1 FROM photos WHERE job = jobs.id AND state IN ('queued', 'running'))",
            time.time(),
            task.job,
        )

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _file(self, job: str, number: int) -> Path:
        return self._folder / job / str(number)
