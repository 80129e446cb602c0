"""Times as a status has them, and as seconds since 1970."""

from datetime import UTC, datetime


def seconds(time: str) -> float:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    return datetime.fromisoformat(time).timestamp()


def rfc3339(when: float) -> str:
    """A time as Kubernetes writes it, to the second."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
