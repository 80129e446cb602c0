# pyright: basic
"""Read many mutants, each reader in a process of its own that may take 1 GiB more than its imports did."""

import hashlib
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path

from fastgen_k8s.errors import FastgenError
from tests.readers.mutants import mutants
from tests.readers.readers import READERS, Reader

MORE = 1 << 30  # bytes
LONGEST = 60  # seconds for one mutant, after which the process is killed


def main(count: int, root: Path) -> None:
    """Write what each reader did to `<root>/said/<reader>.json`."""
    (root / "said").mkdir()
    for name, reader in READERS.items():
        if (pid := os.fork()) == 0:
            try:
                _one(name, reader, count, root)
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                os._exit(0)  # whatever happens here: the parent's work is not this process's
        os.waitpid(pid, 0)


def _one(name: str, reader: Reader, count: int, root: Path) -> None:
    said = {"read": 0, "refused": 0, "odd": ["died before the first mutant"]}
    _say(root, name, said)
    home = root / "mutants" / name
    home.mkdir(parents=True)
    reader.make(home)
    files = {changed: (home / changed).read_bytes() for changed in reader.changed}
    for changed in files:
        reader.read(home, changed)
    took = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (took + MORE, took + MORE))
    before, odd = _content(root), list[str]()
    for number, (changed, data) in enumerate(mutants(files, seed=0, count=count)):
        _say(root, name, said | {"odd": [*odd, f"died at mutant {number} of {changed}"]})
        (home / changed).write_bytes(data)
        signal.alarm(LONGEST)
        try:
            reader.read(home, changed)
            said["read"] += 1
        except FastgenError as error:
            said["refused"] += 1
            if error.code not in (64, 65) or "\n" in str(error):
                odd.append(f"mutant {number} of {changed}: {error.code} {error}")
        except BaseException as error:  # noqa: BLE001  # a panic of Rust's is no Exception
            odd.append(f"mutant {number} of {changed}: {type(error).__name__} {str(error)[:200]}")
        signal.alarm(0)
        if (after := _content(root)) != before:
            odd.append(f"mutant {number} of {changed} changed {sorted(after.items() ^ before.items())[:2]}")
            before = after
        (home / changed).write_bytes(files[changed])
    _say(root, name, said | {"odd": odd})


def _content(root: Path) -> Mapping[str, str]:
    """Every file of the neighbour and of the working directory."""
    files = [path for top in ("neighbour", "cwd") for path in (root / top).rglob("*")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in files}


def _say(root: Path, name: str, said: Mapping[str, object]) -> None:
    (root / "said" / f"{name}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")
    main(int(sys.argv[1]), Path(sys.argv[2]))
