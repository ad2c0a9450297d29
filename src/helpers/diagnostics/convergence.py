"""Has the sampler converged?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["Convergence", "ConvergenceError", "check_convergence", "measure_convergence"]

_SAMPLE = ("chain", "draw")
_MEASURES = ("rhat", "ess_bulk", "ess_tail")
# Bytes of draws that are looked at together: those of large models are on disk, and stay there.
_BLOCK = 2.5e8
# R-hat that chance does not lead to where chains agree and have 400 effective draws.
_BEYOND_DOUBT = 1.05


class ConvergenceError(RuntimeError):
    """Raised when the draws must not be used yet."""


def check_convergence(
    idata: xr.DataTree,
    *,
    rhat: float = 1.01,
    ess: float = 400,
    divergences: float = 0,
    exceptions: float = 0,
    var_names: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """
    Check that the draws may be used, and raise if not.

    Unlike :func:`arviz.summary`, which shows the diagnostics and leaves the verdict to the
    reader, it raises: a notebook that calls it cannot go on with draws that did not converge.

    Parameters
    ----------
    idata : xarray.DataTree
        What :func:`pymc.sample` returned, with groups ``posterior`` and ``sample_stats``.
    rhat : float
        Largest rank-normalised split R-hat allowed.
    ess : float
        Smallest effective sample size allowed, of the bulk and of the tails.
    divergences : int
        Largest number of divergent transitions allowed.
    exceptions : float
        Share of a variable's elements whose R-hat may lie between `rhat` and 1.05. Of tens of
        thousands of elements, chance alone leads some beyond a limit near 1: with four chains that
        agree and 400 effective draws, 5 % beyond 1.01, and 3 in ten million beyond 1.05.
    var_names : str or list of str, optional
        Variables to check; all if not given.

    Returns
    -------
    pandas.DataFrame
        One line per variable: number of elements, worst R-hat, worst bulk and tail effective
        sample sizes, and the element with the worst R-hat. Elements that are the same in all
        draws by construction (a diagonal of ones) are left out and counted in ``constant``.

    Raises
    ------
    ConvergenceError
        If any limit is broken, naming variables and elements, with what to try.
    ValueError
        If there is only one chain, or no draws.

    References
    ----------
    Vehtari, A., Gelman, A., Simpson, D., Carpenter, B., & Bürkner, P.-C. (2021).
    Rank-normalization, folding, and localization: An improved R-hat for assessing convergence of
    MCMC. Bayesian Analysis, 16(2), 667-718.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers import check_convergence
    >>> draws = np.random.default_rng(1).normal(size=(4, 1000))
    >>> table = check_convergence(az.from_dict({"posterior": {"x": draws}}))
    >>> bool(table.loc["x", "rhat"] < 1.01)
    True
    """
    measured = measure_convergence(idata, var_names=var_names)
    return measured.check(rhat=rhat, ess=ess, divergences=divergences, exceptions=exceptions)


@dataclass(frozen=True, eq=False)
class Convergence:
    """
    What draws show of their convergence, measured once, to be judged by any limits.

    Attributes
    ----------
    measures : dict of str to dict of str to xarray.DataArray
        "rhat", "ess_bulk" and "ess_tail" of each element of each variable; missing where it is
        constant.
    constant, not_finite : dict of str to xarray.DataArray
        Whether an element is the same in all draws, and whether some draw of it is not finite.
    divergences : int
        Number of divergent transitions.
    """

    measures: dict[str, dict[str, xr.DataArray]]
    constant: dict[str, xr.DataArray]
    not_finite: dict[str, xr.DataArray]
    divergences: int

    def check(
        self,
        *,
        rhat: float = 1.01,
        ess: float = 400,
        divergences: float = 0,
        exceptions: float = 0,
    ) -> pd.DataFrame:
        """
        Return the table of :func:`~helpers.check_convergence`, and raise if a limit is broken.

        Parameters
        ----------
        rhat, ess, divergences, exceptions : float
            The limits, as in :func:`~helpers.check_convergence`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ConvergenceError
            If any limit is broken.
        """
        limits = {"rhat": rhat, "ess_bulk": ess, "ess_tail": ess}
        lines, problems = [], _divergence_problems(self.divergences, divergences)
        for name, constant in self.constant.items():
            measured = {measure: self.measures[measure][name] for measure in limits}
            own = limits
            if 0 < float((measured["rhat"] > rhat).mean()) <= exceptions:
                own = limits | {"rhat": max(rhat, _BEYOND_DOUBT)}
            line, wrong = _check_variable(name, measured, own, constant, self.not_finite[name])
            lines.append(line)
            problems += wrong
        if problems:
            raise ConvergenceError(
                f"The draws must not be used yet: {'; '.join(problems[:12])}"
                + (f"; and {len(problems) - 12} more" if len(problems) > 12 else "")
                + ". Try more tuning and draws, another parametrisation, or a higher target_accept."
            )
        columns = ["variable", "elements", "constant", "rhat", "ess_bulk", "ess_tail", "worst"]
        return pd.DataFrame(lines, columns=columns).set_index("variable")


def measure_convergence(
    idata: xr.DataTree, *, var_names: str | Sequence[str] | None = None
) -> Convergence:
    """
    Measure what :func:`~helpers.check_convergence` judges.

    Measuring takes a few milliseconds for each element, judging takes none. Draws that are on disk
    are read in parts.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws, as for :func:`~helpers.check_convergence`.
    var_names : str or list of str, optional
        Variables to measure; all if not given.

    Returns
    -------
    Convergence

    Raises
    ------
    ValueError
        If there is only one chain, or no draws.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers.diagnostics import measure_convergence
    >>> draws = np.random.default_rng(1).normal(size=(4, 500))
    >>> measured = measure_convergence(az.from_dict({"posterior": {"x": draws}}))
    >>> measured.check(ess=1_000).index.tolist()
    ['x']
    """
    posterior = _draws_to_check(idata["posterior"].to_dataset(), var_names)
    found = _Elements()
    positions, constant, not_finite = {}, {}, {}
    for name, values in posterior.data_vars.items():
        own = [d for d in values.dims if d not in _SAMPLE]
        labels = {d: values[d] for d in own if d in values.coords}
        shape = tuple(values.sizes[d] for d in own)
        at, same, wrong = np.empty(shape, int), np.empty(shape, bool), np.empty(shape, bool)
        for where, block in _blocks(values, own):
            at[where], same[where], wrong[where] = found.add(block)
        positions[name] = at
        constant[name] = xr.DataArray(same, labels, own, name)
        not_finite[name] = xr.DataArray(wrong, labels, own, name)
    measured = found.measured()
    return Convergence(
        {
            measure: {
                name: constant[name].copy(data=measured[measure][at])
                for name, at in positions.items()
            }
            for measure in _MEASURES
        },
        constant,
        not_finite,
        _n_divergent(idata),
    )


def _draws_to_check(posterior, var_names):
    """Draws of the variables to check."""
    if var_names is not None:
        posterior = posterior[[var_names] if isinstance(var_names, str) else list(var_names)]
    if posterior.sizes.get("chain", 0) < 2:
        raise ValueError(
            "R-hat compares chains, and there is one only: sample at least 2, better 4."
        )
    numeric = [name for name, v in posterior.data_vars.items() if v.dtype.kind in "fiub"]
    if not numeric or posterior.sizes.get("draw", 0) == 0:
        raise ValueError("There are no draws of any variable to check.")
    return posterior[numeric]


def _blocks(values: xr.DataArray, own: list) -> Iterator[tuple]:
    """Parts (..., chain, draw) of a variable along its longest dim, and where they belong."""
    if not own:
        yield (), values.transpose(*_SAMPLE).to_numpy().astype(float)
        return
    longest = max(own, key=lambda d: values.sizes[d])
    size = values.sizes[longest]
    step = max(1, int(_BLOCK / (8 * values.size) * size)) if values.size else 1
    axis = own.index(longest)
    for start in range(0, size, step):
        part = slice(start, start + step)
        # First the part, then its order: what lies on disk would else be read as a whole.
        block = values.isel({longest: part}).load().transpose(*own, *_SAMPLE)
        yield (*(slice(None),) * axis, part), block.to_numpy().astype(float)


class _Elements:
    """
    ArviZ's R-hat and effective sample sizes of elements; NaN where one is constant.

    Each element takes milliseconds, and many have the same draws to the last bit: shares and
    preferences where everything is on the menu, or of rows that differ in nothing. These are
    measured once.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {}
        self.waiting: list[np.ndarray] = []
        self.found: dict[str, list[np.ndarray]] = {measure: [] for measure in _MEASURES}

    def add(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of elements among the measured ones, and which are constant or not finite."""
        shape, elements = block.shape[:-2], block.reshape(-1, *block.shape[-2:])
        same = (elements == elements[:, :1, :1]).all(axis=(1, 2))
        wrong = ~np.isfinite(elements).all(axis=(1, 2))
        at = np.full(len(elements), -1)  # -1: the last of the measures, which is NaN
        for i in np.flatnonzero(~same):
            key = blake2b(elements[i].tobytes()).digest()
            if key not in self.known:
                self.known[key] = len(self.known)
                self.waiting.append(elements[i])
            at[i] = self.known[key]
        if sum(element.nbytes for element in self.waiting) > _BLOCK / 2:
            self._measure()
        return at.reshape(shape), same.reshape(shape), wrong.reshape(shape)

    def measured(self) -> dict[str, np.ndarray]:
        """Each measure of all elements, NaN at the end."""
        self._measure()
        return {name: np.concatenate([*parts, [np.nan]]) for name, parts in self.found.items()}

    def _measure(self) -> None:
        if not self.waiting:
            return
        draws = xr.Dataset({"draws": (("element", *_SAMPLE), np.stack(self.waiting))})
        self.waiting.clear()
        with np.errstate(invalid="ignore", divide="ignore"):  # chains that each stand still
            self.found["rhat"].append(az.rhat(draws)["draws"].to_numpy())
            for kind in ("bulk", "tail"):
                self.found[f"ess_{kind}"].append(az.ess(draws, method=kind)["draws"].to_numpy())


def _n_divergent(idata):
    stats = idata.children.get("sample_stats")
    return 0 if stats is None or "diverging" not in stats else int(stats["diverging"].sum())


def _divergence_problems(n_divergent, limit):
    if n_divergent <= limit:
        return []
    return [f"{n_divergent} divergent transitions (limit {limit})"]


def _check_variable(name, measured, limits, constant, not_finite):
    """A variable's line of the table, and what is wrong with it, in words."""
    line = {"variable": name, "elements": constant.size, "constant": int(constant.sum())}
    problems = []
    if bool(not_finite.any()):
        problems.append(f"{name}{_first(not_finite)} has draws that are not finite")
    for measure, limit in limits.items():
        values = measured[measure]
        unknown = values.isnull() & ~constant & ~not_finite
        if bool(unknown.any()):
            problems.append(f"{name}{_first(unknown)} has too few draws to tell its {measure}")
        element, worst = _worst(values, highest=measure == "rhat")
        line[measure] = worst
        if measure == "rhat":
            line["worst"] = element
            if worst > limit:
                problems.append(f"{name}{element} has R-hat {worst:.3f} (limit {limit:g})")
        elif worst < limit:
            problems.append(f"{name}{element} has {measure} {worst:.0f} (limit {limit:g})")
    return line, problems


def _first(condition):
    """Name the first element for which a condition holds."""
    return _worst(condition.astype(float), highest=True)[0]


def _worst(values, highest):
    """Name the element with the highest or lowest value, and the value."""
    flat = values.stack(element=values.dims) if values.ndim else values.expand_dims("element")
    finite = flat.dropna("element")
    if finite.size == 0:
        return "", np.nan
    element = finite.isel(element=(finite.argmax if highest else finite.argmin)("element"))
    labels = [str(element[d].item()) for d in values.dims if d in element.coords]
    return (f"[{', '.join(labels)}]" if labels else ""), float(element)
