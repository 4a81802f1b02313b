"""The answer of a report: for each kind of result its sentence, the numbers that matter and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nanomg import kinds
from nanomg.datasets import BASELINE
from nanomg.drawing import drawn_in, unit_text
from nanomg.facts import Facts
from nanomg.page import Cell, Folded, Table, Text, Tile, Tiles
from nanomg.validation import verdict_of
from nanomg.verdict import HOURS, local_share
from nanomg.wording import ACTIVE, EXCEEDED, MISSING, factor, number, percent, span, state_of_limit

_SHOWN = 12  # rows that a table of the most important shows
_LARGE = 4  # outputs or values shown large


def sentence(facts: Facts) -> str:
    """The answer in plain words: the verdict of the summary where the run gave one."""
    if "verdict" in facts.summary:
        return str(facts.summary["verdict"])
    return (
        _SENTENCES.get(facts.kind, lambda _: "")(facts)
        or "The file holds no summary, so the answer is not put in words."
    )


def blocks(facts: Facts) -> Iterator[Any]:
    """Tiles and tables that carry the answer; nothing where the file has no summary."""
    if facts.summary and facts.kind in _BLOCKS:
        yield from _BLOCKS[facts.kind](facts)


# ---------------------------------------------------------------- simulations and optimisations
def _simulation(facts: Facts) -> Iterator[Any]:
    yield Tiles(_mg_tiles(facts) if facts.at("mg") else _output_tiles(facts))
    yield _signals(facts)
    if facts.at("mg"):
        yield _mg_table(facts)


def _output_tiles(facts: Facts) -> list[Tile]:
    """How high the first outputs rise, where there is no effect of Mg to show."""
    return [
        Tile(
            f"{facts.glossary.get(name, name)}, highest",
            facts.cell("signals", name, "max")._replace(note=f"at the end: {number(signal['final'])}"),
            signal["unit"],
        )
        for name, signal in list((facts.at("signals") or {}).items())[:_LARGE]
    ]


def _mg_tiles(facts: Facts) -> list[Tile]:
    hours = [
        Tile(f"tumour free Mg above +{label} mmol/L", _ends(facts, "mg", key), "h/day") for key, label in HOURS.items()
    ]
    gain = _ends(facts, "mg", "mean_competence_gain", scale=100.0, sign="+")
    peak = facts.cell("mg", "peak_rise", "value", digits=2)
    local = facts.cell("mg", "share_local")._replace(text=percent(local_share(facts.at("mg"))))
    return [
        *hours,
        Tile("highest rise of tumour free Mg", peak, str(facts.at("mg", "peak_rise", "unit") or "")),
        Tile("mean T-cell competence", gain, "%"),
        Tile("of the mean rise is local", local),
    ]


def _ends(facts: Facts, *path: str, scale: float = 1.0, sign: str = "") -> Cell:
    """The span over hypotheses of a number of the summary."""
    values = [v * scale for v in (facts.at(*path) or {}).values() if v is not None]
    if not values:
        return Cell("–")
    low, high = (f"{v:{sign}.1f}" for v in (min(values), max(values)))
    return Cell(low if low == high else f"{low} to {high}", note=f"across {', '.join(sorted(facts.at(*path)))}")


def _mg_table(facts: Facts) -> Table:
    hypotheses = sorted(facts.summary["mg"]["mean_competence_gain"])
    arms = {"as dosed": ("mg",)} | ({"given free": ("mg", "free")} if facts.at("mg", "free") else {})
    lines = {key: f"hours per day above +{label} mmol/L" for key, label in HOURS.items()}
    rows: list[Sequence[Any]] = [
        [text, *(facts.cell(*path, key, h, digits=3) for path in arms.values() for h in hypotheses)]
        for key, text in lines.items()
    ]
    gains = [_percent_of(facts, *path, "mean_competence_gain", h) for path in arms.values() for h in hypotheses]
    rows.append(["mean gain of T-cell competence [%]", *gains])
    for key, text in {"mean_rise": "mean rise [mmol/L]", "peak_rise": "highest rise [mmol/L]"}.items():
        blank = [""] * (len(hypotheses) - 1)
        rows.append([text, *(c for path in arms.values() for c in (facts.cell(*path, key, "value", digits=3), *blank))])
    headers = ["", *(f"{arm}, {h}" for arm in arms for h in hypotheses)]
    return Table(
        headers,
        "p" + "r" * (len(headers) - 1),
        rows,
        "Magnesium in the tumour against the same treatment without it, under each hypothesis of what Mg does to LFA-1",
    )


def _percent_of(facts: Facts, *path: str) -> Cell:
    """A share of the summary in per cent."""
    cell = facts.cell(*path)
    return cell._replace(text=number(None if cell.value is None else 100 * cell.value, 2))


_MEASURES = {"initial": "at the start", "final": "at the end", "min": "lowest", "max": "highest", "auc": "area (× h)"}


def _signals(facts: Facts) -> Any:
    rows = []
    signals = facts.at("signals") or {}
    for name, signal in signals.items():
        cells = []
        for key in _MEASURES:
            cell = facts.cell("signals", name, key)
            ends = signal.get("range", {}).get(key)
            cells.append(Cell(cell.text, cell.value, cell.key, span(*ends) if ends else ""))
        rows.append((facts.name(name), signal.get("unit", ""), *cells))
    if not rows:
        return Text("The summary lists no outputs.", "note")
    many = any("range" in signal for signal in signals.values())
    caption = "The outputs: median of the subjects, with the lowest and highest of them" if many else "The outputs"
    return Table(("", "unit", *_MEASURES.values()), "purrrrr", rows, caption)


def _optimum(facts: Facts) -> Iterator[Any]:
    tiles = [Tile("limits", _kept_limits(facts))]
    if (first := next(iter(facts.at("signals") or {}), None)) is not None:
        after = facts.cell("signals", first, "final")._replace(note=_at_baseline(facts, first))
        tiles.append(Tile(f"{facts.glossary.get(first, first)}, at the end", after, facts.at("signals", first, "unit")))
    weighed = facts.cell("objective")._replace(note=f"baseline: {number(facts.at('baseline_objective'))}")
    tiles.append(Tile("objective, lower is better", weighed))
    yield Tiles([*tiles, *(_mg_tiles(facts) if facts.at("mg") else ())])
    terms = [
        (name, *(facts.cell("terms", name, key) for key in ("baseline", "optimum"))) for name in facts.at("terms") or {}
    ]
    total = ("total", facts.cell("baseline_objective"), facts.cell("objective"))
    yield Table(("term of the objective", "before", "optimum"), "prr", [*terms, total], "What was weighed")
    yield _limits(facts)
    yield _signals(facts)
    if facts.at("mg"):
        yield _mg_table(facts)


def _kept_limits(facts: Facts) -> Cell:
    """Whether every limit is kept under the hypothesis of the search, and under which others one is passed."""
    first, passing = "", set()
    for c in facts.at("constraints") or ():
        reached = c.get("value_by_hypothesis") or {}
        first = next(iter(reached), first)
        slack = {h: None if value is None else c["limit"] - value for h, value in reached.items()}
        passing |= {h for h, room in slack.items() if h != first and state_of_limit(c["limit"], room) == EXCEEDED}
    note = f"under {first}; one is passed under {', '.join(sorted(passing))}" if passing else ""
    return Cell({True: "all kept", False: "NOT KEPT"}.get(facts.at("feasible"), MISSING), note=note)


def _at_baseline(facts: Facts, name: str) -> str:
    """Where the baseline regimen ends, in the unit of the summary."""
    courses = facts.group("simulation")
    if courses is None or name not in courses or BASELINE not in courses.get("regimen", ()):
        return ""
    course = courses[name].sel(regimen=BASELINE).isel(scenario=0, time=-1)
    scale, _ = drawn_in(str(course.attrs.get("units", "")), facts.at("signals", name, "unit"))
    return f"baseline: {number(float(course) * scale)}"


def _limits(facts: Facts) -> Any:
    rows = [
        (c["name"], *(facts.cell("constraints", i, key) for key in ("limit", "value", "slack")), c["unit"], state(c))
        for i, c in enumerate(facts.at("constraints") or [])
    ]
    return Table(("limit", "allowed", "reached", "room", "unit", ""), "prrrul", rows, "The limits at the optimum")


HOLDS = "holds the optimum back"
_STATES = {ACTIVE: HOLDS, EXCEEDED: "passed"}


def state(constraint: Mapping[str, Any]) -> str:
    """Whether a limit holds the optimum back."""
    found = state_of_limit(constraint.get("limit"), constraint.get("slack"))
    return _STATES.get(found, found)


# ---------------------------------------------------------------- sweeps and prior-predictive draws
def _sweep(facts: Facts) -> Iterator[Any]:
    quantities = facts.at("sweep") or {}
    yield Tiles(
        [
            Tile("trajectories", Cell(f"{facts.at('trajectories') or 0:,}", facts.at("trajectories"), "trajectories")),
            Tile("failed", Cell(f"{facts.at('failed') or 0:,}", facts.at("failed"), "failed")),
            *(
                Tile(f"{_kept(facts, n).text}: median", _middle(facts, n), q["unit"])
                for n, q in list(quantities.items())[:2]
            ),
        ]
    )
    rows = [
        (
            _kept(facts, name),
            each["unit"],
            *(facts.cell("sweep", name, key) for key in ("min", "q05", "median", "q95", "max")),
        )
        for name, each in quantities.items()
    ]
    yield Table(
        ("", "unit", "lowest", "5 %", "50 %", "95 %", "highest"),
        "purrrrr",
        rows,
        "Over all trajectories that were solved",
    )
    if who := facts.at("population"):
        turned = f"{percent(who.get('share_rejected'))} of the candidates were not plausible and were drawn again"
        yield Text(f"Subjects: {who.get('title')}; {who.get('varied')} parameters vary between them; {turned}.")


def _middle(facts: Facts, name: str) -> Cell:
    cell = facts.cell("sweep", name, "median")
    return Cell(
        cell.text, cell.value, cell.key, f"5–95 %: {span(*(facts.at('sweep', name, q) for q in ('q05', 'q95')))}"
    )


def _kept(facts: Facts, label: str) -> Cell:
    """What a sweep keeps, in words."""
    group = facts.group("sweep")
    text = group[label].attrs.get("long_name") if group is not None and label in group else None
    return Cell(str(text), note=label) if text else Cell(label)


def _feasibility(facts: Facts) -> Iterator[Any]:
    quantities = facts.at("feasibility", "quantities") or {}
    first = "total, day"
    if first in quantities:
        targets = quantities[first].get("targets", {})
        yield Tiles(
            [
                Tile(
                    "rise of tumour free Mg over its best 24 h",
                    _percentiles(facts, "feasibility", "quantities", first, "rise"),
                    quantities[first]["unit"],
                ),
                *(
                    Tile(f"of the draws reach +{label} mmol/L", Cell(_share(target["share"]), target["share"], ""))
                    for label, target in targets.items()
                ),
            ]
        )
    rises = [
        (
            Cell(q.get("text", name), note=name),
            *(facts.cell("feasibility", "quantities", name, "rise", p, digits=3) for p in _P),
        )
        for name, q in quantities.items()
    ]
    columns = ("", *(f"{p} %" for p in _P))
    yield Table(columns, "prrr", rises, "Rise of free Mg against the same treatment without Mg [mmol/L]")
    for label in facts.at("feasibility", "targets") or {}:
        rows = [
            (
                name,
                *(
                    facts.cell("feasibility", "quantities", name, "targets", label, "shortfall", p, digits=3)
                    for p in _P
                ),
                facts.cell("feasibility", "quantities", name, "targets", label, "share", digits=3),
            )
            for name in quantities
        ]
        table = Table((*columns, "share of draws that reach it"), "prrrr", rows)
        yield Folded(f"How many times each falls short of +{label} mmol/L", [table])


_P = ("5", "50", "95")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{number(100 * value, 3)} %"


def _percentiles(facts: Facts, *path: str) -> Cell:
    cell = facts.cell(*path, "50", digits=2)
    ends = (number(facts.at(*path, p), 2) for p in ("5", "95"))
    return Cell(cell.text, cell.value, cell.key, f"5–95 %: {' – '.join(ends)}")


# ---------------------------------------------------------------- against data
_JUDGES = "validate"
_USES = {_JUDGES: "kept aside", "calibrate": "fitted", "look": "looked at"}


def _validation_sentence(facts: Facts) -> str:
    domains = _judging(facts)
    judged = [d for d in domains if d.get("stands") is not None]
    stands = (
        f"{sum(d['stands'] for d in judged)} of {len(judged)} domains that are judged stand"
        if judged
        else "No domain is judged"
    )
    missed, count = _missed_of(facts, domains)
    return f"{stands}: the model against {count} published numbers kept aside to judge it, of which it misses {missed}."


def _judging(facts: Facts) -> list[Mapping[str, Any]]:
    """The entries of domains for their rows that judge the model."""
    return [d for d in facts.at("domains") or () if d["use"] == _JUDGES]


def _missed_of(facts: Facts, domains: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many of the rows that judge the model are missed, and how many there are."""
    missed = sum(row["use"] == _JUDGES for row in facts.at("misses") or ())
    return missed, sum(d["n"] for d in domains)


