"""Has the sampler converged?"""

from hashlib import blake2b

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["ConvergenceError", "check_convergence"]


class ConvergenceError(RuntimeError):
    """Raised when draws must not be used yet."""


def _worst(values, better):
    """Name the element of a variable that has the worst value, and the value."""
    flat = values.stack(element=values.dims) if values.ndim else values.expand_dims("element")
    finite = flat.dropna("element")
    if finite.size == 0:
        return "", np.nan
    at = finite.argmin("element") if better == "high" else finite.argmax("element")
    element = finite.isel(element=at)
    labels = [str(element[d].item()) for d in values.dims if d in element.coords]
    return (f"[{', '.join(labels)}]" if labels else ""), float(element)


def _measures(posterior, constant):
    """
    ArviZ's R-hat and effective sample sizes of each element; not a number where it is constant.

    Each element takes milliseconds, and many have the same draws to the last bit: shares and
    preferences where everything is on the menu, or of rows that differ in nothing. These are
    measured once.
    """
    distinct, places = {}, {}
    for name, values in posterior.data_vars.items():
        elements = values.transpose(..., "chain", "draw").to_numpy()
        elements = elements.reshape(-1, *elements.shape[-2:])
        places[name] = []
        for same, draws in zip(constant[name].to_numpy().ravel(), elements, strict=True):
            key = blake2b(draws.tobytes()).digest()
            place = -1 if same else distinct.setdefault(key, (len(distinct), draws))[0]
            places[name].append(place)
    n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
    draws = np.empty((len(distinct) + 1, n_chains, n_draws))
    for place, element in distinct.values():
        draws[place] = element
    draws[-1] = np.nan
    draws = xr.Dataset({"draws": (("element", "chain", "draw"), draws)})
    with np.errstate(invalid="ignore", divide="ignore"):  # chains that each stand still
        measured = {
            "rhat": az.rhat(draws),
            "ess_bulk": az.ess(draws, method="bulk"),
            "ess_tail": az.ess(draws, method="tail"),
        }
    return {
        measure: {
            name: constant[name].copy(
                data=found["draws"].to_numpy()[places[name]].reshape(constant[name].shape)
            )
            for name in places
        }
        for measure, found in measured.items()
    }


def check_convergence(idata, *, rhat=1.01, ess=400, divergences=0, var_names=None):
    """
    Check that the draws may be used, and raise if not.

    Unlike :func:`arviz.summary`, which shows the diagnostics and leaves the verdict to the
    reader, it fails: a notebook that calls it cannot go on with draws that did not converge.

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
    var_names : list of str, optional
        Variables to look at; all if not given.

    Returns
    -------
    pandas.DataFrame
        One line per variable: number of elements, worst R-hat, worst bulk and tail effective
        sample sizes and the element that has the worst R-hat. Elements that are the same in all
        draws by construction (a diagonal of ones) are left out and counted in ``constant``.

    Raises
    ------
    ConvergenceError
        If any limit is broken, naming variables and elements, with what to try.
    ValueError
        If there is one chain only, or no draws.

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
    posterior = idata["posterior"].to_dataset()
    if var_names is not None:
        posterior = posterior[[var_names] if isinstance(var_names, str) else list(var_names)]
    if posterior.sizes.get("chain", 0) < 2:
        raise ValueError(
            "R-hat compares chains, and there is one only: sample at least 2, better 4."
        )
    numeric = [name for name, v in posterior.data_vars.items() if v.dtype.kind in "fiub"]
    if not numeric or posterior.sizes.get("draw", 0) == 0:
        raise ValueError("There are no draws of any variable to check.")
    posterior = posterior[numeric].astype(float)
    constant = (posterior == posterior.isel(chain=0, draw=0)).all(("chain", "draw"))
    measures = _measures(posterior, constant)
    lines, problems = [], []
    for name in posterior.data_vars:
        line = {"variable": name, "elements": int(constant[name].size)}
        line["constant"] = int(constant[name].sum())
        not_finite = ~np.isfinite(posterior[name]).all(("chain", "draw"))
        if bool(not_finite.any()):
            element, _ = _worst(not_finite.astype(float), "low")
            problems.append(f"{name}{element} has draws that are not finite")
        for measure, values in measures.items():
            values = values[name]
            element, worst = _worst(values, "low" if measure == "rhat" else "high")
            line[measure] = worst
            unknown = values.isnull() & ~constant[name] & ~not_finite
            if bool(unknown.any()):
                element_unknown, _ = _worst(unknown.astype(float), "low")
                problems.append(f"{name}{element_unknown} has too few draws to tell its {measure}")
            if measure == "rhat":
                line["worst"] = element
                if worst > rhat:
                    problems.append(f"{name}{element} has R-hat {worst:.3f} (limit {rhat:g})")
            elif worst < ess:
                problems.append(f"{name}{element} has {measure} {worst:.0f} (limit {ess:g})")
        lines.append(line)
    n_divergent = 0
    if "sample_stats" in idata.children and "diverging" in idata["sample_stats"].data_vars:
        n_divergent = int(idata["sample_stats"]["diverging"].sum())
    if n_divergent > divergences:
        problems.insert(0, f"{n_divergent} divergent transitions (limit {divergences})")
    columns = ["variable", "elements", "constant", "rhat", "ess_bulk", "ess_tail", "worst"]
    table = pd.DataFrame(lines, columns=columns).set_index("variable")
    if problems:
        raise ConvergenceError(
            f"The draws must not be used yet: {'; '.join(problems[:12])}"
            + (f"; and {len(problems) - 12} more" if len(problems) > 12 else "")
            + ". Try more tuning and draws, another parametrisation, or a higher target_accept."
        )
    return table
