"""A real WebKit, the engine of Safari: Debian's WebKitGTK by its WebDriver, on a display that nobody sees.

https://www.w3.org/TR/webdriver2/
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from firefox import dragged

PROGRAMS = {"WebKitWebDriver": "webkit2gtk-driver", "Xvfb": "xvfb"}
"""What is needed, and Debian's package of it."""

SECONDS = 300
"""Until a script or a page must have ended; the processor is shared with other tests."""


def missing() -> str | None:
    """What to install before WebKit can run."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return f"needs WebKitGTK: apt-get install {' '.join(packages)}" if packages else None


class WebKit:
    """One window."""

    def __init__(self, address: str) -> None:
        self._driver = httpx.Client(base_url=address, timeout=SECONDS + 30)
        made = self._ask("POST", "/session", {"capabilities": {}})
        self._session = f"/session/{made['sessionId']}"
        self.version = f"{made['capabilities']['browserName']} {made['capabilities']['browserVersion']}"
        self._command("timeouts", script=1000 * SECONDS, pageLoad=1000 * SECONDS)

    def open(self, address: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._command("url", url=address)

    def run(self, body: str) -> Any:
        """Evaluate the body of an async function; its result travels as JSON."""
        script = f"""
          const [tell] = arguments;
          (async () => {{{body}}})().then(
            (result) => tell(JSON.stringify({{ result: result ?? null }})),
            (error) => tell(JSON.stringify({{ error: `${{error.name}}: ${{error.message}}` }})));
        """
        answer = json.loads(self._command("execute/async", script=script, args=[]))
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one point of the window, and let it go at another."""
        self._command("actions", actions=[dragged(start, end)])

    def close(self) -> None:
        """End the browser."""
        self._ask("DELETE", self._session)
        self._driver.close()

    def _command(self, name: str, **given: Any) -> Any:
        return self._ask("POST", f"{self._session}/{name}", given)

    def _ask(self, method: str, path: str, given: Any = None) -> Any:
        answer = self._driver.request(method, path, json=given)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def webkit(home: Path, **environment: str) -> Iterator[WebKit]:
    """Start WebKit with a home folder of its own. environment: more variables, such as limits of its script engine (`JSC_...`)."""
    with ExitStack() as stack:
        display = _display(stack)
        given = {
            "DISPLAY": display,
            "GDK_BACKEND": "x11",
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "NO_AT_BRIDGE": "1",
            **environment,
        }
        log = stack.enter_context((home / "webkit.log").open("wb"))
        port = _free_port()
        driver = subprocess.Popen(
            ["WebKitWebDriver", f"--port={port}"], env={**os.environ, **given}, stdout=log, stderr=log
        )
        stack.callback(_end, driver)
        _wait(port)
        visit = WebKit(f"http://127.0.0.1:{port}")
        stack.callback(visit.close)
        yield visit


def _display(stack: ExitStack) -> str:
    """A display of Xvfb, which tells its number when it is ready."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    stack.callback(_end, server)
    os.close(writing)
    with os.fdopen(reading) as told:
        return f":{told.readline().strip()}"


def _free_port() -> int:
    """The driver does not tell which one it takes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    """Until the driver listens."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("WebKitWebDriver does not listen")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)
