"""`torchx` for our stages: a bare file runs, errors are one line, and the exit code is the stage's own."""
# pyright: basic

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torchx.cli.cmd_base import SubCommand
from torchx.cli.cmd_cancel import CmdCancel
from torchx.cli.cmd_delete import CmdDelete
from torchx.cli.cmd_describe import CmdDescribe
from torchx.cli.cmd_list import CmdList
from torchx.cli.cmd_log import CmdLog
from torchx.cli.cmd_run import CmdRun
from torchx.cli.cmd_status import CmdStatus
from torchx.runner import Runner
from torchx.specs import AppState, AppStatus

from fastgen_k8s.errors import FastgenError, Misdescribed, failed_io, refuse
from fastgen_k8s.launch.app import exit_code


class RunCommand(CmdRun):
    """TorchX's own command; it is found by the entry point `torchx.cli.cmds: run`."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Without a workspace, a dry run needs neither Docker nor a cluster."""
        super().add_arguments(subparser)
        if subparser.get_default("workspace") == str(Path.cwd()):  # not from .torchxconfig
            subparser.set_defaults(workspace="")

    def run(self, args: argparse.Namespace) -> None:
        """Name the function of a bare file, then run."""
        args.component_name_and_args = named(args.component_name_and_args)
        here = str(Path(sys.executable).parent)
        os.environ["PATH"] = here + os.pathsep + os.environ.get("PATH", "")  # local_cwd starts `python`
        with in_one_line():
            super().run(args)

    def _wait(self, runner: Runner, app_handle: str, log: bool, tee_logs: bool = False) -> AppStatus:
        status = super()._wait(runner, app_handle, log, tee_logs)
        if status.state != AppState.FAILED:
            return status
        if app_handle.startswith("local_cwd://"):
            sys.exit(exit_code(status)[0])
        code = said(status)
        if code is not None:
            print(status.msg, file=sys.stderr)
            sys.exit(code)
        return status


class InOneLine(SubCommand):
    """A command of TorchX's as it is, but for how it fails."""

    def __init__(self, command: Callable[[], SubCommand]) -> None:
        self.command = command()

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Those of the command."""
        self.command.add_arguments(subparser)

    def run(self, args: argparse.Namespace) -> None:
        """Run the command."""
        with in_one_line():
            self.command.run(args)


# By these names the entry points `torchx.cli.cmds` find TorchX's own commands.
status = partial(InOneLine, CmdStatus)
describe = partial(InOneLine, CmdDescribe)
list_apps = partial(InOneLine, CmdList)
log = partial(InOneLine, CmdLog)
cancel = partial(InOneLine, CmdCancel)
delete = partial(InOneLine, CmdDelete)


@contextmanager
def in_one_line() -> Generator[None]:
    """An error that we foresaw is a line on stderr and an exit code, also where a thread of TorchX's meets it."""
    threads = threading.excepthook
    threading.excepthook = lambda met: None if isinstance(met.exc_value, FastgenError) else threads(met)
    try:
        yield
    except FastgenError as error:
        sys.exit(refuse(error))
    except OSError as error:  # without a number it is TorchX's own: there is no such component
        sys.exit(refuse(Misdescribed(str(error)) if error.errno is None else failed_io(error)))
    finally:
        threading.excepthook = threads


def said(status: AppStatus) -> int | None:
    """The exit code that a scheduler of ours found in the cluster."""
    try:
        return json.loads(status.structured_error_msg).get("exit_code")
    except (ValueError, AttributeError):
        return None  # another scheduler's words


def named(words: list[str]) -> list[str]:
    """`components/stage2.py` is `components/stage2.py:stage2`; an `--` before the component does not count."""
    place = 1 if words[:1] == ["--"] else 0
    component = [f"{word}:{Path(word).stem}" if word.endswith(".py") else word for word in words[place : place + 1]]
    return [*words[:place], *component, *words[place + 1 :]]
