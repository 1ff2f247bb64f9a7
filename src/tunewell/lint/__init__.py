"""Findings about a space or a study, before compute is spent on it: each with a code, a message and a fix.

The rules are small functions of a :class:`~tunewell.lint.plan.Plan`. Whatever a rule needs to know and nobody said, it
does not ask about. Where domain or optimizer are not said, only what is unusual under all of them is pointed out.
"""

from __future__ import annotations

from tunewell.lint import ranges, studies
from tunewell.lint.finding import Finding as Finding
from tunewell.lint.plan import Plan as Plan

RULES = (*studies.RULES, *ranges.RULES)


def lint(plan: Plan) -> tuple[Finding, ...]:
    """Return the findings about a plan, warnings first."""
    found = [finding for rule in RULES for finding in rule(plan)]
    return tuple(sorted(found, key=lambda finding: finding.severity != "warning"))
