"""Scenario files in which something is wrong: one sentence says what and where, whatever junk stands there."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from scenario_texts import DEPOT, LIBRARY, SHIPPED, SMALL, TEXTS, check, complaint, loaded

from nanomg.errors import InputError
from nanomg.library import scenario_file


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"magnesium.GFRR" = "gfr"', r"\[columns\]: there is no parameter 'magnesium\.GFRR'; did you mean"),
        ('"magnesium.GFR" = 3', r"\[columns\], magnesium\.GFR: this must be a table"),
        ('"magnesium.GFR" = " "', r"name of the column is empty"),
        ('"magnesium.GFR" = { column = 3 }', r"column must be text, not 3"),
        ('"magnesium.GFR" = { unit = "mL/h" }', r"the key 'column' is missing"),
        ('"magnesium.GFR" = { column = "g", betwen = "locf" }', r"no key 'betwen'; did you mean 'between'"),
        ('"magnesium.GFR" = { column = "g", between = "lin" }', r"no interpolation 'lin'; did you mean 'linear'"),
        ('"magnesium.GFR" = { column = "g", unit = "mL" }', r"GFR: the unit 'mL' cannot be converted to 'mL/h'"),
    ],
)
def test_mistakes_in_columns(line: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, complaint(f"{SMALL}[columns]\n{line}\n", tmp_path))


# What is wrong, what it replaces in the small scenario, and what the sentence must say.
BROKEN = {
    "broken TOML": ('title = "Mg by vein"', "title = Mg", r"not valid TOML.*line 2"),
    "unknown key": ('every = "6 h"', 'evry = "6 h"', r"no key 'evry'; did you mean 'every'"),
    "key missing": ('horizon = "2 d"', "", r"the key 'horizon' is missing"),
    "unknown mechanism": ('["Magnesium"]', '["Magnesum"]', r"no mechanism 'Magnesum'; did you mean 'Magnesium'"),
    "unknown card": ('["mouse"]', '["mose"]', r"no card 'mose'; did you mean 'mouse'"),
    "missing card file": ('["mouse"]', '["no-such-card.toml"]', r"no-such-card\.toml.*no such file"),
    "mechanisms as text": ('["Magnesium"]', '"Magnesium"', r"'mechanisms' must be a list of names"),
    "no mechanism": ('["Magnesium"]', "[]", r"'mechanisms' must be a list of names"),
    "the same mechanism twice": ('["Magnesium"]', '["Magnesium", "Magnesium"]', "declared by both"),
    "a mechanism that reads others": ('["Magnesium"]', '["Magnesium", "LFA1"]', r"LFA1 reads it.*'interstitium\.C'"),
    "missing parameters": ('["mouse"]', '["rmp1-14"]', r"no card gives the parameter 'magnesium\.\w+' \(.*\[.*\]\)"),
    "horizon without unit": ('"2 d"', "2", r"horizon: 2 lacks its unit; 'h'"),
    "horizon of another dimension": ('"2 d"', '"2 mL"', r"horizon.*'mL' cannot be converted to 'h'"),
    "horizon that is no number": ('"2 d"', '"two days"', r"horizon.*'two days' is not a number"),
    "horizon of zero": ('"2 d"', '"0 d"', r"horizon.*above 0"),
    "negative horizon": ('"2 d"', '"-2 d"', r"horizon.*above 0"),
    "horizon not finite": ('"2 d"', "nan", r"horizon.*nan"),
    "horizon of 400 digits": ('"2 d"', "9" * 400, r"horizon.*not a finite number"),
    "horizon of 5000 digits": ('"2 d"', "9" * 5000, r"not valid TOML"),
    "nested without end": ('"2 d"', "[" * 3000, r"not valid TOML"),
    "horizon as a list": ('"2 d"', '["2 d"]', r"horizon.*above 0"),
    "horizon beyond a float": ('"2 d"', '"1e999 d"', r"horizon.*not a finite number"),
    "too many output times": ('"6 h"', '"1 ms"', r"100000 at most"),
    "outputs as text": (
        '[outputs]\n"magnesium.total" = "mmol/L"',
        'outputs = "magnesium.total"',
        r"must be a list of names",
    ),
    "unknown output": ('"magnesium.total"', '"magnesium.totl"', r"'magnesium\.totl'; did you mean 'magnesium\.total'"),
    "unit of an output": ('"mmol/L"', '"mg"', r"magnesium\.total.*'mg' cannot be converted to 'mmol/L'"),
    "unit that does not exist": ('"mmol/L"', '"mmol/Foo"', r"'mmol/Foo' is not a unit"),
    "dose as a table": ("[[dose]]", "[dose]", r"\[\[dose\]\].*two brackets"),
    "unknown port": ('"magnesium.iv"', '"magnesium.ivv"', r"number 1.*'magnesium\.ivv'; did you mean 'magnesium\.iv'"),
    "amount of another dimension": ('"10 umol"', '"10 mL"', r"'mL' cannot be converted to 'umol'"),
    "amount without unit": ('"10 umol"', "10", r"units are required.*umol"),
    "negative amount": ('"10 umol"', '"-10 umol"', r"must not be negative, but is -10 umol"),
    "amount that is not a number": ('"10 umol"', '"nan umol"', r"'nan umol' is not a number"),
    "amount NaN": ('"10 umol"', "nan", r"not a finite number"),
    "negative time": ('"1 h"', '"-1 h"', r"time must not be negative"),
    "time after the horizon": ('"1 h"', '"3 d"', r"72 h is after the horizon of 48 h"),
    "unknown key of a dose": ('time = "1 h"', 'tme = "1 h"', r"no key 'tme'; did you mean 'time'"),
    "prescription that goes back": (
        'amt = "10 umol"\ntime = "1 h"',
        'text = "1 umol q 2 h x 3 then 1 umol from 1 h"',
        r"goes back before",
    ),
}


def test_the_small_scenario_itself_loads(tmp_path: Path) -> None:
    check(loaded(SMALL, tmp_path))


@pytest.mark.parametrize("what", BROKEN)
def test_one_mistake_is_one_sentence(what: str, tmp_path: Path) -> None:
    before, after, expected = BROKEN[what]
    assert SMALL.count(before) == 1
    assert re.search(expected, complaint(SMALL.replace(before, after), tmp_path))


# What is wrong, added to the shipped scenario or put in place of a part of it.
WRONG_GOALS = {
    "unknown signal of a limit": (
        'signal = "magnesium.total"\nmax',
        'signal = "magnesium.totl"\nmax',
        r"did you mean 'magnesium\.total'",
    ),
    "limit without unit": ('max = "1.36 mmol/L"', "max = 1.26", r"\[\[limit\]\].*1\.26 lacks its unit; 'mmol/L'"),
    "limit of another dimension": ('max = "1.36 mmol/L"', 'max = "1.26 mL"', r"'mL' cannot be converted to 'mmol/L'"),
    "limit without a bound": ('max = "1.36 mmol/L"', "", r"the limit 'local tolerance.*needs max, min or both"),
    "limits that exclude each other": (
        'max = "1.36 mmol/L"',
        'max = "1.36 mmol/L"\nmin = "2 mmol/L"',
        r"min is above max in the limit 'local tolerance",
    ),
    "unknown statistic of a limit": (
        'max = "1.36 mmol/L"',
        'statistic = "area over"\nmax = "1.36 mmol/L"',
        r"no statistic 'area over'; did you mean 'area above'",
    ),
    "statistic of a limit without its level": (
        'max = "1.36 mmol/L"',
        'statistic = "time above"\nmax = "1 h"',
        r"the key 'level' is missing",
    ),
    "limit in the unit of the signal instead of the area": (
        'max = "1.36 mmol/L"',
        'statistic = "auc"\nmax = "1 mmol/L"',
        r"'mmol/L' cannot be converted to 'mmol/L h'",
    ),
    "level where there is none": (
        'statistic = "log mean"',
        'level = "1 mm^3", statistic = "log mean"',
        r"no key 'level'",
    ),
    "function of nothing": ('statistic = "log mean"', 'function = "2 + 3", statistic = "log mean"', "not depend on x"),
    "function of another name": (
        'statistic = "log mean"',
        'function = "exp(y)", statistic = "log mean"',
        "not a function",
    ),
    "program as a function": (
        'statistic = "log mean"',
        'function = "__import__(\'os\').getpid() + x", statistic = "log mean"',
        "is not a function of x: numbers, x,",
    ),
    "unknown statistic": (
        'statistic = "log mean"',
        'statistic = "logmean"',
        r"no statistic 'logmean'; did you mean 'log mean'",
    ),
    "weight not finite": ("weight = 1.0", "weight = inf", r"weight.*not a finite number"),
    "weight as truth": ("weight = 1.0", "weight = true", r"weight: True is not a number"),
    "signal as a list": (
        'signal = "magnesium.total"\nmax',
        'signal = ["magnesium.total"]\nmax',
        r"signal must be text",
    ),
    "port as a number": ('cmt = "pd1.ip"\namount = ["0', 'cmt = 7\namount = ["0', r"cmt must be text, not 7"),
    "weight as text": ("weight = 1.0", 'weight = "much"', r"weight.*'much' is not a number"),
    "bounds upside down": (
        'amount = ["0 mg", "5 mg"]',
        'amount = ["5 mg", "1 mg"]',
        r"lowest must not be .* above the highest",
    ),
    "bounds as one number": ('amount = ["0 mg", "5 mg"]', 'amount = "5 mg"', r"a list of two"),
    "bounds of another dimension": (
        'amount = ["0 mg", "5 mg"]',
        'amount = ["0 mg", "5 mL"]',
        r"'mL' cannot be converted to 'mg'",
    ),
    "times beyond the horizon": (
        'time = ["0 d", "27 d"]',
        'time = ["0 d", "40 d"]',
        r"up to 960 h, but the horizon is 672 h",
    ),
    "strength without volume": ('volume = "50 uL"\n', "", r"the key 'volume' is missing"),
    "negative total": ('total = "16 mg"', 'total = "-16 mg"', r"must not be negative"),
    "unknown key of a free dose": (
        'interval = "2 d"\ntotal = "16 mg"',
        'intervall = "2 d"\ntotal = "16 mg"',
        r"did you mean 'interval'",
    ),
}


@pytest.mark.parametrize("what", WRONG_GOALS)
def test_mistakes_in_what_is_wanted(what: str, tmp_path: Path) -> None:
    before, after, expected = WRONG_GOALS[what]
    assert before in TEXTS[DEPOT]
    assert re.search(expected, complaint(TEXTS[DEPOT].replace(before, after, 1), tmp_path))


def test_a_free_port_without_a_dose(tmp_path: Path) -> None:
    text = SMALL + '[[free]]\ncmt = "magnesium.im"\namount = ["0 umol", "1 umol"]\ntime = ["0 h", "1 d"]\n'
    assert "'magnesium.im', which has no dose to optimise" in complaint(text, tmp_path)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('name = "magnesium.diett"\nvalue = 1\nfrom = 0\nto = "1 d"', r"did you mean 'magnesium\.diet'"),
        (
            'name = "magnesium.diet"\nvalue = 1\nfrom = "2 d"\nto = "1 d"',
            r"'to' \(24 h\) must be later than 'from' \(48 h\)",
        ),
        ('name = "magnesium.diet"\nvalue = "1 mL"\nfrom = 0\nto = "1 d"', r"'mL' cannot be converted to '1'"),
        ('name = "magnesium.diet"\nvalue = nan\nfrom = 0\nto = "1 d"', r"not a finite number"),
        ('name = "magnesium.diet"\nvalue = [1]\nfrom = 0\nto = "1 d"', r"\[1\] is not a number"),
        (
            'name = ["magnesium.diet"]\nvalue = 1\nfrom = 0\nto = "1 d"',
            r"name must be text, not \['magnesium\.diet'\]",
        ),
        ('name = "magnesium.diet"\nvalue = 1\nfrom = "-1 h"\nto = "1 d"', r"from: a time must not be negative"),
        ('name = "magnesium.diet"\nvalue = 1\nto = "1 d"', r"the key 'from' is missing"),
    ],
)
def test_mistakes_in_windows_of_inputs(entry: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, complaint(f"{SMALL}[[input]]\n{entry}\n", tmp_path))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("magnesium.GFRR", "12 mL/h", r"--set: there is no parameter 'magnesium\.GFRR'; did you mean 'magnesium\.GFR'"),
        ("magnesium.GFR", "12 mL", r"--set, magnesium\.GFR.*'mL' cannot be converted to 'mL/h'"),
        ("magnesium.GFR", "12", r"lacks its unit; 'mL/h'"),
        ("magnesium.GFR", "much", r"'much' is not a number"),
        ("magnesium.GFR", "nan mL/h", r"not a (finite )?number"),
        ("magnesium.GFR", float("nan"), r"not a finite number"),
        ("magnesium.GFR", "1e999 mL/h", r"not a finite number"),
        ("magnesium.GFR", "1e308 L/h", r"'1e308 L/h' is too large to be expressed in 'mL/h'"),
        ("magnesium.GFR", "12 mL/fortnit", r"'mL/fortnit' is not a unit"),
    ],
)
def test_mistakes_in_set(name: str, value: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, complaint(SMALL, tmp_path, overrides={name: value}))


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        ("magnesium.iv 1 umol", "written as 'port: prescription'"),
        ("magnesium.ivy: 1 umol", r"did you mean 'magnesium\.iv'"),
        ("magnesium.iv: 1 mL", "'mL' cannot be converted to 'umol'"),
        ("magnesium.iv: -1 umol", "negative"),
        ("magnesium.iv: 1 umol at 3 d", "after the horizon"),
        ("magnesium.iv: 1 umol q 1 h", "needs a number of doses"),
        ("magnesium.ivy: none", r"did you mean 'magnesium\.iv'"),
        ("magnesium.iv: none at 1 h", "an amount or a rate"),
        ("reset at 1 h: none", "no port or state to dose 'reset at 1 h'"),
        (": none", "written as 'port: prescription'"),
    ],
)
def test_mistakes_in_doses_of_the_user(dose: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, complaint(SMALL, tmp_path, doses=(dose,)))


def test_no_doses_and_some_into_one_port(tmp_path: Path) -> None:
    lines = ("magnesium.iv: none", "magnesium.iv: 1 umol")
    assert "another line gives doses into 'magnesium.iv'" in complaint(SMALL, tmp_path, doses=lines)


# Values of TOML, with _ for a blank.
JUNK = """
    "" "junk" -1 0 1 nan inf -inf true [] {} [1,2] [[]] ["1_mg","2_mg"] {unit="mg"} 1e308 99999999999999999999 1979-05-27
    07:32:00 "1e400_mg" "-3_mg" "3_mg" "3_d" "3_furlong" "nan_h" "0_d" "1e-300_h" "1e308_d" "h" "%" "1_mg_q_1_s_x_1000000"
    "1_mg_q_0_h_x_3" "1_°C" "5_degC" "magnesium.iv" "mouse" "log_mean" "visits" "amount"
