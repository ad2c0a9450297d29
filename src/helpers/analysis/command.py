"""The analysis from a terminal."""

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import matplotlib

from helpers.analysis.analysis import analyse
from helpers.analysis.gate import NotConverged
from helpers.analysis.options import PARTS, AnalysisOptions
from helpers.analysis.posterior import Unfinished

__all__ = ["run_command"]

# Exit codes.
_FAILED, _REFUSED, _NOT_CONVERGED, _STOPPED = 1, 2, 3, 130
# Other names of options on a command line.
_ALSO = {
    "output_dir": ("--output", "-o"),
    "random_seed": ("--seed",),
    "scenarios": ("--scenario",),
}
_TYPES: dict[str, Any] = {
    "count": click.IntRange(min=1),
    "seed": click.INT,
    "share": click.FloatRange(0, 1, min_open=True, max_open=True),
    "path": click.Path(path_type=Path),
}
_METAVARS = {"names": "A,B,...", "name": "COLUMN", "mapping": "NAME=..."}

_HELP = """Analyse FILE, a table of counts whose categories were not always on the menu.

FILE has one row per observation and one column of counts per category; an empty cell says that
the category was not on the menu, 0 that it was and nobody chose it. It may be CSV (also with
semicolons and decimal commas), Excel or Parquet.

The command reads the table and says what looks wrong with it, picks a model, fits it, checks
whether it predicts the counts, and writes a report (report.html), tables and draws to a folder.
What it does is said on standard error; the last line, on standard output, says what was found.

\b
  not-on-the-menu lunches.csv --categories pasta,curry,soup --cluster canteen
  not-on-the-menu votes.csv --cluster province --date year --output results \\
      --scenario 'green everywhere=+n_green' --scenario 'two=n_left,n_right'
  not-on-the-menu sold.csv --row receipt --category dish --count n

Exit codes: 0 done; 2 the table or an option was refused; 3 the sampler did not converge; 1 a
later step failed, and the draws are kept; 130 stopped."""


class _Refused(Exception):
    """A table or an option that is refused."""


class _Grouped(click.Command):
    """A command whose options stand in the order of what is done with them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        part_of = {each.name: each.metadata["part"] for each in fields(AnalysisOptions)}
        for part in (*PARTS, "Other"):
            lines = [
                record
                for option in self.get_params(ctx)
                if isinstance(option, click.Option)
                and part_of.get(option.name or "", "Other") == part
                and (record := option.get_help_record(ctx))
            ]
            with formatter.section(part):
                formatter.write_dl(lines)


def _options() -> list[click.Parameter]:
    """The table of options, as a command line has them."""
    found: list[click.Parameter] = []
    for each in fields(AnalysisOptions):
        kind, choices = each.metadata["kind"], each.metadata["choices"]
        flag = "--" + each.name.replace("_", "-")
        flags = [*_ALSO.get(each.name, ()), flag]
        if kind == "flag":
            flags = [f"{flag}/--no-{flag[2:]}"]
        default = getattr(AnalysisOptions(), each.name)
        option = click.Option(
            [each.name, *flags],
            type=click.Choice(choices) if choices else _TYPES.get(kind),
            multiple=kind == "mapping",
            default=None if default in ((), {}) else default,
            show_default=default not in ((), {}, None),
            help=f"{each.metadata['text'][0].upper()}{each.metadata['text'][1:]}.",
            metavar=None if choices else _METAVARS.get(kind),
        )
        found.append(option)
    return found


def _analyse(file: str, **options: Any) -> None:
    """Analyse and write, with what is noticed on standard error at once."""
    matplotlib.use("Agg")
    logging.getLogger("pymc").setLevel(logging.ERROR)
    for name in ("available", "exposure", "scenarios"):  # one text may be a column, or JSON
        options[name] = options[name][0] if len(options[name]) == 1 else options[name]
    options["output_dir"] = (
        options["output_dir"] or Path("analysis") / Path(file).name.split(".")[0]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        warnings.showwarning = _note
        try:
            found = analyse(file, **options)
        except (ValueError, FileNotFoundError) as error:
            raise _Refused(f"{Path(file).name} cannot be analysed. {error}") from None
    click.echo(f"{found.headline} Report: {options['output_dir'] / 'report.html'}")


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Note: {message}", err=True)


_command = _Grouped(
    "not-on-the-menu",
    callback=_analyse,
    params=[click.Argument(["file"], type=click.Path()), *_options()],
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
_command = click.version_option(package_name="not-on-the-menu")(_command)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and say in one message what went wrong, if anything did.

    Parameters
    ----------
    arguments : sequence of str, optional
        As after the command's name; by default, those of the terminal.

    Returns
    -------
    int
        The exit code: 0 done; 2 the table or an option was refused; 3 the sampler did not
        converge; 1 a step after sampling failed; 130 stopped by Ctrl-C.
    """
    try:
        _command.main(arguments, prog_name="not-on-the-menu", standalone_mode=False)
    except _Refused as error:
        return _say(_REFUSED, str(error))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say(_STOPPED, "Stopped: nothing was written.")
    except NotConverged as error:
        flags = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in error.suggested.items())
        return _say(
            _NOT_CONVERGED, f"No results: {error.reason}. Run it again with {flags}. {error.where}"
        )
    except Unfinished as error:
        return _say(_FAILED, f"No results: {error}")
    return 0


def _say(code: int, message: str) -> int:
    click.echo(message, err=True)
    return code


if __name__ == "__main__":
    sys.exit(run_command())