def _validation(facts: Facts) -> Iterator[Any]:
    signs = facts.at("signs") or {}
    domains = list(enumerate(facts.at("domains") or []))
    judged = [(i, d) for i, d in domains if d["use"] == _JUDGES]
    missed, count = _missed_of(facts, [d for _, d in judged])
    tiles = [Tile("published numbers kept aside are missed", Cell(f"{missed} of {count}"))]
    if signs.get("n"):
        right = facts.cell("signs", "right")
        tiles.append(Tile("directions right", right._replace(text=f"{right.text} of {signs['n']}")))
    yield Tiles(tiles)
    headers = (
        "domain",
        "rows",
        "mean fold error",
        "allowed",
        "between studies",
        "≤\N{NO-BREAK SPACE}1.25",
        "≤\N{NO-BREAK SPACE}2",
        "in spread",
        "verdict",
    )
    keys = ("gmfe", "allowed", "noise_floor")
    shares = ("within_1_25", "within_2", "within_2sd")
    for chosen, title in (
        (judged, "Numbers kept aside to judge the model"),
        ([r for r in domains if r not in judged], "Numbers that values were fitted to or chosen by"),
    ):
        rows = [
            (
                Cell(d.get("title", d["name"]), note=d["name"]),
                facts.cell("domains", i, "n"),
                *(facts.cell("domains", i, key, digits=3) for key in keys),
                *(Cell(percent(d.get(key)), d.get(key), f"domains/{i}/{key}") for key in shares),
                verdict_of(d),
            )
            for i, d in chosen
        ]
        if rows:
            yield Table(headers, "prrrrrrrl", rows, title)
    listed = ("quantity", "domain", "use", "predicted", "observed", "range", "unit", "fold error", "source", "why")
    for key, title in (("misses", "Every miss"), ("looks", "Rows that are looked at only, and judge nothing")):
        if found := [_missed(facts, key, i, row) for i, row in enumerate(facts.at(key) or [])]:
            yield Folded(f"{title}: {len(found)}", [Table(listed, "pllrrlurlp", found)])