"""
TEXT = st.text(max_size=12).map(lambda text: '"' + re.sub(r'[\\"\x00-\x1f\x7f]', "", text) + '"')
VALUE = st.sampled_from(JUNK.split()).map(lambda value: value.replace("_", " ")) | TEXT
TOKEN = re.compile(r'"[^"\n]*"|(?<=[ =\[,])[-+]?\d+(?:\.\d+)?(?=[ ,\]\n}])')


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(SHIPPED), where=st.floats(0, 1, exclude_max=True), junk=VALUE)
def test_a_value_replaced_by_junk(tmp_path_factory: pytest.TempPathFactory, name: str, where: float, junk: str) -> None:
    tokens = list(TOKEN.finditer(TEXTS[name]))
    token = tokens[int(where * len(tokens))]
    loads_or_complains(TEXTS[name][: token.start()] + junk + TEXTS[name][token.end() :], tmp_path_factory.getbasetemp())


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(SHIPPED),
    where=st.floats(0, 1, exclude_max=True),
    length=st.integers(1, 40),
    text=st.text(max_size=5),
)
def test_a_piece_of_the_file_replaced_by_text(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: float, length: int, text: str
) -> None:
    start = int(where * len(TEXTS[name]))
    loads_or_complains(TEXTS[name][:start] + text + TEXTS[name][start + length :], tmp_path_factory.getbasetemp())


def loads_or_complains(text: str, folder: Path) -> None:
    path = folder / "junk.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(InputError):
        check(scenario_file.load(str(path), LIBRARY))


@settings(max_examples=75, deadline=None)
@given(text=st.text(alphabet="0123456789.eE+-*/ mgLhdqx:umol%once()[]nainf", max_size=30))
def test_junk_as_the_value_of_set_and_dose(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    for options in ({"overrides": {"magnesium.GFR": text}}, {"doses": (f"magnesium.iv: {text}",)}):
        with contextlib.suppress(InputError):
            check(loaded(SMALL, tmp_path_factory.getbasetemp(), **options))
