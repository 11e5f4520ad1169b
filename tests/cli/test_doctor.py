"""`liftout doctor` tells what is here, what would run and why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from liftout.cli import main
from liftout.engines.choice import choose
from liftout.home import write_record
from liftout.options import RunOptions


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *arguments])
        assert not ended.value.code
        return capsys.readouterr().out

    return run


def test_it_names_the_engine_that_auto_takes_and_the_reason(told: Callable[..., str]) -> None:
    chosen = choose(RunOptions())
    facts = json.loads(told("--json"))["would run"]
    assert facts["engine"] == f"{chosen.engine}: {chosen.reason}"
    assert facts["device"] == chosen.device
    assert chosen.faster is None or chosen.faster in facts["precision"]
    assert "  engine " in told()


def test_it_remembers_which_precision_agreed(told: Callable[..., str]) -> None:
    write_record("trials", "u2netp", "one", record={"engine": "openvino", "precision": "bf16", "agrees": False})
    write_record(
        "trials", "isnet-general-use", "one", record={"engine": "openvino", "precision": "bf16", "agrees": True}
    )
    write_record("trials", "u2net", "one", record={"engine": "openvino", "precision": "bf16", "photos": {}})
    facts = json.loads(told("--json"))["would run"]
    assert facts["tried with u2netp"] == "openvino bf16 does not agree, so fp32 runs"
    assert facts["tried with isnet-general-use"] == "openvino bf16 agrees"
    assert "tried with u2net" not in facts


def test_it_says_what_an_installation_would_bring() -> None:
    code = (
        "import importlib.util as u; real = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'openvino' else real(name, *a);"
        "from liftout.cli import main; main(['doctor'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert 'pip install "liftout[openvino]"' in ended.stdout
    assert "engine                onnxruntime" in ended.stdout
