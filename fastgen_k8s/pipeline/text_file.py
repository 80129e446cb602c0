"""The text of a file that a person wrote: UTF-8, and nothing that no text may hold."""

from pathlib import Path

from fastgen_k8s.errors import BadInput
from fastgen_k8s.printable import unfit


def text_of(path: Path, where: str) -> str:
    """The text of a file, its lines ended as here; BadInput says the line that is no text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{where}: wanted a file of prompts, found none") from error
    except IsADirectoryError as error:
        raise BadInput(f"{where}: wanted a file of prompts, found a folder") from error
    except UnicodeDecodeError as error:
        line, byte = 1 + error.object.count(b"\n", 0, error.start), error.object[error.start]
        raise BadInput(f"{where}:{line}: wanted prompts in UTF-8, found byte {byte:#04x}") from error
    found = unfit(text)
    if found is not None:
        at, what = found
        raise BadInput(f"{where}:{1 + text.count(chr(10), 0, at)}: wanted text, found {what}")
    return text.replace("\r\n", "\n")  # a prompt may hold what else splitlines() takes for the end of a line
