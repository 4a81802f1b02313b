"""How particles leave a tumour's vessels."""

from __future__ import annotations

from nanomg import Scalar


def extravasation(K: Scalar, mass: Scalar, reference: Scalar, thinning: Scalar) -> Scalar:
    """Clearance from plasma into a tumour of `mass` [mL/h]: `K` per mass at the `reference` mass, less as vessels thin out.

    `thinning` is the power by which the clearance per mass falls; 1/3 where vessels grow with the tumour's surface.
    """
    return K * mass * (mass / reference) ** -thinning
