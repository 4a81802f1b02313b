"""What a page and the screen show of a feasibility analysis: the rise of tumour Mg over uncertainty of the cards."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg.formatting import format_number, percent
from nanomg.page.blocks import Block, Caution, Cell, Folded, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.ranks import Pairs, ranked
from nanomg.page.result import ResultReader

_PERCENTILES = ("5", "50", "95")
_MAIN, _MAIN_TEXT = "total, day", "rise of tumour free Mg over its best 24 h"
_MANY = 0.5  # share of samples that were rejected, above which a warning says so


def sentence(result: ResultReader) -> str:
    """The conclusion of the run."""
    return str(result.at("verdict") or "")


def blocks(result: ResultReader) -> Iterator[Block]:
    """What was sampled, the rise of each quantity, and how many samples reach each target."""
    entries = result.at("feasibility", "quantities") or {}
    targets = list(result.at("feasibility", "targets") or {})
    if _MAIN in entries:
        yield Tiles(
            [
                Tile(_MAIN_TEXT, _range_cell(result), entries[_MAIN]["unit"]),
                *(Tile(f"of the samples reach +{label} mmol/L", _share(result, _MAIN, label)) for label in targets),
            ],
            on_screen=False,
        )
    yield Text(_sampled(result), "note")
    rows = [
        (
            Cell(entry.get("text", name), name=name),
            *(result.cell("feasibility", "quantities", name, "rise", p, digits=3) for p in _PERCENTILES),
            *(_share(result, name, label) for label in targets),
        )
        for name, entry in entries.items()
    ]
    percentiles = tuple(f"{p} %" for p in _PERCENTILES)
    headers = ("", *percentiles, *(f"≥ +{label}" for label in targets))
    title = "Rise of free Mg compared with no Mg [mmol/L], and share of samples above"
    yield Table(headers, "p" + "r" * (len(headers) - 1), rows, title)
    for label in targets:
        factors = [
            (
                name,
                *(
                    result.cell("feasibility", "quantities", name, "targets", label, "shortfall", p, digits=3)
                    for p in _PERCENTILES
                ),
            )
            for name in entries
        ]
        title = f"Shortfall factor: target (+{label} mmol/L) / achieved rise (– no rise)"
        yield Folded(title, [Table(("", *percentiles), "prrr", factors)])
    yield Text(
        "peak: highest value; day: highest mean over 24 h; mean: over the whole period; local: total minus the part from serum, "
        "which is the rise of serum ionised Mg times the Donnan ratio",
        "note",
    )


def _sampled(result: ResultReader) -> str:
    found = result.at("feasibility") or {}
    return (
        f"{result.at('scenario')}: {found.get('draws')} samples of {found.get('sampled')} parameters, seed {found.get('seed')}, "
        f"{format_number((found.get('horizon_h') or 0.0) / 24)} d; {found.get('failed')} failed; "
        f"{percent(found.get('share_rejected'))} of the samples were implausible and were resampled"
    )


def _share(result: ResultReader, name: str, label: str) -> Cell:
    """The share of samples that reach a target."""
    cell = result.cell("feasibility", "quantities", name, "targets", label, "share")
    return cell if cell.value is None else cell._replace(text=f"{format_number(100 * cell.value, 3)} %")


def _range_cell(result: ResultReader) -> Cell:
    path = "feasibility", "quantities", _MAIN, "rise"
    ends = (format_number(result.at(*path, p), 2) for p in ("5", "95"))
    return result.cell(*path, "50", digits=2)._replace(note=f"5–95 %: {' – '.join(ends)}")


def drivers(result: ResultReader) -> Iterator[Block]:
    """Rank correlations of the rise with every sampled value."""
    data = result.group("feasibility")
    if data is None or not {"value", "rise"} <= set(data) or _MAIN not in data.get("quantity", ()):
        return
    rise = data["rise"].sel(quantity=_MAIN).values
    values = {str(p): data["value"].values[:, i] for i, p in enumerate(data["parameter"].values)}
    pairs = {name: Pairs(x, rise, "samples") for name, x in values.items()}
    yield from ranked(result, {_MAIN_TEXT: pairs})


def changes(result: ResultReader) -> Iterator[str]:
    """By how much the rise would have to grow to reach each target."""
    for label, target in (result.at("feasibility", "quantities", _MAIN, "targets") or {}).items():
        typical, best = (target.get("shortfall", {}).get(q) for q in ("50", "5"))
        if typical and typical > 1:
            ends = f"; the best 5 % of the samples {format_number(best, 2)} times" if best and best > 1 else ""
            yield f"To hold +{label} mmol/L for 24 h, the median sample needs {format_number(typical, 2)} times its rise{ends}."


def warnings(result: ResultReader) -> Iterator[Caution]:
    """A large share of samples that were rejected, by rule."""
    if (share := result.at("feasibility", "share_rejected")) and share > _MANY:
        rules = sorted((result.at("feasibility", "rejected") or {}).items(), key=lambda item: -item[1])[:4]
        counts = ", ".join(f"{rule} ({count})" for rule, count in rules)
        yield Caution(f"{percent(share)} of the samples were implausible and were resampled, by rule: {counts}.")


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for name, entry in result.summary["feasibility"]["quantities"].items():
        for quantile, value in entry["rise"].items():
            yield Quantity("rise", name, f"{quantile} %", entry["unit"]), value
        for label, target in entry["targets"].items():
            yield Quantity("share of samples", name, f"reaches +{label}", "1"), target["share"]
