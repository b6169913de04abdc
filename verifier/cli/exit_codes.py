"""Exit codes: distinct, so that scripts can act on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifier.verdict import Verdict

HOLDS = 0
VIOLATED = 1
REFUSED = 2
UNDECIDED = 3
FAULT = 4
INTERRUPTED = 130

MEANINGS = {
    HOLDS: "the property holds (unsat)",
    VIOLATED: "the property is violated (sat)",
    REFUSED: "usage, input or configuration refused",
    UNDECIDED: "undecided (unknown, timeout)",
    FAULT: "self-check failed or internal fault",
    INTERRUPTED: "interrupted",
}


def exit_code(verdict: Verdict) -> int:
    from verifier.verdict import Reason, Status

    if verdict.reason is Reason.INTERRUPTED:
        return INTERRUPTED
    return {Status.UNSAT: HOLDS, Status.SAT: VIOLATED}.get(verdict.status, UNDECIDED)
