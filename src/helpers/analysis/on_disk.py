"""Draws that memory has no room for: written to the disk as they come, and read in parts."""

import atexit
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor
import xarray as xr
import zarr

from helpers.analysis.choose import Choice
from helpers.analysis.options import AnalysisOptions
from helpers.analysis.stopping import stoppable
from helpers.models.names import parameter_names

__all__ = [
    "MANY",
    "SamplingPlan",
    "is_on_disk",
    "keep_on_disk",
    "note_on_disk",
    "open_draws",
    "plan_sampling",
    "sample_on_disk",
    "stored_names",
]

# Bytes of draws that are kept in memory.
_ROOM = 2e9
# Draws, tuning and doublings of a path where draws go to the disk, unless others are asked for.
# Tens of thousands of clusters, each with a few rows, are near to independent normals in the
# coordinates that are sampled: paths of 31 steps will do, and a short tuning.
_DRAWS, _TUNE, _DOUBLINGS = 800, 300, 5
_CHAINS = 4
# Limits of the gate for draws of that many elements. The gate asks for 400 effective draws of each.
# Of chains that agree and have no more, chance puts 5 % of the elements beyond an R-hat of 1.01,
# and 3 in ten million beyond 1.05; as the larger of two R-hats counts, these limits are the
# stricter.
MANY = {"exceptions": 0.05}
_STORE = "posterior.zarr"
# Folders that go when Python ends, unless somebody was told of them.
_TEMPORARY: set[Path] = set()


@dataclass(frozen=True)
class SamplingPlan:
    """
    How many draws are taken, and where they are put.

    Attributes
    ----------
    draws, tune : int
        Draws that are kept in each chain, and draws of tuning before them.
    on_disk : bool
        Whether they go to the disk.
    words : str
        Why, if they do.
    """

    draws: int
    tune: int
    on_disk: bool = False
    words: str = ""


def plan_sampling(choice: Choice, options: AnalysisOptions) -> SamplingPlan:
    """
    Decide whether memory has room for the draws.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    options : AnalysisOptions
        ``draws`` and ``tune``; where draws go to the disk and these are not given, there are fewer.

    Returns
    -------
    SamplingPlan
        Draws go to the disk if they take more than 2 GB.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import AnalysisOptions, choose, plan_sampling
    >>> data, _ = simulate_counts(random_seed=1)
    >>> plan_sampling(choose(data), AnalysisOptions())
    SamplingPlan(draws=2000, tune=1000, on_disk=False, words='')
    """
    numbers = _numbers(choice)
    if 8 * _CHAINS * options.draws * numbers <= _ROOM:
        return SamplingPlan(options.draws, options.tune)
    given = options.given()
    draws, tune = given.get("draws", _DRAWS), given.get("tune", _TUNE)
    words = (
        f"{options.draws:,} draws of {numbers:,} effects in each chain would take "
        f"{8 * _CHAINS * options.draws * numbers / 1e9:.1f} GB, more than the {_ROOM / 1e9:.0f} GB "
        f"that are kept in memory: {draws:,} draws after {tune:,} of tuning go to the disk, "
        f"{8 * _CHAINS * draws * numbers / 1e9:.1f} GB of them."
    )
    return SamplingPlan(draws, tune, True, words)


def _numbers(choice: Choice) -> int:
    """Roughly how many numbers a draw has: those of clusters and dates outweigh the rest."""
    data = choice.data
    contrasts, found = len(data.categories) - 1, 0
    if choice.effects != "pooled" and data.cluster is not None:
        of_cluster = contrasts
        if choice.effects == "slopes":
            of_cluster *= 1 + len(data.predictors.columns)
        if choice.attribute_effects == "varying":
            of_cluster += len(data.attributes)
        found += len(data.cluster.categories) * of_cluster
    if choice.drift and data.date is not None:
        found += len(np.unique(data.date)) * contrasts
    return found


def stored_names(model: pm.Model) -> list[str]:
    """
    Name the variables whose draws are kept.

    Parameters
    ----------
    model : pymc.Model
        The model.

    Returns
    -------
    list of str
        Those that do not grow with the rows; and, where menus and the scatter of rows are both
        unknown, the scatter, as it cannot be drawn again.
    """
    names = parameter_names(model)
    return [*names, "scatter"] if {"psi", "scatter"} <= set(model.named_vars) else names


