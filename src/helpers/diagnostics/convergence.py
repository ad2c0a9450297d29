"""Has the sampler converged?"""

from collections.abc import Sequence
from hashlib import blake2b

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["ConvergenceError", "check_convergence"]

_SAMPLE = ("chain", "draw")


class ConvergenceError(RuntimeError):
    """Raised when the draws must not be used yet."""


def check_convergence(
    idata: xr.DataTree,
    *,
    rhat: float = 1.01,
    ess: float = 400,
    divergences: float = 0,
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
    posterior = _numeric_draws(idata["posterior"].to_dataset(), var_names)
    constant = (posterior == posterior.isel(chain=0, draw=0)).all(_SAMPLE)
    not_finite = ~np.isfinite(posterior).all(_SAMPLE)
    measures = _measures(posterior, constant)
    limits = {"rhat": rhat, "ess_bulk": ess, "ess_tail": ess}
    lines, problems = [], _divergence_problems(idata, divergences)
    for name in posterior.data_vars:
        measured = {measure: measures[measure][name] for measure in limits}
        line, wrong = _check_variable(name, measured, limits, constant[name], not_finite[name])
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


def _numeric_draws(posterior, var_names):
    """Draws of the variables to check, as floats."""
    if var_names is not None:
        posterior = posterior[[var_names] if isinstance(var_names, str) else list(var_names)]
    if posterior.sizes.get("chain", 0) < 2:
        raise ValueError(
            "R-hat compares chains, and there is one only: sample at least 2, better 4."
        )
    numeric = [name for name, v in posterior.data_vars.items() if v.dtype.kind in "fiub"]
    if not numeric or posterior.sizes.get("draw", 0) == 0:
        raise ValueError("There are no draws of any variable to check.")
    return posterior[numeric].astype(float)


def _measures(posterior, constant):
    """
    ArviZ's R-hat and effective sample sizes of each element; NaN where it is constant.

    Each element takes milliseconds, and many have the same draws to the last bit: shares and
    preferences where everything is on the menu, or of rows that differ in nothing. These are
    measured once.
    """
    distinct: dict[bytes, tuple[int, np.ndarray]] = {}
    positions: dict[str, list[int]] = {}
    for name, values in posterior.data_vars.items():
        elements = values.transpose(..., *_SAMPLE).to_numpy()
        elements = elements.reshape(-1, *elements.shape[-2:])
        positions[name] = []
        for same, draws in zip(constant[name].to_numpy().ravel(), elements, strict=True):
            key = blake2b(draws.tobytes()).digest()
            # -1: the last row of `draws`, which is NaN.
            position = -1 if same else distinct.setdefault(key, (len(distinct), draws))[0]
            positions[name].append(position)
    draws = np.full((len(distinct) + 1, *(posterior.sizes[d] for d in _SAMPLE)), np.nan)
    for position, element in distinct.values():
        draws[position] = element
    dataset = xr.Dataset({"draws": (("element", *_SAMPLE), draws)})
    with np.errstate(invalid="ignore", divide="ignore"):  # chains that each stand still
        measured = {
            "rhat": az.rhat(dataset),
            "ess_bulk": az.ess(dataset, method="bulk"),
            "ess_tail": az.ess(dataset, method="tail"),
        }
    return {
        measure: {
            name: constant[name].copy(
                data=found["draws"].to_numpy()[positions[name]].reshape(constant[name].shape)
            )
            for name in positions
        }
        for measure, found in measured.items()
    }


def _divergence_problems(idata, limit):
    if "sample_stats" not in idata.children or "diverging" not in idata["sample_stats"].data_vars:
        return []
    n_divergent = int(idata["sample_stats"]["diverging"].sum())
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
