"""Write the tables of docs/validation.md: the model compared with published values, and with raw data if available.

python docs/validation.py [--raw FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pages import filled, table

from nanomg import models
from nanomg.formatting import format_number, percent
from nanomg.jobs.validate import page as validate_page
from nanomg.jobs.validate import run
from nanomg.library.toml import load_toml

PAGE = Path(__file__).with_suffix(".md")


def published() -> list[str]:
    """The results of `nanomg validate` for all tables."""
    found = run.validate().summary
    uses = {use: sum(rows[use] for rows in found["rows"].values()) for use in ("calibrate", "validate", "look")}
    lines = [
        f"{sum(uses.values())} published values in {len(found['rows'])} domains: {uses['validate']} used for validation, "
        f"{uses['calibrate']} for calibration, {uses['look']} not scored. "
        f"Directions: {found['signs']['right']} of {found['signs']['n']} correct.",
        "",
    ]
    headers = ("domain", "use", "result", "rows", "GMFE", "allowed", "noise floor", "≤ 1.25", "≤ 2", "in spread")
    lines += table(headers, map(domain, found["domains"]), right=7)
    lines += ["### Rows by use", ""]
    counts = ((name, *(str(rows[use]) for use in uses)) for name, rows in found["rows"].items())
    lines += table(("domain", "calibrate", "validate", "not scored"), counts, right=len(uses))
    lines += ["### Misses", ""]
    headers = ("domain", "use", "quantity", "source", "why", "predicted", "observed", "unit", "fold")
    lines += table(headers, map(miss, found["misses"]))
    lines += ["### Not scored", ""]
    looks = ((look["domain"], look["quantity"], look["source"], plain(look["reason"])) for look in found["looks"])
    return lines + table(("domain", "quantity", "source", "why it is not scored"), looks)


def domain(entry: Mapping[str, Any]) -> Sequence[str]:
    """A row of the table of domains."""
    allowed = format_number(entry["allowed"], 3) if entry["use"] == "validate" else ""
    shares = (percent(entry[key]) for key in ("within_1_25", "within_2", "within_2sd"))
    numbers = (
        str(entry["n"]),
        format_number(entry["gmfe"], 3),
        allowed,
        format_number(entry["noise_floor"], 3),
        *shares,
    )
    return entry["name"], entry["use"], validate_page.verdict_of(entry), *numbers


def miss(entry: Mapping[str, Any]) -> Sequence[str]:
    """A row of the table of misses."""
    values = (
        format_number(entry["predicted"], 3),
        format_number(entry["observed"], 3),
        entry["unit"],
        format_number(entry["fold"], 3),
    )
    return entry["domain"], entry["use"], plain(entry["quantity"]), entry["source"], plain(entry["reason"]), *values


def plain(text: str) -> str:
    """Text without the separator of table cells."""
    return text.replace("|", "/")


def raw_data(folder: Path) -> list[str]:
    """Errors of both parts of every study, each fitted again."""
    from nanomg.jobs.calibrate import run as calibrate_run

    shelf = models.library()
    rows: list[Sequence[str]] = []
    for name, path in sorted(shelf.studies.items()):
        found = calibrate_run.calibrate(load_toml(path)["fit"]["card"], name, raw=folder, library=shelf).summary
        for error in found["errors"]:
            square = f"{format_number(error['rmse'], 3)} {error['unit']}".removesuffix(" 1") if error["unit"] else ""
            rows.append(
                (
                    name,
                    error["part"],
                    error["series"] or "all",
                    square,
                    str(error["n"]),
                    format_number(error["gmfe"], 3),
                )
            )
    return table(("study", "part", "series", "root mean square error", "rows", "GMFE"), rows, right=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="folder of raw data; without it their table stays as it is")
    raw = parser.parse_args().raw
    page = filled(PAGE.read_text(encoding="utf-8"), "published numbers", published())
    if raw is not None:
        page = filled(page, "raw data", raw_data(raw))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