def _missed(facts: Facts, key: str, i: int, row: Mapping[str, Any]) -> Sequence[Any]:
    numbers = [facts.cell(key, i, which, digits=3) for which in ("predicted", "observed")]
    ends = span(row.get("low"), row.get("high")) if None not in (row.get("low"), row.get("high")) else ""
    source = " ".join(filter(None, (row.get("source"), row.get("place"))))
    return (
        row["quantity"],
        row["domain"],
        _USES.get(row["use"], row["use"]),
        *numbers,
        ends,
        row["unit"],
        facts.cell(key, i, "fold", digits=3),
        source,
        row.get("reason") or "",
    )


def _calibration_sentence(facts: Facts) -> str:
    error = next((e for e in facts.at("errors") or [] if e["part"] == "fit" and not e["series"]), None)
    fitted = f"{facts.at('card')} fitted to {facts.at('title')}"
    if error is None:
        return f"{fitted}."
    before, after = (number(error[key], 3) for key in ("gmfe_at_start", "gmfe"))
    return f"{fitted}: the mean fold error over {error['n']} rows went from {before} to {after}. {facts.at('identifiability')}"


def _calibration(facts: Facts) -> Iterator[Any]:
    starts = facts.at("starts") or {}
    yield Tiles(
        [
            Tile(
                facts.glossary.get(name, name),
                Cell(
                    number(p["estimate"], 3),
                    p["estimate"],
                    f"parameters/{name}/estimate",
                    f"{span(p['low'], p['high'])}, 5–95 %",
                ),
                p["unit"],
            )
            for name, p in list((facts.at("parameters") or {}).items())[:_LARGE]
        ]
    )
    rows = [
        (
            facts.name(name),
            p["unit"],
            *(facts.cell("parameters", name, key) for key in ("start", "estimate")),
            facts.cell("parameters", name, "se", digits=2),
            Cell(percent(p["cv"]), p["cv"], f"parameters/{name}/cv"),
            span(p["low"], p["high"]),
            span(*p["bounds"]),
            f"at its {p['bound']} bound" if p["bound"] else "with a prior" if p["prior"] else "",
        )
        for name, p in (facts.at("parameters") or {}).items()
    ]
    yield Table(
        ("parameter", "unit", "before", "fitted", "standard error", "CV", "5–95 %", "bounds", ""),
        "purrrrlll",
        rows,
        "The fitted values",
    )
    errors = [
        (
            {"fit": "fitted", "judge": "kept aside"}.get(e["part"], e["part"]),
            e["series"] or "all",
            facts.cell("errors", i, "n"),
            facts.cell("errors", i, "failed"),
            *(facts.cell("errors", i, key, digits=3) for key in ("gmfe_at_start", "gmfe", "rmse")),
            e["unit"] or "",
        )
        for i, e in enumerate(facts.at("errors") or [])
    ]
    yield Table(
        ("rows", "series", "number", "failed", "fold error before", "fold error after", "rms error", "unit"),
        "lprrrrru",
        errors,
        "How far predictions lie from the data",
    )
    data = [
        (
            r["quantity"],
            {"fit": "fitted", "judge": "kept aside"}.get(r["part"], r["part"]),
            *(facts.cell("rows", i, key) for key in ("observed", "predicted")),
            r["unit"],
            facts.cell("rows", i, "fold", digits=3),
            r.get("failed") or "",
        )
        for i, r in enumerate(facts.at("rows") or [])
    ]
    table = Table(("quantity", "use", "observed", "predicted", "unit", "fold error", ""), "plrrurp", data)
    yield Folded(f"Every row of the data: {len(data)}", [table])
    yield Text(
        f"{starts.get('n')} starts, {starts.get('converged')} converged, {starts.get('same_optimum')} ended at the best optimum.",
        "note",
    )


