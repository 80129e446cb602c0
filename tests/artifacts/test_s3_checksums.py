"""Stores that refuse the checksums of boto3: they are asked without, and a person is told once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from fastgen_k8s.artifacts import Cached, FileEntry, Store, begin, open_artifact, read, s3_client, store_at
from fastgen_k8s.artifacts.s3_checksums import are_in_doubt, may_be_refused
from fastgen_k8s.errors import Misdescribed
from tests.faults import refusing_checksums
from tests.s3_server import Server

DATA = b"some data"

ANSWERS: dict[str, tuple[int, str]] = {
    "a wrong signature": (403, "SignatureDoesNotMatch"),
    "an invalid argument": (400, "InvalidArgument"),
    "an invalid request": (400, "InvalidRequest"),
    "no length": (411, "MissingContentLength"),
    "no length, and no code": (411, ""),
    "not authorised": (401, "Unauthorized"),
    "not implemented": (501, "NotImplemented"),
    "another content": (400, "XAmzContentSHA256Mismatch"),
    "an invalid trailer": (400, "InvalidTrailer"),
    "an odd header": (400, "AuthorizationHeaderMalformed"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_store_that_refuses_checksums_is_asked_without_which_is_said_once(
    s3: Server, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    with (
        refusing_checksums(s3.endpoint, *ANSWERS[case]) as (endpoint, refused),
        structlog.testing.capture_logs() as said,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        place = s3.place()
        writer = begin(place, "pairs", "d" * 64, {})
        for name in ("a", "b", "c"):
            writer.put(name, DATA)
        writer.commit({})
        assert open_artifact(place, "pairs").read("b") == DATA
    assert sum(refused.values()) <= 2
    assert [(one["event"], one["setting"]) for one in said if one["log_level"] == "warning"] == [
        ("the store refuses boto3's checksums; going on without", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required")
    ]


def published(store: Store, folder: Path) -> None:
    """Twelve files, eight at once."""
    draft = Cached(store).draft("d")
    for number in range(12):
        (draft / f"{number}").write_bytes(DATA)
    Cached(store).publish("d", {f"{number}": FileEntry.of(DATA) for number in range(12)})
    assert [read(store, f"d/{number}") for number in range(12)] == [DATA] * 12


def uploaded(store: Store, folder: Path) -> None:
    """A file in parts."""
    (folder / "large").write_bytes(bytes(6 << 20))
    store.upload("large", folder / "large", FileEntry.of_file(folder / "large"))
    assert Cached(store).holds("large", FileEntry.of_file(folder / "large"))


def put_anew(store: Store, folder: Path) -> None:
    """The first writer wins, the second is told."""
    assert [store.put_new("new", DATA), store.put_new("new", b"other"), read(store, "new")] == [True, False, DATA]


WAYS: dict[str, Callable[[Store, Path], None]] = {"at once": published, "parts": uploaded, "new": put_anew}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_gets_through(s3: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    monkeypatch.setattr(s3_client, "PART", 5 << 20)
    monkeypatch.setenv("FASTGEN_CACHE", str(tmp_path / "cache"))
    with refusing_checksums(s3.endpoint, 400, "InvalidArgument") as (endpoint, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        WAYS[way](store_at(s3.place()), tmp_path)


def test_who_has_switched_checksums_off_is_refused_and_told_nothing(
    s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    with refusing_checksums(s3.endpoint, 400, "InvalidArgument") as (endpoint, refused):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with structlog.testing.capture_logs() as said:
            store_at(s3.place()).put("a", DATA)
    assert (said, refused.total()) == ([], 0)


def test_a_secret_that_is_wrong_is_still_said_to_be_so(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with structlog.testing.capture_logs() as said, pytest.raises(Misdescribed, match="found a secret key that does no"):
        store_at(s3.place()).put("a", DATA)
    assert said == []


@pytest.mark.parametrize(
    ("endpoint", "doubt"),
    [
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", False),
        ("https://s3.cn-north-1.amazonaws.com.cn", False),
        ("https://storage.example.com", True),
        ("https://amazonaws.com.example.com", True),
        ("http://127.0.0.1:8333", True),
    ],
)
def test_only_a_store_that_is_not_awss_is_in_doubt(
    endpoint: str, doubt: bool, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert are_in_doubt(s3_client.client()) is doubt


@pytest.mark.parametrize(
    ("operation", "status", "code", "may"),
    [
        ("PutObject", 400, "InvalidArgument", True),
        ("UploadPart", 400, "", True),
        ("CreateMultipartUpload", 501, "NotImplemented", True),
        ("GetObject", 403, "SignatureDoesNotMatch", True),
        ("HeadObject", 403, "SignatureDoesNotMatch", False),  # has no checksum
        ("PutObject", 403, "AccessDenied", False),
        ("PutObject", 400, "ExpiredToken", False),
        ("PutObject", 400, "EntityTooLarge", False),
        ("PutObject", 400, "BadDigest", False),
        ("PutObject", 404, "NoSuchBucket", False),
        ("PutObject", 412, "PreconditionFailed", False),
        ("PutObject", 500, "InternalError", False),
        ("PutObject", 503, "SlowDown", False),
    ],
)
def test_a_refusal_that_is_clear_is_not_taken_for_one_of_checksums(
    operation: str, status: int, code: str, may: bool
) -> None:
    assert may_be_refused(operation, status, code) is may