def sample_on_disk(
    model: pm.Model,
    folder: str | Path | None = None,
    *,
    draws: int = _DRAWS,
    tune: int = _TUNE,
    target_accept: float = 0.8,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> xr.DataTree:
    """
    Sample the posterior in four chains, and write the draws to the disk as they come.

    Unlike :func:`sample`, it takes paths of at most 31 steps and does not begin again, and memory
    holds no more than a few draws at a time.

    Parameters
    ----------
    model : pymc.Model
        The model.
    folder : str or pathlib.Path, optional
        Where the draws are written, as "posterior.zarr", or under the next free number. If not
        given, it is a temporary folder, which goes when Python ends.
    draws, tune : int
        Draws to keep in each chain, and draws of tuning before them.
    target_accept : float
        Acceptance that the sampler aims at, in (0, 1).
    random_seed : int, optional
        Seed of the sampler.
    progressbar : bool
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        Draws that stay on the disk until they are used: take parts of them with ``isel``. Check
        them with :func:`~helpers.check_convergence` first.

    Raises
    ------
    ValueError
        If the disk has no room for them.
    KeyboardInterrupt
        If it is stopped; nothing is left behind.
    """
    names = stored_names(model)
    with pytensor.config.change_flags(numba__fastmath=False):
        compiled = nutpie.compile_pymc_model(model, freeze_model=True, var_names=names)
    with _new_store(folder) as path:
        # Draws of tuning are written, too, and so are the coordinates that are sampled.
        _require_room(path, 2 * 8 * _CHAINS * (draws + tune) * compiled.n_dim)
        with stoppable():
            nutpie.sample(
                compiled,
                draws=draws,
                tune=tune,
                chains=_CHAINS,
                cores=_CHAINS,
                seed=random_seed,
                target_accept=target_accept,
                maxdepth=_DOUBLINGS,
                save_warmup=False,
                progress_bar=progressbar,
                zarr_store=nutpie.zarr_store.LocalStore(str(path)),
            )
        _tidy(path, model)
        settings = f"Four chains of {draws:,} draws after {tune:,} of tuning, in paths of at most "
        settings += f"{2**_DOUBLINGS - 1} steps"
        if target_accept != 0.8:
            settings += f", with a target acceptance of {target_accept:g}"
        about = {"settings": settings, "tune": tune, "target_accept": target_accept}
        note_on_disk(path, about)
    return open_draws(path, model)


@contextmanager
def _new_store(folder: str | Path | None) -> Iterator[Path]:
    """A path that nothing is at, and nothing is left at if sampling fails."""
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="not-on-the-menu-"))
        _TEMPORARY.add(folder)
    folder = Path(folder).absolute()
    number, path = 1, folder / _STORE
    while path.exists():
        number += 1
        path = path.with_stem(f"{Path(_STORE).stem}-{number}")
    made = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True)
    try:
        yield path
    except BaseException:
        shutil.rmtree(made[-1], ignore_errors=True)
        raise


@atexit.register
def _remove_temporary() -> None:
    for folder in _TEMPORARY:
        shutil.rmtree(folder, ignore_errors=True)


def _require_room(path: Path, needed: float) -> None:
    free = shutil.disk_usage(path).free
    if free < needed:
        raise ValueError(
            f"The draws need {needed / 1e9:.1f} GB while they are sampled, and the disk of {path} "
            f"has {free / 1e9:.1f} GB left. Give an `output_dir` on another disk, or ask for fewer "
            "`draws`."
        )


def _tidy(path: Path, model: pm.Model) -> None:
    """Remove what was written beside the draws that are kept."""
    for group in path.glob("warmup_*"):
        shutil.rmtree(group)
    names = stored_names(model)
    dims = {d for name in names for d in model.named_vars_to_dims.get(name) or ()}
    for array in (path / "posterior").iterdir():
        if array.is_dir() and array.name not in {*names, *dims}:
            shutil.rmtree(array)


def open_draws(path: str | Path, model: pm.Model) -> xr.DataTree:
    """
    Open draws that lie on the disk, and leave them there.

    Parameters
    ----------
    path : str or pathlib.Path
        What :func:`sample_on_disk` wrote.
    model : pymc.Model
        The model that they are of, which has the labels.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats``. The attribute ``kept`` of ``posterior`` is the
        path.

    Raises
    ------
    OSError, KeyError, ValueError
        If there are no draws of this model.
    """
    path = Path(path).absolute()
    groups = {}
    for name in ("posterior", "sample_stats"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how it stores labels, which are not used
            found = xr.open_dataset(
                path, group=name, engine="zarr", consolidated=False, cache=False
            )
        groups[name] = found.drop_vars([d for d in found.dims if d in found.variables])
    posterior = groups["posterior"]
    labels: dict[Any, Any] = {d: np.arange(posterior.sizes[d]) for d in ("chain", "draw")}
    labels |= {d: list(model.coords[d] or ()) for d in posterior.dims if d in model.coords}
    groups["posterior"] = posterior.assign_coords(labels)
    small = [n for n, v in groups["sample_stats"].data_vars.items() if v.dims == ("chain", "draw")]
    groups["sample_stats"] = groups["sample_stats"][small].load()
    idata = xr.DataTree.from_dict(groups)
    idata["posterior"].attrs["kept"] = str(path)
    return idata


def note_on_disk(path: str | Path, about: Mapping[Any, Any]) -> None:
    """
    Write attributes of ``posterior`` beside draws on the disk.

    Parameters
    ----------
    path : str or pathlib.Path
        Where the draws are.
    about : mapping
        The attributes, which JSON can hold.
    """
    zarr.open_group(Path(path) / "posterior", mode="r+").attrs.update(
        {name: value for name, value in about.items() if name != "kept"}
    )


def is_on_disk(idata: xr.DataTree) -> bool:
    """
    Say whether draws are on the disk rather than in memory.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws.

    Returns
    -------
    bool

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers.analysis import is_on_disk
    >>> is_on_disk(az.from_dict({"posterior": {"x": np.zeros((4, 10))}}))
    False
    """
    return Path(idata["posterior"].attrs.get("kept", "")).suffix == Path(_STORE).suffix


def keep_on_disk(path: str | Path) -> None:
    """
    Keep draws in a temporary folder when Python ends, as somebody is told of them.

    Parameters
    ----------
    path : str or pathlib.Path
        Where the draws are.
    """
    _TEMPORARY.discard(Path(path).absolute().parent)