# ---------------------------------------------------------------- sensitivities
def _sensitivity_sentence(facts: Facts) -> str:
    said = []
    for output in facts.at("outputs") or []:
        value = (
            f"{capital(output['text'])} is {number(output['value'])} {unit_text(output['unit']).strip('–')}".rstrip()
        )
        measure, rows = _moving(facts, output["output"])
        most = [(facts.glossary.get(r["parameter"], r["parameter"]), number(r[measure], 2)) for _, r in rows[:3]]
        if measure == "elasticity":
            moved = "What moves it most, for 1 % more of each: " + ", ".join(f"{name} ({by} %)" for name, by in most)
        else:
            moved = "Its steepest slopes: " + ", ".join(f"{name} ({by})" for name, by in most)
        said.append(f"{value}. {moved}." if most else f"{value}; nothing moves it.")
    return " ".join(said)


def capital(text: str) -> str:
    """Text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def _moving(facts: Facts, output: str) -> tuple[str, list[tuple[int, Mapping[str, Any]]]]:
    """The elasticities of an output with their place in the summary, the largest first; its slopes where it is 0 and has none."""
    own = [(i, r) for i, r in enumerate(facts.at("elasticities") or []) if r["output"] == output]
    measure = "elasticity" if any(r["elasticity"] for _, r in own) else "slope"
    return measure, sorted((item for item in own if item[1][measure]), key=lambda item: -abs(item[1][measure]))


def _sensitivity(facts: Facts) -> Iterator[Any]:
    outputs = facts.at("outputs") or []
    yield Tiles([Tile(o["text"], facts.cell("outputs", i, "value"), o["unit"]) for i, o in enumerate(outputs)])
    for output in outputs:
        measure, moving = _moving(facts, output["output"])
        rows = [
            (
                Cell(r["text"], note=r["parameter"]),
                facts.cell("elasticities", i, measure, digits=3),
                facts.cell("elasticities", i, "value"),
                r["unit"],
                span(r["low"], r["high"]) if r["low"] is not None else "",
                factor(r["range_effect"]),
                r["basis"],
            )
            for i, r in moving[:_SHOWN]
        ]
        yield Table(
            ("what it is", measure, "value", "unit", "range", "over it", "known"),
            "prrulrl",
            rows,
            f"What moves it most: {output['text']}",
        )
        indices = [
            (
                Cell(facts.glossary.get(r["parameter"], r["parameter"]), note=r["parameter"]),
                *(facts.cell("sobol", "indices", i, key, digits=3) for key in ("S1", "S1_conf", "ST", "ST_conf")),
            )
            for i, r in enumerate(facts.at("sobol", "indices") or [])
            if r["output"] == output["output"]
        ]
        if indices:
            yield Table(
                ("what it is", "alone (S1)", "±", "with interactions (ST)", "±"),
                "prrrr",
                indices,
                "Shares of the variance over the ranges (Sobol indices)",
            )
    note = "Elasticity: by how many per cent the output grows where the value grows by one per cent. "
    yield Text(
        note + "Over it: what the output is multiplied by from the low to the high end of the range, to first order.",
        "note",
    )


_SENTENCES: Mapping[str, Callable[[Facts], str]] = {
    kinds.VALIDATE: _validation_sentence,
    kinds.CALIBRATE: _calibration_sentence,
    kinds.SENSITIVITY: _sensitivity_sentence,
}
_BLOCKS: Mapping[str, Callable[[Facts], Iterator[Any]]] = {
    kinds.SIMULATE: _simulation,
    kinds.OPTIMIZE: _optimum,
    kinds.SWEEP: _sweep,
    kinds.FEASIBILITY: _feasibility,
    kinds.VALIDATE: _validation,
    kinds.CALIBRATE: _calibration,
    kinds.SENSITIVITY: _sensitivity,
}
