# pyright: basic
"""What a store's answer means: whether it may pass when asked again, and one line and exit code when it does not."""

import os
import random

from botocore import exceptions as boto
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError, S3ValidationError
from urllib3.exceptions import HTTPError

from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed

CUT_SHORT = (
    boto.IncompleteReadError,
    boto.FlexibleChecksumError,
    boto.ResponseStreamingError,
    HTTPError,  # urllib3's own: botocore lets it pass where it reads a short answer
    RetriesExceededError,
    S3DownloadFailedError,  # changed between two of its parts
    S3ValidationError,
)
"""An answer that began and did not arrive as it was sent: botocore has not tried again."""
UNANSWERED = (boto.HTTPClientError, ConnectionError, TimeoutError)
"""A request without an answer: botocore has tried again, by our rule."""
FAILED = (boto.BotoCoreError, boto.ClientError, *CUT_SHORT, *UNANSWERED)
"""Everything that talking to a store may raise."""

THROTTLED = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "RequestThrottled"}
)
_PASSING = THROTTLED | {
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "ServiceUnavailable",
    "BadDigest",  # what arrived there is not what was sent
    "InvalidDigest",
    "IncompleteBody",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
    "ConditionalRequestConflict",
    "OperationAborted",
}
_NOT_IMPLEMENTED = 501
_IN_A_POD = "KUBERNETES_SERVICE_HOST"  # the kubelet gives it to every container
_WRONG = {
    "InvalidAccessKeyId": "wanted credentials that the store knows, found an access key that it does not",
    "SignatureDoesNotMatch": "wanted credentials that the store knows, found a secret key that does not fit",
    "AuthorizationHeaderMalformed": "wanted the bucket's region (AWS_REGION), found another",
    "PermanentRedirect": "wanted the bucket's region and endpoint, found others",
    "AccessDenied": "wanted permission, found none for this identity (without s3:ListBucket, also for what is absent)",
    "AllAccessDisabled": "wanted permission, found none for this identity",
    "InvalidBucketName": "wanted a bucket's name, found one that the store refuses",
    "KeyTooLongError": "wanted a key that the store takes, found one that is too long",
    "EntityTooLarge": "wanted a file that the store takes, found one that is too large",
    "NotImplemented": "wanted a store with conditional puts and multipart uploads, found one without",
}
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchUpload"})
_FIRST, _FIRST_THROTTLED, _LONGEST = 0.1, 0.5, 20.0  # seconds


def may_pass(status: int, code: str) -> bool:
    """Whether the same request may succeed later: faults of the store, throttling, and what the wire did."""
    return (status >= 500 and status != _NOT_IMPLEMENTED) or status in (408, 429) or code in _PASSING


def is_explained(code: str) -> bool:
    """Whether a code of S3's says by itself what is wrong."""
    return code in _WRONG or code in _EXPIRED | _PASSING | _MISSING


def pause(attempt: int, code: str, chance: random.Random) -> float:
    """Seconds before the next attempt: anything up to a bound that doubles, so that clients drift apart."""
    first = _FIRST_THROTTLED if code in THROTTLED else _FIRST
    return chance.uniform(0, min(_LONGEST, first * 2 ** (attempt - 1)))


def explained(error: Exception, where: str) -> FastgenError:
    """One line and the exit code: 64 for what a person has to change, 65 for what is missing, 74 for what may pass."""
    match error:
        case boto.ClientError():
            return _answered(error, where)
        case boto.NoCredentialsError() if _IN_A_POD in os.environ:  # whose Secret may come, and reach the next pod
            return StoreFailed(f"{where}: wanted credentials for the store, found none in this pod ({error})")
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.ProfileNotFound():
            return Misdescribed(f"{where}: wanted credentials for the store, found none ({error})")
        case boto.ParamValidationError() | boto.InvalidEndpointConfigurationError() | boto.InvalidRegionError():
            return Misdescribed(f"{where}: wanted a request that the store takes, found: {_line(error)}")
        case boto.EndpointConnectionError() | boto.ConnectTimeoutError() | boto.ProxyConnectionError():
            return StoreFailed(f"{where}: wanted a store that answers, found: {_line(error)}")
        case _:
            return StoreFailed(f"{where}: wanted a whole answer of the store, found: {_line(error)}")


def answer(error: boto.ClientError) -> tuple[int, str]:
    """HTTP status and S3's code of a refusal."""
    found = error.response
    return found.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), found.get("Error", {}).get("Code", "")


def _answered(error: boto.ClientError, where: str) -> FastgenError:
    status, code = answer(error)
    if code == "NoSuchBucket":
        return BadInput(f"{where}: wanted the bucket, the store has none of that name")
    if code in ("NoSuchKey", "404"):
        return BadInput(f"{where}: wanted a file, found none")
    if code in _EXPIRED:
        return StoreFailed(f"{where}: wanted credentials that are in force, found expired ones ({code})")
    if code == "RequestTimeTooSkewed":
        return StoreFailed(f"{where}: wanted a clock that goes with the store's, found another time here")
    wrong = _WRONG.get("AccessDenied" if code == "403" else code)
    if wrong is not None:
        return Misdescribed(f"{where}: {wrong} ({code})")
    said = f"{status} {code}: {_line(error.response.get('Error', {}).get('Message', ''))}"
    if may_pass(status, code) or status == 0 or status >= 500:
        return StoreFailed(f"{where}: wanted the store to answer, found {said}")
    return Misdescribed(f"{where}: wanted a request that the store takes, found {said}")


def _line(said: object) -> str:
    return " ".join(str(said).split())
