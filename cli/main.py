"""The program `nanomg`: its commands, and how a mistake is reported."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import json
import os
import sys
import warnings
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer

import nanomg
from nanomg.cli import (
    cache,
    calibrate,
    cite,
    compare,
    doctor,
    export,
    feasibility,
    help_pages,
    interrupts,
    list,
    nca,
    optimize,
    plot,
    report,
    schema,
    sensitivity,
    show,
    simulate,
    summary,
    sweep,
    validate,
)
from nanomg.cli.options import Interrupted
from nanomg.cli.other_jobs import other_commands
from nanomg.errors import InputError, NanomgError, one_line

# Typer carries its own copy of Click, whose usage errors it shows to others only as the base of this one.
_UsageError: Any = typer.BadParameter.__bases__[0]

# Each module has a function of its name and, in EXAMPLES, command lines for the end of its help page.
GROUPS: dict[str, tuple[ModuleType, ...]] = {
    "Run": (simulate, optimize, sweep, sensitivity, feasibility, validate, calibrate),
    "Look": (list, show, summary, plot, report, export, nca, compare, cite, doctor),
    "Manage": (cache, schema),
}


class _Commands(help_pages.CommandGroups):
    examples = (
        help_pages.Example("nanomg list", "which scenarios there are"),
        help_pages.Example("nanomg show mouse-mc38-iv", "what one is made of"),
        help_pages.Example("nanomg simulate mouse-mc38-iv -o run.h5", "simulate it, and keep the result"),
        help_pages.Example("nanomg report run.h5", "one HTML page about the result"),
    )


commands = typer.Typer(
    name="nanomg",
    cls=_Commands,
    help="Simulate and optimise the dosing of magnesium nanocarriers and tumour immunity.",
    epilog="""
    Exit codes:
      0    done
      1    a simulation failed
      2    wrong usage or input
      3    no regimen keeps every limit
      130  interrupted

    nanomg COMMAND --help explains a command and shows examples.
    """,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group, _modules in GROUPS.items():
    for _module in _modules:
        _name = _module.__name__.rpartition(".")[2]
        help_pages.add(commands, _group, _name, getattr(_module, _name), _module.EXAMPLES)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nanomg {nanomg.__version__}")
        raise typer.Exit


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say on stderr what is compiled, and which engine solves.")
    ] = False,
) -> None:
    if verbose:
        _say_more()


def _say_more() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("nanomg: %(message)s"))
    logger = logging.getLogger("nanomg")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)


def app() -> NoReturn:
    """Run the command line. A user's mistake is one line on stderr (an object with `--json`); a bug shows its traceback."""
    # imports make many objects that live on: looking through them, again at the end, takes a fifth of a short run
    gc.set_threshold(300_000)
    atexit.register(gc.freeze)
    _open_streams()
    warnings.formatwarning = _plain_warning
    with interrupts.handled():
        sys.exit(_run())


def _run() -> int:
    """The exit code of the command."""
    try:
        for job, command in other_commands(sys.argv[1:3]):
            help_pages.add(commands, "Run", job.name, command, ())
        code = commands(args=sys.argv[1:] or ["--help"], prog_name="nanomg", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:  # before or after a command: Typer makes it the code below
        code = Interrupted.exit_code
    except NanomgError as error:
        _fail(error.message, error.where, error.exit_code)
    except _UsageError as error:
        _fail(" ".join(error.format_message().split()), None, error.exit_code)
    except OSError as error:  # of what is printed; files that cannot be written are a NanomgError
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        with contextlib.suppress(
            OSError
        ):  # what is left to print goes nowhere, so that the end of Python does not fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # the reader, such as `head`, has all it wants
            sys.exit(1)
        _fail(f"the output cannot be printed ({error.strerror})", None, InputError.exit_code)
    if code == Interrupted.exit_code:
        _fail("interrupted", None, code)
    return int(code or 0)


def _open_streams() -> None:
    """Make sure that text can be printed: a stream that was closed goes nowhere, and letters that an encoding lacks become `?`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _plain_warning(message: Warning | str, *_: object, **__: object) -> str:
    return f"nanomg: {one_line(str(message))}\n"


def _fail(message: str, where: str | None, code: int) -> NoReturn:
    interrupts.ignore()
    message = "\n  ".join(one_line(" ".join(line.split())) for line in message.splitlines())
    if "--json" in sys.argv:
        line = json.dumps({"error": message, "where": where}, ensure_ascii=False)
    else:
        line = f"nanomg: {message}" if where is None else f"nanomg: {where}: {message}"
    with contextlib.suppress(OSError):  # nobody reads it
        typer.echo(line, err=True)
    if code == Interrupted.exit_code and interrupts.received:
        # threads of XLA and of kernels may still compute; to take down what they use would crash
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(128 + interrupts.received)
    sys.exit(code)
