# %% [markdown]
"""
# From a sweep to exposure

100 virtual subjects take a drug of the textbook by mouth, at three doses. What is their exposure, and how many of them keep a
target? The cells run in order and take some seconds. Editors and Jupytext open this file as a notebook.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import nanomg

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A population
#
# A folder of one's own holds a scenario and a card. The card has the typical values of the shipped one; `cv` says how much they
# differ between subjects.

# %%
CARD = """
title = "A drug of the textbook that differs between subjects"
species = "any"

[pk]
ka = { value = 1.2, unit = "1/h", cv = 0.5, basis = "assumed", note = "an example" }
CL = { value = 4.0, unit = "L/h", cv = 0.3, basis = "assumed", note = "an example" }
V = { value = 35, unit = "L", cv = 0.2, basis = "assumed", note = "an example" }
"""
SCENARIO = """
title = "One dose of the textbook, by mouth"
mechanisms = ["OneCompartment"]
cards = ["textbook", "varied"]
horizon = "72 h"
every = "15 min"
outputs = ["pk.C"]

[[dose]]
cmt = "pk.depot"
text = "100 mg at 0 h"
"""
for name, text in {"cards/varied.toml": CARD, "scenarios/by-mouth.toml": SCENARIO}.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)

# %% [markdown]
# ## The sweep
#
# Three doses for each subject; kept are the whole curve and the clearance that the subject has. On the command line this is
# `nanomg sweep by-mouth --vary "dose.amount=50,100,200 mg" --subjects 100 --keep pk.C:series --keep pk.CL -o sweep.h5`.

# %%
nanomg.sweep(
    "by-mouth",
    vary=["dose.amount=50,100,200 mg"],
    subjects=100,
    keep=["pk.C:series", "pk.CL"],
    library=nanomg.models.library(folder),
    output=folder / "sweep.h5",
)

# %% [markdown]
# ## The result
#
# `nanomg.open` reads large files lazily; all that follows works on both. A subject that failed is NaN.

# %%
found = nanomg.open(folder / "sweep.h5")["sweep"].to_dataset()
C = found["pk.C"]
print(C.sizes, C.attrs["units"])

# %% [markdown]
# ## Quantiles over subjects

# %%
band = nanomg.quantiles(C).sel({"dose.amount": 100.0})
_, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.fill_between(band.time, band.sel(quantile=0.05), band.sel(quantile=0.95), alpha=0.3, label="5 to 95 %")
axes.plot(band.time, band.sel(quantile=0.5), label="median")
axes.set(xlabel="time [h]", ylabel="concentration [mg/L]", yscale="log", ylim=(1e-3, 10))
axes.legend(frameon=False)

# %% [markdown]
# ## Exposure of every subject
#
# The doses are the axis of the sweep, with their unit. The curves have no noise, so the terminal slope may be found with a finer
# tolerance than that for measured ones.

# %%
exposure = nanomg.nca(C, dose=C["dose.amount"], route="extravascular", tolerance=1e-6)
shown = exposure[["CMAX", "TMAX", "AUCIFO", "AUCPEO", "LAMZHL", "CLFO"]]
print(nanomg.quantiles(shown).sel({"dose.amount": 100.0}).to_dataframe()[list(shown)].T.to_string(float_format="%.3g"))
print(exposure.attrs["method"], "|", exposure.attrs["terminal_slope"])

# %% [markdown]
# The clearance found must be the one that each subject was given: that is a check of sampling and horizon.

# %%
error = np.abs(exposure["CLFO"] / found["pk.CL"] - 1.0)
print(
    f"clearance: off by {float(error.max()):.1e} at most, {float(exposure['AUCPEO'].max()):.1g} % of an area extrapolated at most"
)

# %% [markdown]
# ## Who keeps a target?
#
# Above 0.5 mg/L for 12 h or longer: the probability with its 95 % interval, by dose.

# %%
above = nanomg.time_above(C, "0.5 mg/L")
print(nanomg.attainment(above, "12 h").to_dataframe().round(3).to_string())
