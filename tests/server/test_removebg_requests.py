"""Requests for remove.bg's API as its users write them, in six languages: the same fields and headers, the same host.

Each program sends a photo as multipart/form-data and as base64 in JSON, and one request with a wrong key. It writes file.png and
base64.png and prints what the answers said.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.server.clients.installed import node_modules_with, python_with
from tests.server.clients.network import Network, unshare
from tests.server.clients.shop import KEY, alpha, is_cutout, network, run, shop, work
from tests.server.test_removebg_clients import REQUESTS

__all__ = ["alpha", "network", "shop", "work"]

pytestmark = pytest.mark.skipif(unshare() is None, reason="needs network and mount namespaces (unshare)")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def check(found: dict, work: Path, alpha: np.ndarray) -> None:
    """What every program must have got."""
    assert found == {
        "status": 200,
        "type": "product",
        "credits": "0",
        "width": "451",
        "wrong": 403,
        "code": "auth_failed",
    }
    for name in ("file.png", "base64.png"):
        assert is_cutout((work / name).read_bytes(), alpha)


PYTHON = """
import base64, json, sys
import requests
key, url = sys.argv[1], "https://api.remove.bg/v1.0/removebg"
photo = open("cat.jpg", "rb").read()
fields = {"size": "auto", "type": "product", "format": "png"}
file = requests.post(url, files={"image_file": open("cat.jpg", "rb")}, data=fields, headers={"X-Api-Key": key})
open("file.png", "wb").write(file.content)
encoded = requests.post(
    url, json={**fields, "image_file_b64": base64.b64encode(photo).decode()},
    headers={"X-Api-Key": key, "Accept": "application/json"})
open("base64.png", "wb").write(base64.b64decode(encoded.json()["data"]["result_b64"]))
wrong = requests.post(url, files={"image_file": photo}, headers={"X-Api-Key": "wrong"})
print(json.dumps({
    "status": file.status_code, "type": file.headers["X-Type"], "credits": file.headers["X-Credits-Charged"],
    "width": file.headers["X-Width"], "wrong": wrong.status_code, "code": wrong.json()["errors"][0]["code"]}))
"""


def test_python_requests(network: Network, work: Path, alpha: np.ndarray) -> None:
    python = python_with("removebgplus==0.1.2", "removebg==0.4", *REQUESTS, "filetype==1.2.0")
    check(run(network, [str(python)], PYTHON, work, KEY), work, alpha)


CURL = """
url=https://api.remove.bg/v1.0/removebg
curl -sf -H "X-Api-Key: $1" -F image_file=@cat.jpg -F size=auto -F type=product -F format=png -D headers -o file.png $url || exit 1
base64 -w 0 cat.jpg > encoded
curl -sf -H "X-Api-Key: $1" -F 'image_file_b64=<encoded' -F size=auto -F format=png -o base64.png $url || exit 1
wrong=$(curl -s -H "X-Api-Key: wrong" -F image_file=@cat.jpg -o error -w '%{http_code}' $url)
field() { sed -n "s/^$1: \\(.*\\)\\r/\\1/ip" headers; }
code=$(sed 's/.*"code":"\\([a-z_]*\\)".*/\\1/' error)
printf '{"status": 200, "type": "%s", "credits": "%s", "width": "%s", "wrong": %s, "code": "%s"}\\n' \\
    "$(field x-type)" "$(field x-credits-charged)" "$(field x-width)" "$wrong" "$code"
