"""Lint, format, types and import rules, so that pytest's summary tells of the whole state of the code."""

from __future__ import annotations

import pytest
from harness.code_checks import BegunCheck
from uni4d_setup.checks import CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_code_passes(name: str, begun_checks: dict[str, BegunCheck]) -> None:
    code, printed = begun_checks[name].answer()
    assert code == 0, f"`build.py check`, {name}:\n{printed[-8000:]}"
