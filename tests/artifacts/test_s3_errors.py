"""What is wrong with a store or the way to it: one line, the right exit code, no second request where it is vain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Cached, FileEntry, Store, find_artifact, read, store_at
from fastgen_k8s.artifacts.s3_errors import may_pass
from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed
from tests.faults import Faults, proxy
from tests.s3_server import READER, Server

SILENT = "http://127.0.0.1:1"


@pytest.fixture
def server(s3: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, little patience, and no pod."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return s3


ENVIRONMENTS: dict[str, tuple[dict[str, str | None], type[FastgenError], str]] = {
    "another secret": (
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        Misdescribed,
        r"s3://fastgen/.*/a: wanted credentials that the store knows, found a secret key that does not fit",
    ),
    "an unknown key": (
        {"AWS_ACCESS_KEY_ID": "nobody"},
        Misdescribed,
        "wanted credentials that the store knows, found an access key that it does not",
    ),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
        Misdescribed,
        "wanted credentials for the store, found none",
    ),
    "no credentials, in a pod": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "KUBERNETES_SERVICE_HOST": "10.96.0.1"},
        StoreFailed,
        "wanted credentials for the store, found none in this pod",
    ),
    "half of them, in a pod": (
        {"AWS_SECRET_ACCESS_KEY": None, "KUBERNETES_SERVICE_HOST": "10.96.0.1"},
        Misdescribed,
        "wanted credentials for the store, found none",
    ),
    "half of them": ({"AWS_SECRET_ACCESS_KEY": None}, Misdescribed, "wanted credentials for the store, found none"),
    "no permission": (
        {"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1]},
        Misdescribed,
        r"wanted permission, found none for this identity .*\(AccessDenied\)",
    ),
    "nobody at the endpoint": (
        {"AWS_ENDPOINT_URL_S3": SILENT},
        StoreFailed,
        f'wanted a store that answers, found: .*"{SILENT}',
    ),
    "an endpoint that is none": ({"AWS_ENDPOINT_URL_S3": "nonsense"}, Misdescribed, "AWS_ENDPOINT_URL: wanted an addr"),
    "a style that is none": ({"FASTGEN_S3_ADDRESSING": "sideways"}, Misdescribed, "wanted auto, path, virtual, found"),
    "attempts that are none": ({"AWS_MAX_ATTEMPTS": "many"}, Misdescribed, "wanted a number of attempts, found 'many'"),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_what_the_environment_says_wrongly_is_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    changes, kind, said = ENVIRONMENTS[case]
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(FastgenError, match=said) as found:
        store_at(server.place()).put("a", b"")
    assert (type(found.value), "\n" in str(found.value)) == (kind, False)


ASKED: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, _: read(store, "a"),
    "find": lambda store, _: store.get("a"),
    "fetch": lambda store, _: Cached(store).fetch("a", FileEntry.of(b"x")),
    "keys": lambda store, _: store.keys(),
    "put": lambda store, _: store.put("a", b""),
    "put_new": lambda store, _: store.put_new("a", b""),
    "upload": lambda store, path: store.upload("a", path, FileEntry.of_file(path)),
    "delete": lambda store, _: store.delete("a"),
}


@pytest.mark.parametrize("how", ASKED)
def test_a_bucket_that_is_missing_is_bad_input(server: Server, how: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"s3://not-there/place.*: wanted the bucket, the store has none of that name"):
        ASKED[how](store_at("s3://not-there/place"), tmp_path / "source")


REFUSED: dict[str, tuple[type[FastgenError], str, int]] = {
    "expired": (StoreFailed, r"wanted credentials that are in force, found expired ones \(ExpiredToken\)", 1),
    "denied": (Misdescribed, "wanted permission, found none", 1),
    # The second time without checksums, which may be what such a store has not implemented.
    "broken": (Misdescribed, "wanted a store with conditional puts and multipart uploads, found one without", 2),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_is_said_once_and_not_asked_for_in_the_same_way_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    kind, said, asked = REFUSED[fault]
    faults = Faults(0, 1.0, (fault,))
    with proxy(server.endpoint, faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(kind, match=said):
            store_at(server.place()).put("a", b"")
    assert faults.met.total() == asked


@pytest.mark.parametrize("fault", ["error", "slow down", "refused", "lost answer", "truncated"])
def test_a_store_that_fails_every_time_is_given_up_after_the_attempts(
    server: Server, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    place = server.place()
    store_at(place).put("a", b"some")
    faults = Faults(0, 1.0, (fault,))
    with proxy(server.endpoint, faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreFailed, match=f"{place}/a: wanted "):
            read(store_at(place), "a")
    assert faults.met.total() == 2


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (500, "InternalError", True),
        (502, "", True),
        (503, "SlowDown", True),
        (429, "", True),
        (408, "", True),
        (400, "RequestTimeout", True),
        (400, "BadDigest", True),
        (409, "ConditionalRequestConflict", True),
        (400, "MalformedXML", False),
        (403, "AccessDenied", False),
        (404, "NoSuchKey", False),
        (412, "PreconditionFailed", False),
        (501, "NotImplemented", False),
    ],
)
def test_what_may_pass_is_asked_again_and_nothing_else(status: int, code: str, again: bool) -> None:
    assert may_pass(status, code) is again


URIS = {
    "s3://": "the bucket ''",
    "s3://ab/x": "the bucket 'ab'",
    "s3://Upper/x": "the bucket 'Upper'",
    "s3://under_score/x": "the bucket",
    "s3://a..b/x": "the bucket",
    "s3://10.0.0.1/x": "the bucket",
    "s3://" + "b" * 64: "the bucket",
    "s3://bucket/": "a '/' at the end",
    "s3://bucket/a/": "a '/' at the end",
    "s3://bucket/a//b": "an empty segment",
    "s3://bucket//a": "an empty segment",
    "s3://bucket/./a": "a segment '.' or '..'",
    "s3://bucket/a/..": "a segment '.' or '..'",
    "s3://bucket/a\nb": "a control character",
    "s3://bucket/" + "a" * 800: "a prefix of 800 bytes: at most 768",
}


@pytest.mark.parametrize("uri", URIS)
def test_a_uri_that_names_no_place_is_refused_without_a_network(uri: str) -> None:
    with pytest.raises(Misdescribed, match="wanted s3://BUCKET/PREFIX, found ") as found:
        find_artifact(uri)
    assert URIS[uri] in str(found.value)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://buc.ket-1/a", "s3://123/a/b c/ä"])
def test_a_uri_that_names_a_place_is_taken(uri: str) -> None:
    assert store_at(uri).uri == uri


def test_a_token_of_credentials_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS knows no sessions and says so: the token has gone over the wire."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    with pytest.raises(Misdescribed, match="InvalidAccessKeyId"):
        store_at(server.place()).put("a", b"")
