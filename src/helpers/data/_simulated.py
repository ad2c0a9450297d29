"""Spreads, predictors, attributes and exposure of simulated tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from helpers.data._validate import checked_predictors
from helpers.data.messages import listing, require_known
from helpers.data.terms import Terms


class SimulatedAttributes:
    """Attributes and exposure, drawn from a stream of their own so that the rest stays the same."""

    def __init__(
        self,
        rng: np.random.Generator,
        slope: Mapping[str, float] | None,
        sd: Mapping[str, float] | None,
        exposure: tuple[float, float] | None,
        n_clusters: int,
    ) -> None:
        self.rng = rng.spawn(1)[0]
        self.names, sd = list(slope or {}), dict(sd or {})
        require_known("attribute", sd, self.names, " (given in `attribute_sd`)")
        if exposure is not None and not 0 < exposure[0] <= exposure[1]:
            raise ValueError(f"`exposure` must be two positive numbers in order, not {exposure}.")
        self.range = exposure
        self.slope = np.array([float(b) for b in (slope or {}).values()])
        self.sd = np.array([float(sd.get(name, 0.0)) for name in self.names])
        self.slopes = self.slope + self.sd * self.rng.normal(size=(n_clusters, len(self.names)))

    def by_row(self, cluster: np.ndarray, n_categories: int) -> np.ndarray:
        """Draw attributes, and return what they add to the logits, (R, K)."""
        shape = len(cluster), n_categories
        z = self.rng.normal(size=(len(self.names), *shape))
        self.values = dict(zip(self.names, z, strict=True))
        self.log_exposure = np.zeros(shape)
        if self.range is not None:
            self.log_exposure = np.log(self.rng.uniform(*self.range, size=shape))
        return np.einsum("qrk,rq->rk", z, self.slopes[cluster])

    def exposure(self, available: np.ndarray) -> np.ndarray | None:
        return None if self.range is None else np.where(available, np.exp(self.log_exposure), 0.0)

    @property
    def truth(self) -> dict[str, Any]:
        if not self.names:
            return {}
        return {
            "attribute_slope": ("attribute", self.slope),
            "attribute_sd": ("attribute", self.sd),
            "attribute_slopes": (("cluster", "attribute"), self.slopes),
        }


class SimulatedPredictors:
    """Columns of the predictors that are given, and slopes that all clusters share."""

    def __init__(
        self,
        rng: np.random.Generator,
        predictors: pd.DataFrame | None,
        formula: str | None,
        slope: ArrayLike | None,
        effects: str,
        shape: tuple[int, int],
    ) -> None:
        self.frame, self.columns, self.slope = None, pd.DataFrame(), np.zeros((0, shape[1] - 1))
        if predictors is None:
            if formula is not None or slope is not None:
                raise ValueError(
                    "`formula` and `slope` need `predictors`, a frame of one row each."
                )
            return
        if effects == "slopes":
            raise ValueError(
                'Slopes of `predictors` are the same in all clusters: take effects="intercepts" or '
                '"pooled". With effects="slopes", the one predictor x is drawn.'
            )
        if len(predictors) != shape[0]:
            raise ValueError(
                f"`predictors` has {len(predictors)} rows; there are {shape[0]}, clusters times "
                "dates, with the dates of a cluster together."
            )
        self.frame = checked_predictors(predictors.reset_index(drop=True), pd.RangeIndex(shape[0]))
        self.columns = Terms.of(self.frame, formula).columns
        self.slope = self._checked(rng, slope, (self.columns.shape[1], shape[1] - 1))

    def _checked(
        self, rng: np.random.Generator, slope: ArrayLike | None, shape: tuple[int, int]
    ) -> np.ndarray:
        """Slopes by column and contrast; drawn for columns of standard deviation 1 if not given."""
        if slope is None:
            sd = self.columns.std(ddof=0).to_numpy()[:, None]
            return np.divide(rng.normal(0, 0.3, size=shape), sd, out=np.zeros(shape), where=sd > 0)
        found = np.asarray(slope, dtype=float)
        if found.shape != shape or not np.isfinite(found).all():
            raise ValueError(
                f"`slope` must be finite numbers of shape {shape}: one line for each of "
                f"{listing(self.columns)}, and one column for each category but the last."
            )
        return found

    def by_row(self) -> np.ndarray | float:
        """What the predictors add to the contrasts' logits, (R, K - 1)."""
        return 0.0 if self.frame is None else self.columns.to_numpy() @ self.slope

    @property
    def truth(self) -> dict[str, Any]:
        if self.frame is None:
            return {}
        coords = {"predictor": list(self.columns)}
        return {"slope": xr.DataArray(self.slope, coords, dims=("predictor", "contrast"))}


def given_spreads(n_categories: int, **given: ArrayLike | None) -> dict[str, np.ndarray]:
    """Those that are given, one for each category."""
    spreads = {}
    for name, values in given.items():
        if values is None:
            continue
        spread = np.asarray(values, dtype=float)
        if spread.shape not in ((), (n_categories,)) or not (spread >= 0).all():
            raise ValueError(
                f"`{name}` must be 0 or more, one number or one for each of the {n_categories} "
                "categories, the reference included."
            )
        spreads[name] = np.broadcast_to(spread, n_categories).copy()
    return spreads
