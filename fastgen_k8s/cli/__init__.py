"""`fastgen-k8s`: run pipelines and single stages, look after those of a cluster, list experiments, add models."""

import os
import signal
import sys

import typer
from typer.exceptions import TyperException

from fastgen_k8s.cli import looking, people, run, stages
from fastgen_k8s.errors import FastgenError, Misdescribed, failed_io, refuse

cli = typer.Typer(
    help="Distil diffusion models into few-step, causal students.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (run.commands, people.commands, stages.commands, looking.commands):
    cli.add_typer(commands)  # without a name of its own: its commands are ours


def main() -> None:
    """The entry point: what can go wrong is one line on stderr and an exit code."""
    try:
        code: object = cli(standalone_mode=False)
    except FastgenError as error:
        sys.exit(refuse(error))
    except TyperException as error:
        sys.exit(refuse(Misdescribed(f"{error.format_message()} (--help says what there is)")))
    except BrokenPipeError:  # whoever read this has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's last flush says so
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        sys.exit(refuse(failed_io(error)))
    except typer.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
