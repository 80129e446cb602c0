"""What a command needs beyond the plain installation, said in one line when it is not there."""

from collections.abc import Generator
from contextlib import contextmanager

from fastgen_k8s.errors import Misdescribed


@contextmanager
def wants(extra: str, what: str) -> Generator[None]:
    """Imports that need an extra; Misdescribed where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misdescribed(f"{what} wants the extra `{extra}` of fastgen-k8s, found no {error.name}") from error
