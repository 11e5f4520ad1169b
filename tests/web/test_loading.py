"""Getting a model into the browser: blocks, hashes, what is kept, and what a person is told when it fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from conftest import BLOCK_BYTES, Visit
from hosting import Host, corrupt, hosting, missing, once, slow, web_page

from liftout.models.purposes import purposes

LOAD = """
  const lifter = await Lifter.load(argument.model, argument.options ?? {});
  const { model, engine, warnings } = lifter;
  lifter.close();
  return { model, engine, warnings };
"""


def load(visit: Visit, model: object, **options: Any) -> Any:
    return visit.run(LOAD, {"model": model, "options": options})


def weight_requests(host: Host) -> dict[str, int]:
    return {path: count for path, count in host.requests.items() if "weights.bin" in path}


def blocks_of(public: Path) -> int:
    manifest = json.loads((public / "packs" / "blocks" / "manifest.json").read_text())
    return len(next(item["blocks"] for item in manifest["files"] if item["path"] == "weights.bin"))


def test_a_pack_of_many_blocks_loads_and_says_what_runs_it(
    visit: Callable[..., Visit], public: Path, host: Host
) -> None:
    assert blocks_of(public) > 8
    result = visit().run(
        """
        const seen = [];
        const lifter = await liftout.Lifter.load("blocks", { onProgress: (progress) => seen.push(progress) });
        return { seen, engine: lifter.engine, peak: lifter.peakBytes, cores: navigator.hardwareConcurrency };
        """
    )
    assert result["engine"]["name"] == "wasm"
    assert result["engine"]["threads"] == min(8, result["cores"])
    assert "WebGPU" in result["engine"]["reason"]
    assert result["peak"] == 60 * 2**20
    downloads = [item for item in result["seen"] if item["phase"] == "download"]
    assert downloads[-1]["loaded"] == downloads[-1]["total"] > 8 * BLOCK_BYTES
    assert downloads[-1]["secondsLeft"] == 0
    assert all(item["loaded"] <= item["total"] for item in result["seen"])
    assert weight_requests(host) == {f"/packs/blocks/weights.bin.{i:03d}": 1 for i in range(blocks_of(public))}


def test_a_second_visit_fetches_nothing_but_the_manifest(visit: Callable[..., Visit], host: Host) -> None:
    load(visit(), "blocks")
    host.requests.clear()
    assert "error" not in load(visit(), "blocks")
    heavy = [path for path in host.requests if path.endswith((".wasm", ".onnx")) or "weights" in path]
    assert not [path for path in heavy if "/graphs/" not in path]


def test_a_second_visit_works_without_the_host(visit: Callable[..., Visit], host: Host) -> None:
    page = visit()
    assert "error" not in load(page, "blocks")
    host.faults[".json"] = host.faults[".onnx"] = host.faults[".wasm"] = host.faults[".000"] = breaking
    assert load(page, "blocks")["model"]["name"] == "blocks"


def breaking(handler: Any) -> bool:
    """Hang up without an answer."""
    handler.close_connection = True
    return True


def test_a_download_goes_on_after_a_reload(visit: Callable[..., Visit], host: Host, public: Path) -> None:
    host.faults["weights.bin.006"] = slow(60)
    page = visit()
    page.page.evaluate(
        """async () => {
          const { Lifter } = await import("/liftout.js");
          Lifter.load("blocks", { onProgress: ({ loaded }) => (window.loaded = loaded) }).catch(() => {});
        }"""
    )
    waiting = time.monotonic() + 60
    while len(weight_requests(host)) < blocks_of(public) and time.monotonic() < waiting:
        page.page.wait_for_timeout(50)
    page.page.wait_for_timeout(500)
    host.faults.clear()
    host.requests.clear()
    page.page.reload()
    assert load(page, "blocks")["model"]["name"] == "blocks"
    assert weight_requests(host) == {"/packs/blocks/weights.bin.006": 1}


def test_two_tabs_fetch_each_block_once(visit: Callable[..., Visit], host: Host, public: Path) -> None:
    tabs = [visit(), visit()]
    start = """async () => {
      const { Lifter } = await import("/liftout.js");
      window.result = Lifter.load("blocks").then((lifter) => lifter.model.name, (error) => error.message);
    }"""
    for tab in tabs:
        tab.page.evaluate(start)
    assert [tab.page.evaluate("() => window.result") for tab in tabs] == ["blocks", "blocks"]
    assert weight_requests(host) == {f"/packs/blocks/weights.bin.{i:03d}": 1 for i in range(blocks_of(public))}


def test_a_page_closed_in_mid_download_leaves_nothing_corrupt(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.003"] = slow(60)
    page = visit()
    page.page.evaluate(
        """async () => { const { Lifter } = await import("/liftout.js"); Lifter.load("blocks").catch(() => {}); }"""
    )
    page.page.wait_for_timeout(1500)
    page.page.close()
    host.faults.clear()
    assert load(visit(), "blocks")["model"]["name"] == "blocks"


def test_a_block_that_arrives_damaged_is_fetched_again(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.002"] = once(corrupt)
    assert load(visit(), "blocks")["model"]["name"] == "blocks"
    assert weight_requests(host)["/packs/blocks/weights.bin.002"] == 2


def test_a_block_that_stays_damaged_is_an_error_that_names_it(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.002"] = corrupt
    result = load(visit(), "blocks")
    assert result["error"] == "ModelFileCorrupt"
    assert "weights.bin.002" in result["message"]
    assert "sha256" in result["message"]


def test_a_kept_block_that_was_damaged_is_fetched_again(visit: Callable[..., Visit], host: Host) -> None:
    page = visit()
    load(page, "blocks")
    host.requests.clear()
    page.page.evaluate(
        """async () => {
          const cache = await caches.open("liftout-1");
          const weights = [];
          for (const request of await cache.keys()) {
            const bytes = new Uint8Array(await (await cache.match(request)).arrayBuffer());
            if (request.url.includes("/block/") && bytes.length === 65536) weights.push([request, bytes]);
          }
          const [request, bytes] = weights[0];
          bytes[100] ^= 1;
          await cache.put(request, new Response(bytes));
        }"""
    )
    assert load(page, "blocks")["model"]["name"] == "blocks"
    assert sum(weight_requests(host).values()) == 1


def test_a_missing_block_is_an_error_that_names_it(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.004"] = missing
    host.faults["weights.bin"] = missing
    result = load(visit(), "blocks")
    assert result["error"] == "ModelMissing"
    assert "weights.bin answered 404" in result["message"]


def test_a_pack_copied_as_it_is_loads_too(visit: Callable[..., Visit], host: Host, public: Path, home: Path) -> None:
    for index in range(blocks_of(public)):
        host.faults[f"weights.bin.{index:03d}"] = missing
    whole = public / "packs" / "blocks" / "weights.bin"
    whole.write_bytes((home / "packs" / "blocks" / "weights.bin").read_bytes())
    try:
        assert load(visit(), "blocks")["model"]["name"] == "blocks"
    finally:
        whole.unlink()


def test_a_web_page_instead_of_a_model_is_told_as_such(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["network.onnx"] = web_page
    result = load(visit(), "opaque")
    assert result["error"] == "ModelMissing"
    assert "is a web page, not a model" in result["message"]


def test_a_name_without_a_pack_says_how_to_write_one(visit: Callable[..., Visit]) -> None:
    result = load(visit(), "nothing")
    assert result["error"] == "ModelMissing"
    assert "liftout site DIR --models nothing" in result["message"]


def test_a_host_that_goes_away_in_mid_download_is_told(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.001"] = slow(60)
    page = visit()
    page.page.evaluate(
        """async () => {
          const { Lifter } = await import("/liftout.js");
          window.result = Lifter.load("blocks").then(() => ["loaded"], (error) => [error.name, error.message]);
        }"""
    )
    while not host.requests["/packs/blocks/weights.bin.001"]:
        page.page.wait_for_timeout(50)
    host.stop()
    name, message = page.page.evaluate("() => window.result")
    assert name == "ModelMissing"
    assert "does not answer, or the connection broke" in message


def test_offline_is_told(visit: Callable[..., Visit]) -> None:
    page = visit()
    page.run('await import("/liftout.js"); return 0')
    assert load(page, "opaque")["model"]["name"] == "opaque"
    page.page.context.set_offline(True)
    result = load(page, "blocks")
    assert result["error"] == "ModelMissing"
    assert "offline" in result["message"]


def test_a_host_that_forbids_other_sites_is_told(visit: Callable[..., Visit], public: Path) -> None:
    with hosting(public, Cross_Origin_Resource_Policy="cross-origin") as other:
        result = load(visit(), "opaque", packs=f"{other.address}packs/")
    assert result["error"] == "ModelMissing"
    assert "Access-Control-Allow-Origin" in result["message"]


def test_packs_of_another_host_that_allows_it_load(visit: Callable[..., Visit], public: Path) -> None:
    with hosting(public, Access_Control_Allow_Origin="*") as other:
        assert load(visit(), "opaque", packs=f"{other.address}packs/")["model"]["name"] == "opaque"


def test_the_whole_module_may_stand_on_another_host(visit: Callable[..., Visit], public: Path) -> None:
    headers = {"Access_Control_Allow_Origin": "*", "Cross_Origin_Resource_Policy": "cross-origin"}
    with hosting(public, **headers) as other:
        result = visit().run(
            """
            const { Lifter: Foreign } = await import(argument + "liftout.js");
            const result = [];
            const create = URL.createObjectURL, revoke = URL.revokeObjectURL;
            URL.createObjectURL = (blob) => (result.push(create(blob)), result.at(-1));
            URL.revokeObjectURL = (url) => { result.splice(result.indexOf(url), 1); revoke(url); };
            const lifter = await Foreign.load("opaque");
            const { width } = await lifter.cut(new ImageData(9, 9));
            return { width, leaked: result.length };
            """,
            other.address,
        )
    assert result == {"width": 9, "leaked": 0}


def test_a_full_storage_is_a_warning_and_the_model_works(visit: Callable[..., Visit], host: Host) -> None:
    page = visit()
    client = page.page.context.new_cdp_session(page.page)
    client.send("Storage.overrideQuotaForOrigin", {"origin": host.address.rstrip("/"), "quotaSize": 100_000})
    result = page.run(
        """
        const heard = [];
        const lifter = await Lifter.load("blocks", { onWarning: (text) => heard.push(text) });
        const { width } = await lifter.cut(new ImageData(20, 10));
        return { heard, width, warnings: lifter.warnings };
        """
    )
    assert result["width"] == 20
    assert result["heard"] == result["warnings"]
    assert any("could not store the model" in text and "storage is full" in text for text in result["heard"])


def test_a_model_that_is_evicted_is_fetched_again(visit: Callable[..., Visit], host: Host) -> None:
    page = visit()
    load(page, "blocks")
    load(page, "opaque")
    assert any("blocks/manifest.json" in file for file in page.run("return (await Lifter.kept()).files"))
    page.run('await Lifter.evict("blocks")')
    host.requests.clear()
    load(page, "opaque")
    assert not host.requests["/packs/opaque/network.onnx"]
    load(page, "blocks")
    assert sum(weight_requests(host).values()) > 8
    page.run("await Lifter.evict()")
    assert page.run("return (await Lifter.kept()).files") == []


def test_a_licence_that_forbids_commerce_asks_for_consent(visit: Callable[..., Visit], host: Host) -> None:
    page = visit()
    result = load(page, "paid")
    assert result["error"] == "LicenseNotAccepted"
    assert "CC-BY-NC-4.0" in result["message"]
    assert not host.requests["/packs/paid/network.onnx"]
    assert load(page, "paid", acceptLicense=True)["model"]["license"]["commercial"] is False


def test_a_model_of_unknown_licence_asks_and_one_that_the_user_added_does_not(visit: Callable[..., Visit]) -> None:
    page = visit()
    result = load(page, "unlicensed")
    assert result["error"] == "LicenseNotAccepted"
    assert result["message"].startswith("unlicensed: licence unknown; its authors do not say whether")
    assert load(page, "unlicensed", acceptLicense=True)["model"]["name"] == "unlicensed"
    own = {"onnx": "packs/unlicensed/network.onnx", "like": {"name": "own", "input": {"size": [64, 64]}}}
    assert load(page, own)["model"]["name"] == "own"


def list_only(public: Path, rows: list[dict[str, Any]]) -> None:
    """Let the site's list of packs hold these."""
    (public / "packs" / "index.json").write_text(json.dumps(rows), encoding="utf-8")


