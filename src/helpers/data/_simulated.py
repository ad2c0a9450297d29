"""Attributes and exposure of simulated tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from helpers.data.messages import require_known


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
