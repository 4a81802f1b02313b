"""mrgsolve, an R package: noted in the table, run only where R and the package are there."""

from __future__ import annotations

import shutil
from typing import Any

from tools.base import Missing


class Mrgsolve:
    """Not driven from here yet: its LSODA is that of the row for LSODA in compiled code."""

    def __init__(self, *_: Any, **__: Any):
        if shutil.which("Rscript") is None:
            raise Missing("Rscript is not installed")
        raise Missing("R is here, but this benchmark does not write mrgsolve models; see the row of LSODA")