def test_a_name_by_purpose_loads_the_best_model_for_it_that_is_here(visit: Callable[..., Visit], public: Path) -> None:
    """Packs of the tests stand for models of the list of `people`; what asks for consent counts once that was given."""
    index = public / "packs" / "index.json"
    held = index.read_text(encoding="utf-8")
    rows = {row["name"]: row for row in json.loads(held)}
    order = [*purposes()["people"].models, "pocket"]
    best = {**rows["paid"], "model": order[0]}
    second = {**rows["opaque"], "model": order[1]}
    last = {**rows["blocks"], "model": "pocket"}
    page = visit()
    try:
        list_only(public, [last, second, best])
        assert load(page, "people")["model"]["name"] == "opaque"
        assert load(page, "people", acceptLicense=True)["model"]["name"] == "paid"
        list_only(public, [{**second, "peak_bytes": 9 * 2**30}, last])
        assert load(page, "people")["model"]["name"] == "blocks", "the better one cannot fit into memory"
        list_only(public, [last])
        assert load(page, "people")["model"]["name"] == "blocks"
        list_only(public, [best])
        result = load(page, "people")
        assert result["error"] == "ModelMissing"
        assert "liftout site DIR --models pocket" in result["message"]
    finally:
        index.write_text(held, encoding="utf-8")


