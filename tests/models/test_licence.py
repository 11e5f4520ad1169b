"""A licence that restricts use is accepted once, by name, and remembered."""

from __future__ import annotations

import pytest

from liftout import Remover
from liftout.errors import LicenseNotAccepted
from liftout.models.catalog import find
from liftout.models.licence import consent
from liftout.remedies import AcceptLicense

RESTRICTED = ("rmbg-1.4", "rmbg-2.0")


@pytest.mark.parametrize("name", ["pocket", "u2netp", "birefnet-general", "u2net_cloth_seg"])
def test_free_models_ask_for_nothing(name, own_home):
    consent(find(name))
    assert not own_home.exists()


@pytest.mark.parametrize("name", RESTRICTED)
def test_others_name_the_licence_its_address_and_the_option(name):
    spec = find(name)
    with pytest.raises(LicenseNotAccepted) as raised:
        consent(spec)
    message = str(raised.value)
    assert spec.license.weights in message
    assert "https://huggingface.co/briaai/RMBG-" in message
    assert "accept_license=True" in message
    assert raised.value.remedy == AcceptLicense(name)
    assert "\n" not in message


def test_a_model_of_unknown_licence_asks_once_and_says_so(own_home):
    with pytest.raises(LicenseNotAccepted, match=r"^silueta: licence unknown; ") as raised:
        Remover("silueta")
    assert raised.value.remedy == AcceptLicense("silueta")
    consent(find("silueta"), accept=True)
    consent(find("silueta"))


@pytest.mark.parametrize("like", ["u2netp", "rmbg-1.4"])
def test_models_that_the_user_added_ask_for_nothing(like, own_home, tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text('[mine]\narchitecture = "onnx"\ninput = { size = [64, 64] }\n')
    monkeypatch.setenv("LIFTOUT_CATALOG", str(tmp_path))
    consent(find("mine"))
    # as `models add` of 0.1.0 wrote it
    entry = own_home / "catalog" / "older.toml"
    entry.parent.mkdir(parents=True)
    entry.write_text(f'[older]\nlike = "{like}"\nsummary = "Added by you: file.onnx, like {like}"\n')
    consent(find("older"))
    assert find("older").added and not find(like).added


def test_consent_is_remembered_for_this_model_alone():
    consent(find("rmbg-1.4"), accept=True)
    consent(find("rmbg-1.4"))
    with pytest.raises(LicenseNotAccepted):
        consent(find("rmbg-2.0"))


def test_consent_ends_where_the_licence_changes(tmp_path, monkeypatch):
    consent(find("rmbg-1.4"), accept=True)
    (tmp_path / "newer.toml").write_text('["rmbg-1.4".license]\nweights = "bria-rmbg-1.4-revised"\n')
    monkeypatch.setenv("LIFTOUT_CATALOG", str(tmp_path))
    with pytest.raises(LicenseNotAccepted, match="revised"):
        consent(find("rmbg-1.4"))


@pytest.mark.parametrize("value", ["rmbg-1.4", "other, RMBG-1.4", "bria-rmbg-1.4"])
def test_the_environment_accepts_models_and_licences(value, monkeypatch):
    monkeypatch.setenv("LIFTOUT_ACCEPT_LICENSE", value)
    consent(find("rmbg-1.4"))
    with pytest.raises(LicenseNotAccepted):
        consent(find("rmbg-2.0"))


def test_a_remover_asks_too():
    with pytest.raises(LicenseNotAccepted, match=r"rmbg-1\.4: .*accept_license"):
        Remover("rmbg-1.4")
