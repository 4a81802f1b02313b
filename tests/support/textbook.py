"""Event tables, and the one-compartment scenario of the textbook with its closed forms."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

CL, V, KA = 4.0, 35.0, 1.2  # of the textbook's card
K = CL / V
ACCURATE = {"rel": 1e-6, "abs": 1e-9}


def written(folder: Path, text: str, name: str = "doses.csv") -> Path:
    """A table whose cells may be parted by blanks for brevity."""
    path = folder / name
    path.write_text("\n".join(",".join(line.split()) for line in text.strip().splitlines()) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    return header, rows


def textbook(folder: Path, extra: str = "", horizon: str = "48 h") -> str:
    """The one-compartment scenario as a file, with a shorter horizon and whatever is added."""
    path = folder / "mine.toml"
    path.write_text(
        f"""title = "Mine"
mechanisms = ["OneCompartment"]
cards = ["textbook"]
horizon = "{horizon}"
every = "6 h"
{extra}
[outputs]
"pk.C" = "ug/L"
"pk.central" = "mg"
""",
        encoding="utf-8",
    )
    return str(path)


def bolus(t: float, k: float = K) -> float:
    return math.exp(-k * t) if t >= 0 else 0.0


def oral(t: float) -> float:
    return KA / (KA - K) * (math.exp(-K * t) - math.exp(-KA * t)) if t >= 0 else 0.0


MG = """title = "Mg in the mouse"
mechanisms = ["Magnesium"]
cards = ["mouse"]
horizon = "2 d"
every = "6 h"
[outputs]
"magnesium.total" = "mmol/L"
"""
