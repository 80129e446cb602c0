"""What a failed stage said last."""

from pathlib import Path

_TAIL = 64 * 1024  # bytes of a log that are looked at
_LINES = 20


def last_words(log: Path | None) -> list[str]:
    """The stage's own `error:` line where it wrote one, else the last lines of its log."""
    if log is None or not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1:] or lines[-_LINES:]
