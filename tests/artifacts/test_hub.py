"""Models from the hub, by a server on loopback that speaks the few requests that a download makes."""

import hashlib
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.artifacts.hub import pull_model
from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed
from tests import teachers

COMMIT = "c" * 40
FILES = {
    "model_index.json": b"{}",
    "README.md": b"# words",
    **teachers.FILES,
    "safety_checker/weights.bin": b"not read by us",
}


class Hub(BaseHTTPRequestHandler):
    """One repository at one commit; others are gated, or not there."""

    protocol_version = "HTTP/1.1"
    refusals: ClassVar[dict[str, tuple[int, str]]] = {
        "someone/gated": (403, "GatedRepo"),
        "someone/nothing": (404, "RepoNotFound"),
        "someone/busy": (503, ""),
    }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Information, a listing, or a file."""
        path = self.path.partition("?")[0].strip("/")
        refusal = next((answer for name, answer in self.refusals.items() if name in path), None)
        about = {"id": "someone/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
        if refusal is not None:
            self._say(refusal[0], b"{}", {"X-Error-Code": refusal[1]} if refusal[1] else {})
        elif path in ("api/models/someone/model", f"api/models/someone/model/revision/{COMMIT}"):
            self._say(200, json.dumps(about).encode())
        elif path.startswith(f"api/models/someone/model/tree/{COMMIT}"):
            self._say(200, json.dumps([_listed(name, data) for name, data in FILES.items()]).encode())
        elif (name := path.removeprefix(f"someone/model/resolve/{COMMIT}/")) in FILES:
            tag = f'"{hashlib.sha1(FILES[name]).hexdigest()}"'
            self._say(200, FILES[name], {"ETag": tag, "X-Repo-Commit": COMMIT})
        else:
            self._say(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    do_HEAD = do_GET

    def _say(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _listed(name: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[str]:
    """The address of the hub that the environment names."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv("FASTGEN_CACHE", str(tmp_path / "cache"))
        yield endpoint
        server.shutdown()


def test_a_repository_becomes_a_model_with_the_parts_that_we_read(hub: str, tmp_path: Path) -> None:
    pull_model("someone/model", str(tmp_path / "model"))
    artifact = open_artifact(str(tmp_path / "model"), "model")
    assert {name: artifact.read(name) for name in artifact.manifest.files} == {
        name: data for name, data in FILES.items() if name not in ("README.md", "safety_checker/weights.bin")
    }
    facts = {name: artifact.manifest.facts[name] for name in ("repo", "revision", "parts")}
    parts = ["transformer", "text_encoder", "tokenizer", "vae", "codec"]
    assert facts == {"repo": "someone/model", "revision": COMMIT, "parts": parts}


def test_nothing_is_left_in_the_cache_when_a_model_is_there(hub: str, tmp_path: Path) -> None:
    pull_model("someone/model", str(tmp_path / "model"))
    assert list((tmp_path / "cache/hub").iterdir()) == []


CASES: dict[str, tuple[str, str | None, type[FastgenError], str]] = {
    "gated": ("someone/gated", None, Misdescribed, "wanted access, found a gated repository"),
    "unknown": ("someone/nothing", None, BadInput, "someone/nothing: wanted a repository, found none"),
    "no revision": ("someone/model", "v9", BadInput, "someone/model@v9: wanted the revision"),
    "no name": ("a b/c/d", None, Misdescribed, "'a b/c/d': wanted the name of a repository"),
    "busy": ("someone/busy", None, StoreFailed, "wanted a hub that answers, found: .*503"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_hub_refuses_is_one_line(hub: str, tmp_path: Path, case: str) -> None:
    repo, revision, kind, said = CASES[case]
    with pytest.raises(FastgenError, match=said) as found:
        pull_model(repo, str(tmp_path / "model"), revision)
    assert type(found.value) is kind


def test_a_repository_that_no_stage_could_read_is_refused_by_name(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FILES, "vae/diffusion_pytorch_model.safetensors")
    with pytest.raises(
        BadInput, match=r"/someone/model: .*vae: wanted diffusion_pytorch_model\.safetensors.*, found co"
    ):
        pull_model("someone/model", str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_no_network_is_one_line_that_may_pass(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StoreFailed, match=r"127\.0\.0\.1:1/someone/model: wanted a hub that answers, found: "):
        pull_model("someone/model", str(tmp_path / "model"))
