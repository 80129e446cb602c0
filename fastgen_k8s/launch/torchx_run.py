"""`torchx run` for our components: a bare file, this Python on PATH, one-line errors, the stage's own exit code."""
# pyright: basic

import argparse
import os
import sys
from pathlib import Path

from torchx.cli.cmd_run import CmdRun
from torchx.runner import Runner
from torchx.specs import AppState, AppStatus

from fastgen_k8s.errors import FastgenError, Misdescribed, failed_io, refuse
from fastgen_k8s.launch.local import exit_code


class Run(CmdRun):
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
        try:
            super().run(args)
        except FastgenError as error:
            sys.exit(refuse(error))
        except OSError as error:  # without a number it is TorchX's own: there is no such component
            sys.exit(refuse(Misdescribed(str(error)) if error.errno is None else failed_io(error)))

    def _wait(self, runner: Runner, app_handle: str, log: bool, tee_logs: bool = False) -> AppStatus:
        status = super()._wait(runner, app_handle, log, tee_logs)
        if app_handle.startswith("local_cwd://") and status.state == AppState.FAILED:
            sys.exit(exit_code(status)[0])
        return status


def named(words: list[str]) -> list[str]:
    """`components/stage2.py` is `components/stage2.py:stage2`."""
    return [
        f"{word}:{Path(word).stem}" if word.endswith(".py") and not index else word for index, word in _first(words)
    ]


def _first(words: list[str]) -> list[tuple[int, str]]:
    """Words with their places; an `--` before the component does not count."""
    shift = 1 if words[:1] == ["--"] else 0
    return [(index - shift, word) for index, word in enumerate(words)]
