"""Exposure of a result file: noncompartmental parameters, their quantiles over subjects, who reaches a target.

python docs/analysis.py sweep.h5 pk.C --dose dose.amount --target "CMAX=2 mg/L" --target "AUCIFO=20 mg/L*h"
python docs/analysis.py run.h5 pk.C --dose "100 mg" --since "96 h" --tau "24 h"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import nanomg
from nanomg.analysis.cdisc import CODES


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("signal")
    parser.add_argument("--dose", help="an amount with unit, or the name of the axis that holds it")
    parser.add_argument("--target", action="append", default=[], metavar="CODE=VALUE")
    for name, default in (("route", "extravascular"), ("method", "linear-up log-down"), ("tolerance", "1e-6")):
        parser.add_argument(f"--{name}", default=default)
    for name in ("duration", "since", "tau", "baseline"):
        parser.add_argument(f"--{name}")
    given = vars(parser.parse_args(arguments))
    file, signal, targets = (given.pop(name) for name in ("file", "signal", "target"))

    result = nanomg.open(file)
    C = result["sweep" if "sweep" in result else "simulation"][signal]
    if given["dose"] in C.coords:
        given["dose"] = C[given["dose"]]
    exposure = nanomg.nca(C, **given | {"tolerance": float(given["tolerance"])}).compute()
    codes = [code for code in CODES if code in exposure]
    shown = nanomg.quantiles(exposure) if "subject" in C.dims else exposure
    table = shown[codes].to_dataframe()[codes].T
    table.index = [f"{code} [{exposure[code].attrs['units']}]" for code in codes]
    print(table.to_string(float_format="%.3g"))
    for target in targets:
        code, _, value = target.partition("=")
        reached = nanomg.attainment(exposure[code], value)
        print(f"\n{code} of {value} or more\n{reached.to_dataframe().to_string(float_format='%.3g')}")


if __name__ == "__main__":
    main()