def test_a_graph_that_ends_in_half_precision_gives_the_same_alpha(
    visit: Callable[..., Visit], public: Path, home: Path
) -> None:
    model = onnx.load(home / "packs" / "blocks" / "network.onnx")
    last = next(node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    name, last.output[0] = last.output[0], "in_single"
    model.graph.node.append(onnx.helper.make_node("Cast", ["in_single"], [name], to=onnx.TensorProto.FLOAT16))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, public / "half.onnx", save_as_external_data=False)
    entry = json.loads((public / "packs" / "blocks" / "manifest.json").read_text())["model"]
    cut = """
      const picture = new OffscreenCanvas(90, 70);
      const context = picture.getContext("2d");
      const gradient = context.createLinearGradient(0, 0, 90, 70);
      gradient.addColorStop(0, "red");
      gradient.addColorStop(1, "white");
      context.fillStyle = gradient;
      context.fillRect(0, 0, 90, 70);
      const lifter = await Lifter.load(argument);
      const { alpha } = await lifter.cut(await picture.convertToBlob());
      lifter.close();
      return Array.from(alpha.data ?? alpha);
    """
    page = visit()
    whole = page.run(cut, "blocks")
    half = page.run(cut, {"onnx": "half.onnx", "like": entry})
    assert len(set(whole)) > 10
    assert max(abs(a - b) for a, b in zip(whole, half, strict=True)) <= 1


