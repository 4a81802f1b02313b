"""CAR-T cells, two models: the published curve of transgene in blood, and cells that expand, traffic, kill and become exhausted.

The curve is that of Stein 2019: exponential expansion up to the peak, contraction, a memory that declines slowly. The cells
expand on antigen as long as the cytokines last that lymphodepletion has set free; they use these up, so that the peak follows
from the patient and hardly from the dose. In the tumour, encounters with targets make them kill, divide until they are crowded,
and tire; killing by contact saturates in both cell numbers, and cytokines kill cells that no CAR-T cell touches. Mg-set competence
multiplies killing by contact and division on antigen, not trafficking: in blood that of serum, in the tumour that of its fluid. A
dish is the same tumour and cells without a body.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class Transgene(AbstractMechanism):
    """Transgene of an infused CAR-T product in blood from its infusion at time 0 on, after Stein 2019 with the corner rounded."""

    name = "transgene"
    states = {
        "transgene.clock": Var("h", "time since infusion", role="accumulator"),
        "transgene.effector": Var(
            "1/ug", "transgene copies of effector cells per mass of DNA", "transgene", role="growth"
        ),
        "transgene.memory": Var("1/ug", "transgene copies of memory cells per mass of DNA", "transgene", role="growth"),
    }
    signals = {"transgene.C": Var("1/ug", "transgene copies per mass of DNA in blood")}
    constants = {
        "transgene.seed": Var("1/ug", "transgene copies per mass of DNA just after infusion"),
        "transgene.rho": Var("1/h", "rate of expansion"),
    }

    C_max: Scalar = param("1/ug", "transgene copies per mass of DNA at the peak")
    fold: Scalar = param("1", "peak relative to just after infusion")
    T_max: Scalar = param("h", "time of the peak")
    alpha: Scalar = param("1/h", "contraction rate of effector cells")
    f_memory: Scalar = share("share of contracting effector cells that stays as memory")
    beta: Scalar = param("1/h", "decline rate of memory cells")
    width: Scalar = param("h", "width of the passage from expansion to contraction")

    def derive(self, x):
        return {"transgene.seed": self.C_max / self.fold, "transgene.rho": jnp.log(self.fold) / self.T_max}

    def initial(self, x):
        return {"transgene.effector": x["transgene.seed"]}

    def evaluate(self, x):
        return {"transgene.C": x["transgene.effector"] + x["transgene.memory"]}

    def fluxes(self, x):
        effector = x["transgene.effector"]
        expanding = jax.nn.sigmoid((self.T_max - x["transgene.clock"]) / self.width)
        contraction = self.alpha * (1.0 - expanding) * effector
        yield Flux(None, "transgene.clock", 1.0)
        yield Flux(None, "transgene.effector", x["transgene.rho"] * expanding * effector)
        yield Flux("transgene.effector", "transgene.memory", self.f_memory * contraction)
        yield Flux("transgene.effector", None, (1.0 - self.f_memory) * contraction)
        yield Flux("transgene.memory", None, self.beta * x["transgene.memory"])


class CarT(AbstractMechanism):
    """CAR-T cells in blood and tumour."""

    name = "cart"
    states = {
        "cart.blood": Var("Mcell", "effector CAR-T cells in blood", "CAR-T cell", role="growth"),
        "cart.memory": Var("Mcell", "memory CAR-T cells in blood", "CAR-T cell", role="growth"),
        "cart.tumour": Var("Mcell", "effector CAR-T cells in the tumour", "CAR-T cell", role="growth"),
        "cart.exhausted": Var("Mcell", "exhausted CAR-T cells in the tumour", "CAR-T cell", role="growth"),
        "cart.niche": Var(
            "1", "cytokines set free by lymphodepletion, relative to the time of infusion", role="growth"
        ),
    }
    signals = {
        "cart.C": Var("1/ug", "transgene copies per mass of DNA in blood"),
        "cart.present": Var("Mcell", "CAR-T cells in the tumour, effector and exhausted"),
        "cart.engaged": Var("Mcell", "CAR-T cells in the tumour that meet a target"),
        "cart.kill": Var("Mcell/h", "tumour cells killed by contact with CAR-T cells"),
        "cart.bystander": Var("Mcell/h", "tumour cells killed by cytokines of CAR-T cells"),
    }
    ports = {
        "cart.iv": Port("Mcell", "CAR-T cells into a vein", {"cart.blood": "cart.engraft"}),
        "cart.local": Port("Mcell", "CAR-T cells next to the tumour cells", {"cart.tumour": 1.0}),
    }
    reads = ("tumour.viable", "tumour.mass")
    absent = {"lfa1.competence": 1.0, "lfa1.systemic": 1.0}

    engraft: Scalar = share("share of infused cells that stays in blood")
    kappa: Scalar = param("1/h", "expansion rate in blood at full cytokines and antigen")
    K_antigen: Scalar = param("Mcell", "viable tumour cells for half-maximum expansion in blood")
    k_use: Scalar = param("1/Mcell/h", "use of cytokines by cells in blood")
    alpha: Scalar = param("1/h", "contraction rate of effector cells in blood")
    f_memory: Scalar = share("share of contracting effector cells that stays as memory")
    beta: Scalar = param("1/h", "decline rate of memory cells")
    copies: Scalar = param("1/ug/Mcell", "transgene copies per mass of DNA and per CAR-T cell in blood")
    k_home: Scalar = param("1/g/h", "homing rate from blood per mass of tumour")
    K_mass: Scalar = param("g", "tumour mass at which homing saturates by half")
    k_kill: Scalar = param("1/h", "target cells killed per engaged cell and hour")
    h: Scalar = param("Mcell", "half-saturation of engagement in viable tumour cells")
    k_cytokine: Scalar = param("1/h", "death rate of tumour cells by cytokines of many CAR-T cells")
    K_cytokine: Scalar = param("Mcell", "CAR-T cells in the tumour for half of the death by cytokines")
    rho: Scalar = param("1/h", "division rate of engaged cells at full cytokines")
    crowd: Scalar = param("Mcell/g", "engaged cells per mass of tumour at which their division is halved")
    k_exhaust: Scalar = param("1/h", "exhaustion rate of engaged cells")
    k_death: Scalar = param("1/h", "death rate of effector cells in the tumour")
    k_death_x: Scalar = param("1/h", "death rate of exhausted cells")

    def initial(self, x):
        return {"cart.niche": 1.0}

    def evaluate(self, x):
        V, T = x["tumour.viable"], x["cart.tumour"]
        engaged = T * V / (V + T + self.h)
        present = T + x["cart.exhausted"]
        return {
            "cart.C": self.copies * (x["cart.blood"] + x["cart.memory"]),
            "cart.present": present,
            "cart.engaged": engaged,
            "cart.kill": self.k_kill * x["lfa1.competence"] * engaged,
            "cart.bystander": self.k_cytokine * present / (present + self.K_cytokine) * V,
        }

    def fluxes(self, x):
        blood, T, V, mass = x["cart.blood"], x["cart.tumour"], x["tumour.viable"], x["tumour.mass"]
        engaged, contraction = x["cart.engaged"], self.alpha * blood
        division = self.rho * x["lfa1.competence"] * engaged / (1.0 + engaged / (self.crowd * mass))
        expansion = self.kappa * x["lfa1.systemic"] * V / (V + self.K_antigen) * blood
        yield Flux(None, "cart.blood", expansion * x["cart.niche"])
        yield Flux("cart.niche", None, self.k_use * blood * x["cart.niche"])
        yield Flux("cart.blood", "cart.memory", self.f_memory * contraction)
        yield Flux("cart.blood", None, (1.0 - self.f_memory) * contraction)
        yield Flux("cart.memory", None, self.beta * x["cart.memory"])
        yield Flux("cart.blood", "cart.tumour", self.k_home * mass / (1.0 + mass / self.K_mass) * blood)
        yield Flux(None, "cart.tumour", division * x["cart.niche"])
        yield Flux("cart.tumour", "cart.exhausted", self.k_exhaust * engaged)
        yield Flux("cart.tumour", None, self.k_death * T)
        yield Flux("cart.exhausted", None, self.k_death_x * x["cart.exhausted"])
        yield Flux("tumour.viable", "tumour.dying", x["cart.kill"] + x["cart.bystander"])


class Dish(AbstractMechanism):
    """Impedance of a well in which tumour cells grow: cells stay attached until they lyse."""

    name = "dish"
    signals = {"dish.index": Var("1", "cell index of the well")}
    reads = ("tumour.viable", "tumour.dying")

    per_cell: Scalar = param("1/Mcell", "cell index per attached tumour cell")

    def evaluate(self, x):
        return {"dish.index": self.per_cell * (x["tumour.viable"] + x["tumour.dying"])}
