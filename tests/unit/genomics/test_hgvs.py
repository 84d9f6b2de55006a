"""HGVS: spellings of one description become equal, and nothing else does."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.genomics import hgvs
from connectors.genomics.hgvs import is_hgvs, normalised, parted, reference_of


@pytest.mark.parametrize(
    ("spellings", "meant"),
    [
        (["NM_000546.6:c.215C>G", " nm_000546.6 : c.215c>g", "NM_000546.6(TP53):c.215C>G",
          "TP53(NM_000546.6):c.215C>G", "NM_000546.6:c.215delCinsG"], "NM_000546.6:c.215C>G"),
        (["c.76_78delACT", "c.76_78del", "c.76_78del3"], "c.76_78del"),
        (["c.76_76dupA", "c.76dup"], "c.76dup"),
        (["c.76_78delACTinsTT", "c.76_78delinsTT", "c.76_78ACT>TT"], "c.76_78delinsTT"),
        (["c.76_77insAG"], "c.76_77insAG"),
        (["c.76_80invACTGA", "c.76_80inv"], "c.76_80inv"),
        (["c.93+1G>T"], "c.93+1G>T"),
        (["c.-14G>C"], "c.-14G>C"),
        (["c.*18G>A"], "c.*18G>A"),
        (["c.123A=", "c.123="], "c.123="),
        (["NC_000023.11:g.(?_100)_(200_?)del"], "NC_000023.11:g.(?_100)_(200_?)del"),
        (["NC_000023.11(NM_004006.2):c.93+1G>T"], "NC_000023.11(NM_004006.2):c.93+1G>T"),
        (["LRG_199t1:c.11T>G", "lrg_199T1:c.11T>G"], "LRG_199t1:c.11T>G"),
        (["NC_012920.1:m.3243A>G"], "NC_012920.1:m.3243A>G"),
        (["p.R72P", "p.Arg72Pro", "p.(Arg72Pro)", "p.( R72P )", "P.R72P", "p.ARG72PRO",
          "p.(arg72pro)", "p.r72p"], "p.Arg72Pro"),
        (["IDH1 p.R132H", "IDH1:p.(Arg132His)"], "IDH1:p.Arg132His"),
        (["NM_005896.4 c.395G>A", "nm_005896.4 C.395g>a"], "NM_005896.4:c.395G>A"),
        (["p.R213*", "p.R213X", "p.Arg213Ter", "p.(Arg213*)"], "p.Arg213Ter"),
        (["p.R97Pfs*23", "p.Arg97ProfsTer23", "p.Arg97ProfsX23"], "p.Arg97ProfsTer23"),
        (["p.R97fs", "p.(Arg97fs)"], "p.Arg97fs"),
        (["p.C188=", "p.Cys188Cys"], "p.Cys188="),
        (["p.*110Qext*17", "p.Ter110GlnextTer17"], "p.Ter110GlnextTer17"),
        (["p.M1ext-5"], "p.Met1ext-5"),
        (["p.K23_V25del", "p.Lys23_Val25delLysLeuVal"], "p.Lys23_Val25del"),
        (["p.E746_A750delinsQP", "p.Glu746_Ala750delinsGlnPro"], "p.Glu746_Ala750delinsGlnPro"),
        (["p.(=)", "p.="], "p.="),
        (["p.0?"], "p.0?"),
        (["p.M1?", "p.(Met1?)"], "p.Met1?"),
    ],
)  # fmt: skip
def test_spellings_of_one_description(spellings: list[str], meant: str) -> None:
    assert {normalised(spelling) for spelling in spellings} == {meant}
    assert all(is_hgvs(spelling) for spelling in spellings)


@pytest.mark.parametrize(
    "text",
    ["", "wild type", "c.[76A>C;90del]", "c.76insA", "p.Arg", "NC_000001.10:25:A:G", "V600E",
     "c.76_77ins", "p.Foo12Bar", "c." + "1" * 3_000 + "A>G"],
)  # fmt: skip
def test_what_is_no_description_is_kept_and_told(text: str) -> None:
    assert normalised(f" {text} ") == text
    assert not is_hgvs(text)


@pytest.mark.parametrize(
    ("text", "kind", "meant"),
    [
        ("R132H", "p", "p.Arg132His"),
        ("Arg132His", "p", "p.Arg132His"),
        ("IDH1 R132H", "p", "IDH1:p.Arg132His"),
        ("395G>A", "c", "c.395G>A"),
        ("NM_005896.4:c.395G>A", "p", "NM_005896.4:c.395G>A"),
        ("not R132H", "p", "not R132H"),
        ("NO R132H", "p", "NO R132H"),
        ("negative for R132H", "p", "negative for R132H"),
        ("R132", "p", "R132"),
        ("0", "p", "0"),
        ("?", "c", "?"),
        ("R132H", "c", "R132H"),
    ],
)
def test_a_field_of_one_kind_may_leave_its_letter_out(text: str, kind: str, meant: str) -> None:
    assert normalised(text, kind) == meant


@pytest.mark.parametrize(
    "text",
    ["c.395G>A (p.Arg132His)", "c.395G>A, p.(Arg132His)", "c.395G>A(p.R132H)", "c.395G>A p.R132H"],
)
def test_both_descriptions_in_one_field_are_parted(text: str) -> None:
    assert [normalised(one) for one in parted(text)] == ["c.395G>A", "p.Arg132His"]


@pytest.mark.parametrize("text", ["c.395G>A", "c.395G>A (p.what)", "what (p.R132H)", "", "p.R132H"])
def test_what_is_not_both_stays_whole(text: str) -> None:
    assert parted(text) == (text, "")


def test_the_examples_in_the_documentation_hold() -> None:
    assert doctest.testmod(hgvs).failed == 0


def test_a_reference_keeps_its_version() -> None:
    assert normalised("NM_000546.5:c.215C>G") != normalised("NM_000546.6:c.215C>G")
    assert reference_of("NM_000546.6(TP53):c.215C>G") == "NM_000546.6"
    assert reference_of("c.215C>G") == ""


@given(st.text(max_size=60))
def test_parting_breaks_on_no_text(text: str) -> None:
    dna, protein = parted(text)
    assert dna in text and protein in text


@given(st.text(alphabet="NMcgp.:()_0123456789ACGTRKVdelinsupfx*=?>+- ", max_size=40))
def test_once_is_enough(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert is_hgvs(text) == is_hgvs(normalised(text))


@pytest.mark.parametrize("text", ["_1", "A1", "c.", "c.1 ", "_", "c.1(p.", "c.1,", "A1 ", "p.A1("])
def test_long_texts_are_kept_as_they_are(text: str) -> None:
    """And soon: an expression that tries every way of parting them would take seconds."""
    long = (text * (hgvs.LONGEST // len(text))).strip()
    assert (normalised(long, "p"), parted(long)) == (long, (long, ""))
