"""Parameters of noncompartmental analysis in the CDISC terminology (codelist PKPARMCD)."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """A parameter: its name in the terminology, its unit in terms of concentration C, time t, volume V and dose D, and when it is
    reported."""

    text: str
    unit: str
    when: str = ""


CODES = {
    "CMAX": Code("Max Conc", "C"),
    "CMAXD": Code("Max Conc Norm by Dose", "C D-1", "dose"),
    "TMAX": Code("Time of CMAX", "t"),
    "C0": Code("Initial Conc", "C", "bolus"),
    "TLAG": Code("Time Until First Nonzero Conc", "t", "single extravascular"),
    "CLST": Code("Last Nonzero Conc", "C", "single"),
    "TLST": Code("Time of Last Nonzero Conc", "t", "single"),
    "LAMZ": Code("Lambda z", "t-1"),
    "LAMZHL": Code("Half-Life Lambda z", "t"),
    "LAMZNPT": Code("Number of Points for Lambda z", "1"),
    "LAMZLL": Code("Lambda z Lower Limit", "t"),
    "LAMZUL": Code("Lambda z Upper Limit", "t"),
    "R2": Code("R Squared", "1"),
    "R2ADJ": Code("R Squared Adjusted", "1"),
    "AUCLST": Code("AUC to Last Nonzero Conc", "C t", "single"),
    "AUCLSTD": Code("AUC to Last Nonzero Conc Norm by Dose", "C t D-1", "single dose"),
    "AUCALL": Code("AUC All", "C t", "single"),
    "AUCALLD": Code("AUC All Norm by Dose", "C t D-1", "single dose"),
    "AUCIFO": Code("AUC Infinity Obs", "C t", "single"),
    "AUCIFOD": Code("AUC Infinity Obs Norm by Dose", "C t D-1", "single dose"),
    "AUCIFP": Code("AUC Infinity Pred", "C t", "single"),
    "AUCIFPD": Code("AUC Infinity Pred Norm by Dose", "C t D-1", "single dose"),
    "AUCPEO": Code("AUC %Extrapolation Obs", "%", "single"),
    "AUCPEP": Code("AUC %Extrapolation Pred", "%", "single"),
    "AUCPBEO": Code("AUC %Back Extrapolation Obs", "%", "single bolus"),
    "AUCPBEP": Code("AUC %Back Extrapolation Pred", "%", "single bolus"),
    "AUMCLST": Code("AUMC to Last Nonzero Conc", "C t2", "single"),
    "AUMCIFO": Code("AUMC Infinity Obs", "C t2", "single"),
    "AUMCIFP": Code("AUMC Infinity Pred", "C t2", "single"),
    "AUMCPEO": Code("AUMC % Extrapolation Obs", "%", "single"),
    "AUMCPEP": Code("AUMC % Extrapolation Pred", "%", "single"),
    "MRTIBLST": Code("MRT IV Bolus to Last Nonzero Conc", "t", "single bolus"),
    "MRTIBIFO": Code("MRT IV Bolus Infinity Obs", "t", "single bolus"),
    "MRTIBIFP": Code("MRT IV Bolus Infinity Pred", "t", "single bolus"),
    "MRTICLST": Code("MRT IV Cont Inf to Last Nonzero Conc", "t", "single infusion"),
    "MRTICIFO": Code("MRT IV Cont Inf Infinity Obs", "t", "single infusion"),
    "MRTICIFP": Code("MRT IV Cont Inf Infinity Pred", "t", "single infusion"),
    "MRTEVLST": Code("MRT Extravasc to Last Nonzero Conc", "t", "single extravascular"),
    "MRTEVIFO": Code("MRT Extravasc Infinity Obs", "t", "single extravascular"),
    "MRTEVIFP": Code("MRT Extravasc Infinity Pred", "t", "single extravascular"),
    "CLO": Code("Total CL Obs", "V t-1", "single iv dose"),
    "CLP": Code("Total CL Pred", "V t-1", "single iv dose"),
    "CLFO": Code("Total CL Obs by F", "V t-1", "single extravascular dose"),
    "CLFP": Code("Total CL Pred by F", "V t-1", "single extravascular dose"),
    "VZO": Code("Vz Obs", "V", "single iv dose"),
    "VZP": Code("Vz Pred", "V", "single iv dose"),
    "VZFO": Code("Vz Obs by F", "V", "single extravascular dose"),
    "VZFP": Code("Vz Pred by F", "V", "single extravascular dose"),
    "VSSO": Code("Vol Dist Steady State Obs", "V", "single iv dose"),
    "VSSP": Code("Vol Dist Steady State Pred", "V", "single iv dose"),
    "AUCTAU": Code("AUC Over Dosing Interval", "C t", "steady"),
    "AUCTAUD": Code("AUC Over Dosing Interval Norm by Dose", "C t D-1", "steady dose"),
    "CAVG": Code("Average Concentration", "C", "steady"),
    "CMIN": Code("Min Conc", "C", "steady"),
    "TMIN": Code("Time of CMIN Observation", "t", "steady"),
    "CTROUGH": Code("Conc Trough", "C", "steady"),
    "FLUCP": Code("Fluctuation%", "%", "steady"),
    "SWING": Code("Swing", "1", "steady"),
    "CLTAU": Code("Total CL for Dose Int", "V t-1", "steady iv dose"),
    "CLFTAU": Code("Total CL by F for Dose Int", "V t-1", "steady extravascular dose"),
    "VZTAU": Code("Vz for Dose Int", "V", "steady iv dose"),
    "VZFTAU": Code("Vz for Dose Int by F", "V", "steady extravascular dose"),
}
PARTIAL = {  # of each interval that is asked for
    "AUCINT": Code("AUC from T1 to T2", "C t"),
    "AUCINTD": Code("AUC from T1 to T2 Norm by Dose", "C t D-1", "dose"),
}
_SITUATIONS = {"iv bolus": {"bolus", "iv"}, "infusion": {"infusion", "iv"}, "extravascular": {"extravascular"}}


def codes_of(route: str, steady: bool, dosed: bool) -> dict[str, Code]:
    """The parameters of a route, after a single dose or at steady state; those of clearance and volume need a dose."""
    situation = _SITUATIONS[route] | {"steady" if steady else "single"} | ({"dose"} if dosed else set())
    return {code: parameter for code, parameter in CODES.items() if situation.issuperset(parameter.when.split())}
