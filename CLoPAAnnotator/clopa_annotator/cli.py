"""``clopa``: the command line. Exit codes: 0 done, 1 failed, 2 wrong arguments or input."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from clopa_annotator import __version__
from clopa_annotator.commands import (
    campaign,
    cases,
    episode,
    experts,
    importing,
    measuring,
    models,
    predict,
    reporting,
    review,
    services,
    storage,
)
from clopa_annotator.commands.output import never_stumble, remark
from clopa_annotator.errors import ClopaError, InputError

DONE, FAILED, WRONG_INPUT = 0, 1, 2

app = typer.Typer(
    name="clopa",
    help="Interactive 3D segmentation that learns while you annotate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
campaign.register(app)
measuring.register(app)
cases.register(app)
episode.register(app)
storage.register(app)
importing.register(app)
experts.register(app)
models.register(app)
predict.register(app)
reporting.register(app)
review.register(app)
services.register(app)


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show the core's log on standard error."),
) -> None:
    """Interactive 3D segmentation that learns while you annotate."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_INPUT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected failure ends in a sentence."""
    never_stumble()
    try:
        app(list(arguments) if arguments is not None else None)
    except SystemExit as ended:
        # Typer ends every command this way: 0, a command's own code, or 2 for wrong arguments.
        return ended.code if isinstance(ended.code, int) else DONE
    except InputError as error:
        remark(f"{error}", "red")
        return WRONG_INPUT
    except ClopaError as error:
        remark(f"{error}", "red")
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`clopa ... | head`); point stdout at nothing so that the
        # interpreter's last flush does not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        logging.getLogger(__name__).info("The operating system refused", exc_info=error)
        where = f" ({error.filename})" if error.filename else ""
        remark(
            f"The computer refused: {error.strerror or error}{where}. Check the place and the disk.", "red"
        )
        return FAILED
    except KeyboardInterrupt:
        remark("Stopped.")
        return FAILED
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