def test_a_model_that_cannot_fit_is_refused_before_it_is_fetched(visit: Callable[..., Visit], host: Host) -> None:
    result = load(visit(), "giant")
    assert result["error"] == "OutOfMemory"
    assert "9216 MB" in result["message"]
    assert "choose greedy" in result["message"], "the largest that is smaller"
    assert not host.requests["/packs/giant/network.onnx"]


def test_a_small_device_warns_or_refuses_by_the_estimate(browser: Any, host: Host, tmp_path: Path) -> None:
    context = browser.new_context()
    page = Visit(context.new_page(), host.address)
    client = context.new_cdp_session(page.page)
    # the worker's own navigator cannot be reached from here, so the worker is served with another value
    worker = (host.folder / "liftout-worker.js").read_text()

    def with_memory(gibibytes: str) -> Callable[[Any], bool]:
        def answer(handler: Any) -> bool:
            line = f"Object.defineProperty(navigator, 'deviceMemory', {{ value: {gibibytes} }});\n"
            body = (line + worker).encode()
            handler.send_response(200)
            handler.send_header("Content-Type", "text/javascript")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return True

        return answer

    host.faults["liftout-worker.js"] = with_memory("0.5")
    refused = load(page, "greedy")
    assert (refused["error"], "about 512 MB" in refused["message"]) == ("OutOfMemory", True)
    assert load(page, "greedy", checkMemory=False)["model"]["name"] == "greedy"
    host.faults["liftout-worker.js"] = with_memory("1")
    assert "needs 900 MB of memory, and this device has about 1024 MB" in load(page, "greedy")["warnings"][0]
    client.detach()
    context.close()


