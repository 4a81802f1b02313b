"""CD8+ T cells: priming in the lymph node, blood, tumour, exhaustion, killing, and interferon-gamma.

Adapted from Robertson-Tessi 2012 and the QSP-IO family (Jafarnejad 2019). Killing saturates in both cell numbers, and in what one
T cell can do: its attack rate is proportional to its competence, but every target takes handling time. Mg-set competence multiplies
proliferation and attack in the tumour and, as plasma sets it, priming in the node, not trafficking.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class TCells(AbstractMechanism):
    """Tumour-specific CD8+ T cells, the host's own or transferred."""

    name = "tcell"
    states = {
        "tcell.lymph": Var("Mcell", "primed CD8+ T cells in the draining lymph node", "T cell", role="growth"),
        "tcell.blood": Var("Mcell", "effector CD8+ T cells in blood", "T cell", role="growth"),
        "tcell.tumour": Var("Mcell", "effector CD8+ T cells in the tumour", "T cell", role="growth"),
        "tcell.exhausted": Var("Mcell", "exhausted CD8+ T cells in the tumour", "T cell", role="growth"),
        "tcell.ifng": Var("1", "interferon-gamma signal, 1 at its maximum", role="growth"),
    }
    signals = {
        "tcell.engaged": Var("Mcell", "T cells in the tumour that meet a target"),
        "tcell.speed": Var("1/h", "tumour cells killed per T cell that meets a target"),
        "tcell.kill": Var("Mcell/h", "tumour cells killed by CD8+ T cells"),
        "tcell.density": Var("Mcell/g", "CD8+ T cells, effector and exhausted, per mass of tumour"),
        "tcell.antigen": Var("1", "mature antigen-presenting cells relative to their maximum"),
    }
    ports = {
        "tcell.transfer": Port(
            "Mcell",
            "effector CD8+ T cells into a vein",
            {"tcell.blood": "tcell.f_transfer"},
            lag="tcell.lag",
        )
    }
    reads = ("tumour.viable", "tumour.dying", "tumour.dead", "tumour.mass")
    absent = {"lfa1.competence": 1.0, "lfa1.systemic": 1.0, "checkpoint.block": 0.0, "checkpoint.exhaustion": 1.0}

    blood_0: Scalar = param("Mcell", "tumour-specific effector cells in blood at time 0")
    tumour_0: Scalar = param("Mcell", "tumour-specific effector cells in the tumour at time 0")
    clone: Scalar = param("Mcell", "naive tumour-specific clone that can be primed")
    k_prime: Scalar = param("1/h", "priming rate of the naive clone")
    k_pro: Scalar = param("1/h", "proliferation rate of primed cells in the lymph node")
    lymph_max: Scalar = param("Mcell", "primed cells at which proliferation in the lymph node is halved")
    K_antigen: Scalar = param("Mcell", "dying and dead tumour cells for half-maximum antigen presentation")
    k_exit: Scalar = param("1/h", "exit rate from the lymph node")
    k_home: Scalar = param("1/g/h", "homing rate from blood per mass of tumour")
    K_mass: Scalar = param("g", "tumour mass at which homing saturates by half")
    r_ifng: Scalar = param("1", "gain of homing at full interferon-gamma signal")
    k_death: Scalar = param("1/h", "death rate of effector cells")
    k_death_x: Scalar = param("1/h", "death rate of exhausted cells")
    k_exhaust: Scalar = param("1/h", "exhaustion rate in a large tumour under full PD-1 signal")
    K_exhaust: Scalar = param("Mcell", "viable tumour cells for half-maximum exhaustion")
    rho: Scalar = param("1/h", "proliferation rate of engaged effector cells in the tumour")
    crowd: Scalar = param("Mcell", "engaged cells at which proliferation in the tumour is halved")
    k_kill: Scalar = param("1/h", "attack rate of a T cell that meets targets, at untreated competence")
    k_kill_max: Scalar = param("1/h", "most targets that a T cell can kill per hour")
    h: Scalar = param("Mcell", "half-saturation of engagement in viable tumour cells")
    f_transfer: Scalar = share("share of transferred cells that reaches the circulation")
    lag: Scalar = param("h", "time that transferred cells spend in the lung and lymphoid organs")
    k_ifng: Scalar = param("1/h", "rate of the interferon-gamma signal")
    K_ifng: Scalar = param("Mcell", "engaged cells for half-maximum interferon-gamma")

    def initial(self, x):
        return {"tcell.blood": self.blood_0, "tcell.tumour": self.tumour_0}

    def evaluate(self, x):
        V, T = x["tumour.viable"], x["tcell.tumour"]
        released = x["tumour.dying"] + x["tumour.dead"]
        engaged = T * V / (V + T + self.h)
        attack = self.k_kill * x["lfa1.competence"] * (1.0 - x["checkpoint.block"])
        speed = attack * self.k_kill_max / (attack + self.k_kill_max)
        return {
            "tcell.engaged": engaged,
            "tcell.speed": speed,
            "tcell.kill": speed * engaged,
            "tcell.density": (T + x["tcell.exhausted"]) / x["tumour.mass"],
            "tcell.antigen": released / (released + self.K_antigen),
        }

    def fluxes(self, x):
        A, antigen, engaged = x["lfa1.competence"], x["tcell.antigen"], x["tcell.engaged"]
        ifng, T, V = x["tcell.ifng"], x["tcell.tumour"], x["tumour.viable"]
        lymph = x["tcell.lymph"]
        divide = self.k_pro * antigen * lymph / (1.0 + lymph / self.lymph_max)
        homing = self.k_home * x["tumour.mass"] / (1.0 + x["tumour.mass"] / self.K_mass) * (1.0 + self.r_ifng * ifng)
        growth = self.rho * A * engaged * (1.0 - x["checkpoint.block"]) / (1.0 + engaged / self.crowd)
        exhaustion = self.k_exhaust * V / (V + self.K_exhaust) * x["checkpoint.exhaustion"]
        yield Flux(None, "tcell.lymph", self.k_prime * self.clone * antigen * x["lfa1.systemic"] + divide)
        yield Flux("tcell.lymph", "tcell.blood", self.k_exit * lymph)
        yield Flux("tcell.blood", "tcell.tumour", homing * x["tcell.blood"])
        yield Flux("tcell.blood", None, self.k_death * x["tcell.blood"])
        yield Flux(None, "tcell.tumour", growth)
        yield Flux("tcell.tumour", None, self.k_death * T)
        yield Flux("tcell.tumour", "tcell.exhausted", exhaustion * T)
        yield Flux("tcell.exhausted", None, self.k_death_x * x["tcell.exhausted"])
        yield Flux(None, "tcell.ifng", self.k_ifng * (engaged / (engaged + self.K_ifng) - ifng))
        yield Flux("tumour.viable", "tumour.dying", x["tcell.kill"])
