# pyright: basic
"""The connection to S3: credentials and endpoint from boto3's standard chain, one rule of trying again."""

import os
import random
import threading
import weakref
from functools import partial
from typing import Any, Literal

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from boto3.session import Session
from botocore.config import Config

from fastgen_k8s import log
from fastgen_k8s.artifacts.s3_checksums import are_in_doubt, are_left_out, is_aws, left_out, may_be_refused
from fastgen_k8s.artifacts.s3_errors import CUT_SHORT, UNANSWERED, may_pass, pause
from fastgen_k8s.errors import Misdescribed

ATTEMPTS = "AWS_MAX_ATTEMPTS"
ADDRESSING = "FASTGEN_S3_ADDRESSING"
PART = 16 << 20  # bytes of a part of a multipart transfer, and the size from which a file has parts
_ATTEMPTS = 10  # with the pauses, about half a minute
_CONNECTIONS = 32
_READ = ("AWS_", ADDRESSING)  # variables that make a connection what it is
_ONE_AT_A_TIME = threading.Lock()  # making a client is no work for two threads
_Key = tuple[int, tuple[tuple[str, str], ...], frozenset[str]]  # process, environment, stores without checksums
_CURRENT: dict[_Key, tuple[Any, Any]] = {}
_STYLES = ("auto", "path", "virtual")
_chance = random.Random()  # of pauses only


def client() -> Any:
    """The client of this process."""
    return _connected()[0]


def transfers() -> Any:
    """Uploads and downloads in parts, by several threads."""
    return _connected()[1]


def _connected() -> tuple[Any, Any]:
    """What leads to the store that the environment names now; a fork must not share its parent's sockets."""
    environment = tuple((name, value) for name, value in sorted(os.environ.items()) if name.startswith(_READ))
    of = os.getpid(), environment, left_out()
    with _ONE_AT_A_TIME:
        if of not in _CURRENT:
            made = _connection()
            for key, (its_client, its_transfers) in list(_CURRENT.items()):
                if key[:2] == of[:2]:
                    continue  # other threads may be amid a request with checksums
                if key[0] == of[0]:  # else its sockets are another process's
                    its_transfers.shutdown()
                    its_client.close()
                del _CURRENT[key]
            _CURRENT[of] = made
        return _CURRENT[of]


def _connection() -> tuple[Any, Any]:
    attempts()  # botocore reads the variable, too, and says less of it
    session = Session()  # of both, or what it reads of S3's description is read and held twice
    made = _client(session, _style("auto"))
    endpoint = made.meta.endpoint_url
    if not is_aws(endpoint):  # few other servers have a name for each bucket
        made = _client(session, _style("path"), "when_required" if are_left_out(endpoint) else None)
    made.meta.events.register("needs-retry.s3", partial(_needs_retry, are_in_doubt(made)))
    made.meta.events.register("after-call.s3.GetObject", _give_back)
    config = TransferConfig(
        multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=8, preferred_transfer_client="classic"
    )
    return made, create_transfer_manager(made, config)


def _client(session: Session, style: str, checksums: Literal["when_required"] | None = None) -> Any:
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},  # `_needs_retry` is the rule
        request_checksum_calculation=checksums,
        response_checksum_validation="when_required",  # downloads in parts are checked by their sha256
        s3={"addressing_style": style, "payload_signing_enabled": False},
    )
    region = session.region_name or "us-east-1"
    try:
        return session.client("s3", region_name=region, config=config)
    except ValueError as error:
        raise Misdescribed(f"AWS_ENDPOINT_URL: wanted an address http(s)://HOST[:PORT], found: {error}") from error


def _style(default: Literal["auto", "path"]) -> str:
    style = os.environ.get(ADDRESSING, default)
    if style not in _STYLES:
        raise Misdescribed(f"{ADDRESSING}: wanted {', '.join(_STYLES)}, found {style!r}")
    return style


def attempts() -> int:
    """How often a request is made at most."""
    given = os.environ.get(ATTEMPTS, str(_ATTEMPTS))
    if not given.isdecimal() or int(given) == 0:
        raise Misdescribed(f"{ATTEMPTS}: wanted a number of attempts, found {given!r}")
    return int(given)


def _needs_retry(
    doubt: bool, attempts: int, response: Any, caught_exception: Exception | None, operation: Any, **_: object
) -> float | None:
    """Seconds until botocore makes a request again, or None: it asks after each.

    Where checksums are in doubt, what may be a refusal of them is no accident when it comes again.
    """
    if caught_exception is not None:
        wanted, code, why = isinstance(caught_exception, (*CUT_SHORT, *UNANSWERED)), "", type(caught_exception).__name__
    else:
        status, code = response[0].status_code, response[1].get("Error", {}).get("Code", "")
        refused = doubt and attempts > 1 and may_be_refused(operation.name, status, code)
        wanted, why = may_pass(status, code) and not refused, f"{status} {code}"
    return wait(attempts, code, f"{operation.name}: {why}") if wanted else None


def _give_back(http_response: Any, parsed: dict[str, Any], **_: object) -> None:
    """Close the connection of a body that is dropped before its end, as s3transfer does when a part fails elsewhere."""
    if "Body" in parsed:
        weakref.finalize(parsed["Body"], http_response.raw.close)


def wait(attempt: int, code: str, why: str) -> float | None:
    """Seconds until the next attempt; None after the last."""
    if attempt >= attempts():
        return None
    seconds = pause(attempt, code, _chance)
    log.debug("asking the store again", attempt=attempt, seconds=round(seconds, 2), reason=why)
    return seconds
