"""The README's figure: tumour free Mg and tumour volume of an optimised run.

python docs/figure.py results/mouse-mc38-depot.h5 docs/figure.png
"""

from __future__ import annotations

import sys

import matplotlib as mpl

import nanomg

mpl.use("Agg")
import matplotlib.pyplot as plt

LINES = {  # regimen: colour (Okabe-Ito), style, label
    "baseline": ("#999999", "-", "baseline regimen"),
    "optimum": ("#0072B2", "-", "optimised regimen"),
    "without Mg": ("#D55E00", "--", "optimised, without its Mg"),
}


def main(source: str, target: str) -> None:
    run = nanomg.open(source)
    simulation = run["simulation"].to_dataset().sel(scenario="H1")
    doses = run["doses"].to_dataset().sel(regimen="optimum")
    days = simulation.time / 24.0
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    panels = (
        ("interstitium.C_poor", 1.0, "free Mg, poorly perfused\ntumour interstitium [mmol/L]"),
        ("tumour.volume", 1000.0, "tumour volume [mm³]"),
    )
    for axis, (name, scale, label) in zip(axes, panels, strict=True):
        for regimen, (colour, style, text) in LINES.items():
            axis.plot(days, scale * simulation[name].sel(regimen=regimen), style, color=colour, label=text, lw=1.6)
        axis.set(xlabel="time [d]", ylabel=label, xlim=(0, float(days[-1])))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].axhline(1.36, color="black", lw=0.8, ls=":")
    axes[0].text(27.8, 1.365, "local tolerance", ha="right", va="bottom", fontsize=8)
    axes[1].set_yscale("log")
    rows = (("v", 1.10, "liposome.intratumoral", "Mg liposome into the tumour"), ("d", 1.03, "pd1.ip", "anti-PD-1"))
    for marker, height, port, text in rows:
        given = doses.time_h.where(doses.cmt == port, drop=True) / 24.0
        at = axes[1].get_xaxis_transform()
        axes[1].plot(given, [height] * given.size, marker, color="black", transform=at, clip_on=False, label=text, ms=5)
    axes[1].legend(fontsize=8, frameon=False, loc="lower right")
    figure.savefig(target, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:3])
