"""Draws that outlive their run: what they are of goes with them, and is asked when they return."""

import hashlib
import json
import platform
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.analysis.on_disk import keep_on_disk, open_draws
from helpers.analysis.options import AnalysisOptions
from helpers.analysis.report import write_together
from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing
from helpers.models.names import parameter_names

__all__ = [
    "Unfinished",
    "checksum",
    "keep_draws",
    "label_draws",
    "read_posterior",
    "software_versions",
    "write_unfinished",
]

_NAME, _UNFINISHED = "not-on-the-menu", "unfinished-posterior.nc"
# What of a choice makes another model.
_OF_MODEL = (
    "effects",
    "drift",
    "likelihood",
    "scatter",
    "spreads",
    "availability",
    "reference",
    "formula",
    "nests",
)


class Unfinished(RuntimeError):
    """A step after sampling failed. What was sampled is in the file `kept`, if it could be."""

    def __init__(self, message: str, kept: Path | None):
        super().__init__(message)
        self.kept = kept


def software_versions() -> str:
    """
    Name the versions of what an analysis rests on.

    Returns
    -------
    str
        A line each.

    Examples
    --------
    >>> from helpers.analysis import software_versions
    >>> [line.split()[0] for line in software_versions().splitlines()][:3]
    ['Python', 'not-on-the-menu', 'pymc']
    """
    names = (_NAME, "pymc", "arviz", "nutpie", "numpy", "pandas")
    return "\n".join(
        [f"Python {platform.python_version()}", *(f"{n} {_version(n)}" for n in names)]
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def checksum(data: CategoryCounts) -> str:
    """
    Return a hash of all that a model takes from a table.

    Parameters
    ----------
    data : CategoryCounts
        The counts.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import checksum
    >>> one, other = (checksum(simulate_counts(random_seed=seed)[0]) for seed in (1, 2))
    >>> one == other, one == checksum(simulate_counts(random_seed=1)[0])
    (False, True)
    """
    found = hashlib.blake2b(digest_size=16)
    levels = data.predictors.select_dtypes("category")
    numbers = data.predictors.assign(**{str(name): x.cat.codes for name, x in levels.items()})
    for array in (data.counts, data.available, numbers.to_numpy(dtype=float)):
        found.update(np.ascontiguousarray(array).tobytes())
    labels: list[Any] = [data.categories, list(map(str, data.predictors.columns))]
    labels += [list(map(str, x.cat.categories)) for _, x in levels.items()]
    if data.cluster is not None:
        labels += [data.cluster.codes.tolist(), list(map(str, data.cluster.categories))]
    if data.date is not None:
        codes, dates = pd.factorize(data.date)
        labels += [codes.tolist(), list(map(str, dates))]
    tables = dict(data.attributes)
    if data.exposure is not None:
        tables["exposure"] = data.exposure
    for name, values in tables.items():
        labels.append(name)
        found.update(np.ascontiguousarray(values).tobytes())
    found.update(json.dumps(labels).encode())
    return found.hexdigest()


def label_draws(idata: xr.DataTree, choice: Choice, options: AnalysisOptions) -> xr.DataTree:
    """
    Note in draws what they are of, for :func:`read_posterior` to ask.

    Parameters
    ----------
    idata : xarray.DataTree
        The draws.
    choice : Choice
        The choice that they are of, with its data.
    options : AnalysisOptions
        What was asked for.

    Returns
    -------
    xarray.DataTree
        The same draws; the attributes of ``posterior`` include ``version``, ``model``, ``options``
        and ``data``.
    """
    idata["posterior"].attrs.update(
        version=_version(_NAME),
        model=json.dumps(_model_of(choice)),
        options=json.dumps(options.given()),
        data=checksum(choice.data),
    )
    return idata


def _model_of(choice: Choice) -> dict[str, Any]:
    # Whatever is empty is not given, as in the draws of before there was such an option.
    return {name: getattr(choice, name) or None for name in _OF_MODEL}


def read_posterior(path: str | Path, choice: Choice, model: pm.Model) -> xr.DataTree:
    """
    Read draws of an earlier run, and refuse those of another table or model.

    Unlike :func:`xarray.open_datatree`, it compares what the draws are of with what they are to be
    used for.

    Parameters
    ----------
    path : str or pathlib.Path
        What an analysis wrote: ``posterior.nc``, ``unfinished-posterior.nc`` or, where memory has
        no room for them, ``posterior.zarr``.
    choice : Choice
        The choice that they should be of, with its data.
    model : pymc.Model
        Its model.

    Returns
    -------
    xarray.DataTree
        The draws, in memory unless they are of ``posterior.zarr``; the attribute ``kept`` of
        ``posterior`` says where they came from.

    Raises
    ------
    ValueError
        If the file cannot be read, or its draws are of another table, another model, or of an
        older version of this package whose models had other variables.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        If the file does not say which table its draws are of, as those of older versions.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}: check the path of the posterior.")
    try:
        if path.is_dir():
            idata = open_draws(path, model)
        else:
            with xr.open_datatree(path, engine="h5netcdf") as stored:
                idata = stored.load()
        posterior = idata["posterior"].to_dataset()
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read as draws of an analysis: {error}") from None
    about = posterior.attrs
    written = f"version {about['version']}" if "version" in about else "an older version"
    remedy = "Sample anew, without `posterior`, or give the table and options that it is of."
    if about.get("data", checksum(choice.data)) != checksum(choice.data):
        raise ValueError(f"The draws in {path.name} are of another table. {remedy}")
    now = _model_of(choice)
    then = json.loads(about["model"]) if "model" in about else now
    if other := [
        f"{name} {then.get(name)} there, {now[name]} here"
        for name in now
        if then.get(name) != now[name]
    ]:
        raise ValueError(
            f"The draws in {path.name} are of another model: {'; '.join(other)}. {remedy}"
        )
    if faults := _faults(posterior, model):
        raise ValueError(
            f"The draws in {path.name}, written by {written} of this package, are not those of "
            f"this model: {listing(faults)}. {remedy}"
        )
    if "data" not in about:
        warnings.warn(
            f"{path.name} was written by an older version, and does not say which table its draws "
            "are of: that it is this one is taken on trust.",
            stacklevel=2,
        )
    idata["posterior"].attrs["kept"] = str(path)
    return idata


def _faults(posterior: xr.Dataset, model: pm.Model) -> list[str]:
    """What draws lack of a model, or have of another one."""
    faults = []
    for name in parameter_names(model):
        dims = model.named_vars_to_dims.get(name, ())
        if name not in posterior:
            faults.append(f"{name} is missing")
            continue
        for dim in dims:
            labels = pd.Index(model.coords[dim] or ())
            if dim not in posterior[name].dims:
                faults.append(f"{name} is not by {dim}")
            elif list(map(str, labels)) != list(map(str, pd.Index(posterior[dim]))):
                faults.append(f"{name} is of other {dim} labels")
    return faults


@contextmanager
def keep_draws(idata: xr.DataTree, folder: str | Path | None, doing: str) -> Iterator[None]:
    """
    Write draws to a file if what is done with them fails, and name the file in the error.

    Parameters
    ----------
    idata : xarray.DataTree
        The draws.
    folder : str or pathlib.Path, optional
        Where to write; a new temporary folder if not given.
    doing : str
        What is being done, for the message.

    Raises
    ------
    Unfinished
        In place of any error, which is its cause. Ctrl-C passes as it is.
    """
    try:
        yield
    except Unfinished:
        raise
    except Exception as error:
        kept, where = write_unfinished(idata, folder)
        if kept:
            where += " With that path as `posterior`, the same analysis goes on from there."
        raise Unfinished(
            f"{doing} failed: {type(error).__name__}: {error} {where}", kept
        ) from error


def write_unfinished(idata: xr.DataTree, folder: str | Path | None) -> tuple[Path | None, str]:
    """
    Write draws whose analysis ends here, and say where.

    Parameters
    ----------
    idata : xarray.DataTree
        The draws.
    folder : str or pathlib.Path, optional
        Where to write; a new temporary folder if not given.

    Returns
    -------
    path : pathlib.Path or None
        The file; None if it could not be written.
    text : str
        A sentence about it.
    """
    if source := idata["posterior"].attrs.get("kept"):
        keep_on_disk(source)
        return Path(source), f"The draws are still in {source}."
    try:
        folder = Path(folder or tempfile.mkdtemp(prefix=f"{_NAME}-"))
        (path,) = write_together(
            folder, {_UNFINISHED: lambda path: idata.to_netcdf(path, engine="h5netcdf")}
        )
    except OSError as error:
        return None, f"The draws could not be kept, either: {error}."
    return path, f"What was sampled is kept in {path}."
