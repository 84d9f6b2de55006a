"""HGVS: spellings of one description become equal, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.genomics.hgvs import is_hgvs, normalised, reference_of


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
        (["p.R72P", "p.Arg72Pro", "p.(Arg72Pro)", "p.( R72P )"], "p.Arg72Pro"),
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


def test_a_reference_keeps_its_version() -> None:
    assert normalised("NM_000546.5:c.215C>G") != normalised("NM_000546.6:c.215C>G")
    assert reference_of("NM_000546.6(TP53):c.215C>G") == "NM_000546.6"
    assert reference_of("c.215C>G") == ""


@given(st.text(alphabet="NMcgp.:()_0123456789ACGTRKVdelinsupfx*=?>+- ", max_size=40))
def test_once_is_enough(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert is_hgvs(text) == is_hgvs(normalised(text))