"""


@needs("curl")
def test_curl(network: Network, work: Path, alpha: np.ndarray) -> None:
    check(run(network, ["sh"], CURL, work, KEY), work, alpha)


AXIOS = """
const axios = require("axios"), FormData = require("form-data"), fs = require("fs");
const key = process.argv[2], url = "https://api.remove.bg/v1.0/removebg";
const fields = { size: "auto", type: "product", format: "png" };
const form = () => {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("image_file", fs.createReadStream("cat.jpg"), "cat.jpg");
  return data;
};
(async () => {
  const data = form();
  const file = await axios({
    method: "post", url, data, responseType: "arraybuffer", headers: { ...data.getHeaders(), "X-Api-Key": key } });
  fs.writeFileSync("file.png", file.data);
  const image_file_b64 = fs.readFileSync("cat.jpg").toString("base64");
  const encoded = await axios.post(
    url, { ...fields, image_file_b64 }, { headers: { "X-Api-Key": key, Accept: "application/json" } });
  fs.writeFileSync("base64.png", Buffer.from(encoded.data.data.result_b64, "base64"));
  const other = form();
  const wrong = await axios.post(url, other, { headers: { ...other.getHeaders(), "X-Api-Key": "wrong" } }).catch((e) => e.response);
  console.log(JSON.stringify({
    status: file.status, type: file.headers["x-type"], credits: file.headers["x-credits-charged"],
    width: file.headers["x-width"], wrong: wrong.status, code: wrong.data.errors[0].code }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.long
@needs("node")
def test_node_axios_with_form_data(network: Network, work: Path, alpha: np.ndarray) -> None:
    modules = node_modules_with("axios@1.13.2", "form-data@4.0.5") / "node_modules"
    check(run(network, ["node"], AXIOS, work, KEY, NODE_PATH=str(modules)), work, alpha)


PHP = """<?php
require "GuzzleHttp/autoload.php";
$key = $argv[1];
$client = new GuzzleHttp\\Client(["base_uri" => "https://api.remove.bg/v1.0/", "http_errors" => false]);
$fields = ["size" => "auto", "type" => "product", "format" => "png"];
$send = function ($key) use ($client, $fields) {
    $parts = [["name" => "image_file", "contents" => fopen("cat.jpg", "r")]];
    foreach ($fields as $name => $value) $parts[] = ["name" => $name, "contents" => $value];
    return $client->post("removebg", ["multipart" => $parts, "headers" => ["X-Api-Key" => $key]]);
};
$file = $send($key);
file_put_contents("file.png", $file->getBody());
$encoded = $client->post("removebg", [
    "json" => $fields + ["image_file_b64" => base64_encode(file_get_contents("cat.jpg"))],
    "headers" => ["X-Api-Key" => $key, "Accept" => "application/json"]]);
file_put_contents("base64.png", base64_decode(json_decode($encoded->getBody(), true)["data"]["result_b64"]));
$wrong = $send("wrong");
echo json_encode([
    "status" => $file->getStatusCode(), "type" => $file->getHeaderLine("X-Type"),
    "credits" => $file->getHeaderLine("X-Credits-Charged"), "width" => $file->getHeaderLine("X-Width"),
    "wrong" => $wrong->getStatusCode(), "code" => json_decode($wrong->getBody(), true)["errors"][0]["code"]]), "\\n";
"""


@pytest.mark.long
@needs("php")
@pytest.mark.skipif(
    not Path("/usr/share/php/GuzzleHttp/autoload.php").exists(), reason="needs Debian's php-guzzlehttp-guzzle"
)
def test_php_guzzle(network: Network, work: Path, alpha: np.ndarray) -> None:
    trust = [f"-d{name}={network.authority}" for name in ("curl.cainfo", "openssl.cafile")]
    check(run(network, ["php", *trust], PHP, work, KEY), work, alpha)


RUBY = """
require "net/http"
require "json"
require "base64"
uri, key = URI("https://api.remove.bg/v1.0/removebg"), ARGV[0]
fields = { "size" => "auto", "type" => "product", "format" => "png" }
send_file = lambda do |key|
  request = Net::HTTP::Post.new(uri, "X-Api-Key" => key)
  request.set_form([["image_file", File.open("cat.jpg", "rb")], *fields.to_a], "multipart/form-data")
  Net::HTTP.start(uri.host, uri.port, use_ssl: true) { |http| http.request(request) }
end
file = send_file.call(key)
File.binwrite("file.png", file.body)
body = JSON.generate(fields.merge("image_file_b64" => Base64.strict_encode64(File.binread("cat.jpg"))))
headers = { "X-Api-Key" => key, "Accept" => "application/json", "Content-Type" => "application/json" }
encoded = Net::HTTP.post(uri, body, headers)
File.binwrite("base64.png", Base64.decode64(JSON.parse(encoded.body)["data"]["result_b64"]))
wrong = send_file.call("wrong")
puts JSON.generate(
  status: file.code.to_i, type: file["X-Type"], credits: file["X-Credits-Charged"], width: file["X-Width"],
  wrong: wrong.code.to_i, code: JSON.parse(wrong.body)["errors"][0]["code"])
"""


@pytest.mark.long
@needs("ruby")
def test_ruby(network: Network, work: Path, alpha: np.ndarray) -> None:
    check(run(network, ["ruby"], RUBY, work, KEY), work, alpha)


JAVA = """
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.util.*;
import java.util.regex.*;

public class Client {
    static final URI API = URI.create("https://api.remove.bg/v1.0/removebg");
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static HttpResponse<byte[]> send(String key, String type, byte[] body, String... accept) throws Exception {
        var request = HttpRequest.newBuilder(API).header("X-Api-Key", key).header("Content-Type", type)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        for (String kind : accept) request.header("Accept", kind);
        return CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
    }

    static byte[] form(byte[] photo) throws Exception {
        var body = new ByteArrayOutputStream();
        for (var field : Map.of("size", "auto", "type", "product", "format", "png").entrySet())
            body.write(("--limit\\r\\nContent-Disposition: form-data; name=\\"" + field.getKey() + "\\"\\r\\n\\r\\n" + field.getValue()
                + "\\r\\n").getBytes());
        body.write("--limit\\r\\nContent-Disposition: form-data; name=\\"image_file\\"; filename=\\"cat.jpg\\"\\r\\n\\r\\n".getBytes());
        body.write(photo);
        body.write("\\r\\n--limit--\\r\\n".getBytes());
        return body.toByteArray();
    }

    static String find(String pattern, byte[] text) {
        Matcher match = Pattern.compile(pattern).matcher(new String(text));
        match.find();
        return match.group(1);
    }

    public static void main(String[] arguments) throws Exception {
        byte[] photo = Files.readAllBytes(Path.of("cat.jpg"));
        String key = arguments[0], multipart = "multipart/form-data; boundary=limit";
        var file = send(key, multipart, form(photo));
        Files.write(Path.of("file.png"), file.body());
        String json = "{\\"size\\": \\"auto\\", \\"format\\": \\"png\\", \\"image_file_b64\\": \\""
            + Base64.getEncoder().encodeToString(photo) + "\\"}";
        var encoded = send(key, "application/json", json.getBytes(), "application/json");
        Files.write(Path.of("base64.png"), Base64.getDecoder().decode(find("\\"result_b64\\":\\"([^\\"]*)\\"", encoded.body())));
        var wrong = send("wrong", multipart, form(photo));
        System.out.printf("{\\"status\\": %d, \\"type\\": \\"%s\\", \\"credits\\": \\"%s\\", \\"width\\": \\"%s\\", \\"wrong\\": %d, \\"code\\": \\"%s\\"}%n",
            file.statusCode(), file.headers().firstValue("X-Type").get(), file.headers().firstValue("X-Credits-Charged").get(),
            file.headers().firstValue("X-Width").get(), wrong.statusCode(), find("\\"code\\":\\"([a-z_]*)\\"", wrong.body()));
    }
}
"""


@pytest.mark.long
@needs("javac")
def test_java(network: Network, work: Path, alpha: np.ndarray) -> None:
    store = work / "trust.p12"
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-file", str(network.authority), "-keystore", str(store), "-storepass", "changeit"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    trust = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    check(run(network, ["java", *trust], JAVA, work, KEY), work, alpha)
