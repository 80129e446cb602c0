# pyright: basic
"""Stores that refuse the checksums which boto3 (from 1.36 on) adds to requests: they are asked again without.

What such a store says is seldom true (a wrong secret, no such function, a missing length), and another may mean it. So
the refused request decides: only when it succeeds without checksums are they left out from then on, which is said once.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from fastgen_k8s import log
from fastgen_k8s.artifacts.s3_errors import answer, is_explained

SETTING = "AWS_REQUEST_CHECKSUM_CALCULATION"
_OPERATIONS = frozenset(
    {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject"}
)  # that have a header about checksums
_STATUSES = frozenset({401, 411, 501})
_CODES = frozenset(
    {"SignatureDoesNotMatch", "NotImplemented", "AuthorizationHeaderMalformed", "XAmzContentSHA256Mismatch"}
)
_tried, _proved = set[str](), set[str]()  # addresses of stores that are asked without checksums; that have to be
T = TypeVar("T")


def may_be_refused(operation: str, status: int, code: str) -> bool:
    """Whether a refusal may be one of checksums: of a request that has some, and not clearly for another reason."""
    unclear = status in _STATUSES or code in _CODES or (status == 400 and not is_explained(code))
    return operation in _OPERATIONS and unclear


def are_left_out(endpoint: str) -> bool:
    """Whether a store is asked without checksums."""
    return endpoint in _tried


def left_out() -> frozenset[str]:
    """The stores that are asked without checksums."""
    return frozenset(_tried)


def is_aws(endpoint: str) -> bool:
    """Whether a store is AWS's own, by its address."""
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def are_in_doubt(client: Any) -> bool:
    """Whether the requests of a client have checksums that their store may not know."""
    wanted = client.meta.config.request_checksum_calculation == "when_supported"
    return wanted and not is_aws(client.meta.endpoint_url)


def asked(ask: Callable[[], T], client: Callable[[], Any]) -> T:
    """What the store answers to which `client` leads; asked again where it may have refused no more than checksums."""
    before = client()
    try:
        return ask()
    except ClientError as error:
        if not (are_in_doubt(before) and may_be_refused(error.operation_name, *answer(error))):
            raise
        return _without(before.meta.endpoint_url, error, ask)


def _without(endpoint: str, refusal: ClientError, ask: Callable[[], T]) -> T:
    _tried.add(endpoint)
    try:
        found = ask()
    except ClientError:
        _tried.intersection_update(_proved)
        raise
    if endpoint not in _proved:
        _proved.add(endpoint)
        said = " ".join(map(str, answer(refusal)))
        log.warning(
            "the store refuses boto3's checksums; going on without",
            store=endpoint,
            answer=said,
            setting=f"{SETTING}=when_required",
        )
    return found