def test_a_page_that_is_not_isolated_gets_one_thread_and_the_reason(visit: Callable[..., Visit], public: Path) -> None:
    with hosting(public, isolated=False) as plain:
        engine = load(visit(plain.address), "opaque")["engine"]
    assert engine["threads"] == 1
    assert "not cross-origin isolated" in engine["reason"]


def test_a_page_that_is_not_secure_works_and_keeps_nothing(visit: Callable[..., Visit], host: Host) -> None:
    page = visit(f"http://plain.test:{host.port}/")
    assert page.page.evaluate("() => [isSecureContext, typeof caches]") == [False, "undefined"]
    assert load(page, "blocks")["engine"]["threads"] == 1
    host.requests.clear()
    load(page, "blocks")
    assert sum(weight_requests(host).values()) > 8


def test_sha256_is_checked_where_the_browser_does_not_help(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.002"] = corrupt
    assert load(visit(f"http://plain.test:{host.port}/"), "blocks")["error"] == "ModelFileCorrupt"


def test_a_plain_onnx_file_is_kept_as_long_as_its_version_stays(
    visit: Callable[..., Visit], host: Host, public: Path, home: Path
) -> None:
    path = public / "plain.onnx"
    path.write_bytes((home / "packs" / "opaque" / "network.onnx").read_bytes())
    entry = {"name": "mine", "input": {"size": [64, 64]}, "license": {"commercial": True}}
    page = visit()
    for gets in (1, 1):
        assert load(page, {"onnx": "plain.onnx", "like": entry})["model"]["name"] == "mine"
        assert host.requests["/plain.onnx"] == gets
    path.write_bytes((home / "packs" / "greedy" / "network.onnx").read_bytes())
    assert load(page, {"onnx": "plain.onnx", "like": entry})["model"]["name"] == "mine"
    assert host.requests["/plain.onnx"] == 2
    host.faults["plain.onnx"] = breaking
    assert load(page, {"onnx": "plain.onnx", "like": entry})["model"]["name"] == "mine"


def test_an_onnx_file_that_is_not_like_its_entry_is_refused(
    visit: Callable[..., Visit], home: Path, public: Path
) -> None:
    (public / "other.onnx").write_bytes((home / "packs" / "opaque" / "network.onnx").read_bytes())
    result = load(visit(), {"onnx": "/other.onnx", "like": "u2netp"})
    assert result["error"] == "NetworkRejected"
    assert "[1,3,64,64], not float32 [1,3,320,320]" in result["message"]


def test_a_name_that_no_entry_has_lists_those_there_are(visit: Callable[..., Visit]) -> None:
    result = load(visit(), {"onnx": "/u2netp.onnx", "like": "u3net"})
    assert result["error"] == "UsageError"
    assert "u2netp" in result["message"]


def test_a_module_without_its_worker_says_what_to_copy(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["liftout-worker.js"] = missing
    result = load(visit(), "opaque")
    assert "liftout-worker.js" in result["message"]
    assert "copy all files" in result["message"]
