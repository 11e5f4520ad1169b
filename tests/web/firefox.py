"""A real Firefox by WebDriver BiDi, which it speaks without a driver: https://w3c.github.io/webdriver-bidi/."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def dragged(start: tuple[float, float], end: tuple[float, float]) -> dict[str, Any]:
    """A mouse that is pressed at one point of the window and let go at another, as WebDriver and WebDriver BiDi both describe it."""
    actions = [
        {"type": "pointerMove", "x": round(start[0]), "y": round(start[1])},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "x": round(end[0]), "y": round(end[1]), "duration": 200},
        {"type": "pointerUp", "button": 0},
    ]
    return {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}


class Firefox:
    """One tab. `errors` holds what pages and their workers reported."""

    def __init__(self, address: str) -> None:
        self.errors: list[str] = []
        self._loop = (
            asyncio.new_event_loop()
        )  # in a thread of its own: beside Playwright's no other may run in this one
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._last_id = 0
        self._run(self._connect(address))

    def open(self, address: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._command("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def run(self, body: str) -> Any:
        """Evaluate the body of an async function; its result travels as JSON."""
        expression = f"(async () => JSON.stringify(await (async () => {{{body}}})() ?? null))()"
        found = self._command(
            "script.evaluate", expression=expression, target={"context": self._tab}, awaitPromise=True
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one point of the window, and let it go at another."""
        self._command("input.performActions", context=self._tab, actions=[dragged(start, end)])

    def close(self) -> None:
        """End the connection."""
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, address: str) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(f"{address}/session", max_msg_size=0)
        await self._ask("session.new", {"capabilities": {}})
        await self._ask("session.subscribe", {"events": ["log.entryAdded"]})
        self._tab = (await self._ask("browsingContext.getTree", {}))["contexts"][0]["context"]

    def _command(self, method: str, **params: Any) -> Any:
        return self._run(self._ask(method, params))

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        self._last_id += 1
        await self._socket.send_json({"id": self._last_id, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=200)
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.errors.append(str(answer["params"]["text"]))
            elif answer.get("id") == self._last_id:
                assert answer["type"] == "success", answer
                return answer["result"]


@contextmanager
def firefox(path: str, profile: Path) -> Iterator[Firefox]:
    """Start Firefox without a window, with a profile of its own."""
    command = [
        path,
        "--headless",
        "--no-remote",
        "--profile",
        str(profile),
        "--remote-debugging-port",
        "0",
        "about:blank",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = next(
            found[1] for line in process.stderr if (found := re.search(r"BiDi listening on (ws://\S+)", line))
        )
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # else it waits for one
        reader.start()
        visit = Firefox(address)
        try:
            yield visit
        finally:
            visit.close()
            process.terminate()
            reader.join()
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()
