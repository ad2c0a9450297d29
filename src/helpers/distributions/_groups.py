"""Rows that share one unknown menu. Without groups, `codes` is None and each row is alone."""

from typing import Any

import numpy as np
import pytensor.tensor as pt


def as_codes(group: Any) -> np.ndarray:
    """Number the groups from 0, in ascending order."""
    group = np.asarray(group)
    if group.ndim != 1 or group.dtype.kind not in "iu":
        raise ValueError(
            "`group` must be one whole number for each row, such as the codes of a "
            f"categorical; it has {group.ndim} axes of {group.dtype}."
        )
    return np.unique(group, return_inverse=True)[1]


def first_rows(codes: np.ndarray) -> np.ndarray:
    """The first row of each group."""
    return np.unique(codes, return_index=True)[1]


def refuse_unequal_psi(psi: np.ndarray | None, codes: np.ndarray) -> None:
    """Refuse a constant psi that differs within a group."""
    if psi is not None and psi.ndim > 1:
        differs = (psi != psi[first_rows(codes)][codes]).any(axis=-1)
        if differs.any():
            raise ValueError(
                "`psi` must be the same in all rows of a group; it is not in rows "
                f"{np.flatnonzero(differs)[:10].tolist()}."
            )


def known_of_groups(available: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """What is known of each group's menu from any of its rows, row by row."""
    on, off = (np.zeros((codes.max() + 1, available.shape[1]), bool) for _ in range(2))
    np.logical_or.at(on, codes, available == 1)
    np.logical_or.at(off, codes, available == 0)
    wrong = (on & off).any(axis=1)
    if wrong.any():
        raise ValueError(
            "Rows of one group share one menu, but `available` has the same category both on and "
            f"off it in groups {np.flatnonzero(wrong)[:10].tolist()}."
        )
    return np.where(on, 1.0, np.where(off, 0.0, np.nan))[codes]


def sum_of_group(values, codes):
    """Add up the rows of each group."""
    if codes is None:
        return values
    zeros = pt.zeros((int(codes.max()) + 1, *values.shape[1:]), dtype=values.dtype)
    return zeros[codes].inc(values)


def any_of_group(values, codes):
    """Whether something holds in any row of each group."""
    return values if codes is None else pt.gt(sum_of_group(values.astype("int64"), codes), 0)
