"""Every prompt as an agent reads it, with made-up values. `python -m tests.agents.renders` writes the files anew.

The files in `renders/` show in a review what a change of a prompt, or of the code that fills it, does to its text.
"""

from pathlib import Path

from headway.agents.tools.catalogue import PLANNER_TOOLS
from headway.domain.headings import ROOT_HEADING, scope_heading, task_heading
from headway.domain.limit_table import Limits
from headway.domain.spec import Policy, RunSpec
from headway.policy.policy_text import policy_text
from prompts.prompts import Prompts
from tests.agents.offered import REPLACING

FOLDER = Path(__file__).parent / "renders"
SYSTEM = ("planner_root", "planner_sub", "worker", "fixer", "compaction")
"""The prompts that open every request of their role; all agents of a role share them, and so a prompt cache may."""

SPEC = RunSpec(
    repo="/srv/shop",
    instructions="Move the shop to the new payment service.\nEvery order that works today works after it.",
    limits=Limits(command_seconds=300, agent_memory_mb=4096),
    policy=Policy(
        dependencies="Only what the payment service's client needs.",
        performance="A checkout answers within 200 ms; the whole suite runs in under 5 minutes.",
        forbidden_dependencies=("left-pad", "org.apache.logging*"),
        network="none",
    ),
)
BARE = RunSpec(repo="/srv/shop", instructions="Tidy up.")
PROMPTS = Prompts.load()

VALUES: dict[str, object] = {
    "heading": task_heading("Send refunds through the new service", 2),
    "instructions": SPEC.instructions,
    "policy": policy_text(SPEC, PROMPTS),
    "fewest": 20,
    "most": 100,
    "scope": "Refunds\nEverything that gives money back.",
    "intent": "Refunds still go through the old service, which is switched off in March.",
    "context": "The client is in shop/payment/client.py.",
    "constraints": "No change to the public interface.",
    "paths": "shop/refunds.py",
    "done_when": "tests/test_refunds.py passes against the fake service.",
    "kind": PROMPTS.text("messages/kind_change"),
    "task_minutes": "60 minutes",
    "check": "make test",
    "base": "1f2e3d4c5b6a",
    "setup": PROMPTS.text("messages/setup_done"),
    "earlier": "",
    "guidance": PROMPTS.render("messages/guidance", path="AGENTS.md", text="Tests live beside the code."),
    "text": "Leave the invoices alone.",
    "path": "shop/refunds.py",
    "command": "make deps",
    "how": "exit code 2",
    "output": "make: *** No rule to make target 'deps'.",
    "names": "left-pad, org.apache.logging*",
    "dependencies": "Only what the payment service's client needs.",
    "forbidden": "none",
    "performance": "none",
    "network": PROMPTS.text("messages/network_setup"),
    "command_seconds": 120,
    "memory_mb": 2048,
    "left": 4096,
    "size": 36864,
    "attempt": 1,
    "status": "failed",
    "summary": "The model's replies were empty three times in a row.",
    "wip": "0a1b2c3d4e5f",
    "source": "snapshot 0a1b2c3d4e5f",
    "what": "tokens",
    "asked": 120,
    "room": 80,
    "count": 4,
    "chars": 512,
    "commit": "9f8e7d6c5b4a",
    "others": "shop/orders.py",
    "conflicted": "shop/refunds.py",
    "trunk": "9f8e7d6c5b4a",
    "rounds": 1,
    "rivals": "- 5a4b3c2d1e0f Refund by bank transfer",
    "reason": "these look as if they should not land (over 1 MB)",
    "found": "- left-pad in package.json, by the rule 'left-pad'",
    "facts": "- this is a change task, and nothing of it is on the trunk",
    "shown": "    12\tdef refund(order):",
    "lines": 40,
    "done": "written",
    "scratchpad": "Goal: refunds through the new service. Open: partial refunds.",
    "tally": "3 done, 1 failed",
    "handed": "- 1.0-1f2e3d4c · done · Send refunds through the new service",
    "handoffs": "### Handoff 1.0-1f2e3d4c · done · Send refunds through the new service\nRefunds go there now.",
    "turn": 7,
    "pinned": "9f8e7d6c5b4a",
    "since": "since your last look",
    "changed": "shop/refunds.py, tests/test_refunds.py",
    "tokens": "1,200,000",
    "tasks": "412",
    "spawnable": 88,
    "usd": ", 3.20 dollars",
    "texts": "Leave the legacy endpoint alone: the partners move in March.",
    "delegate": "yes",
    "outstanding": "\n  - 6.0-0a1b2c3d · Refund gift cards · asked 12 min ago",
    "verdict": "red (exit code 1) at 9f8e7d6c5b4a, 3 min ago\nFAILED tests/test_refunds.py::test_partial",
    "why": "exit code 1",
    "age": "3 min",
    "moved": PROMPTS.text("messages/check_moved"),
    "shared": "",
    "undone": "- 1.3-3d4c5b6a · failed · Refund gift cards",
    "turns": 2,
    "failing": "FAILED tests/test_refunds.py::test_partial",
    "error": "line 12: expected ':'",
    "goal": "Send refunds through the new service",
    "note": "## Goal\nRefunds go through the new service.\n## Next\nPartial refunds.",
    "said": '[you] The client has no partial refunds.\n[call] grep {"pattern": "partial"}',
    "question": "Write the note to yourself now.",
    "landed": "9f8e7d6c5b4a",
    "minutes": 12,
    "concerns": "- The fake service does not know partial refunds. (reported 50 times: 1.0-1f2e3d4c, 1.1-2e3d4c5b)",
}
OF_ONE: dict[str, dict[str, object]] = {
    "messages/scope_root": {"heading": ROOT_HEADING},
    "messages/scope_sub": {"heading": scope_heading("Refunds")},
    "messages/handoff_by_id": {"heading": "### Handoff 1.3-3d4c5b6a · partial · Refund gift cards"},
    "messages/recovered": {"asked": "6.0-0a1b2c3d (Refund gift cards)"},
    "messages/final": {"asked": SPEC.instructions},
}


OFFERED = {"planner_root": PLANNER_TOOLS, "planner_sub": PLANNER_TOOLS, "worker": REPLACING}


def system(name: str) -> str:
    """A system prompt as an agent reads it, with the rules of its tools."""
    return OFFERED[name].system(PROMPTS, name) if name in OFFERED else PROMPTS.render(name)


def renders() -> dict[str, str]:
    """Every prompt's text by its name, and the policy of a run that says nothing."""
    made = {}
    for name in PROMPTS.names:
        values = VALUES | OF_ONE.get(name, {})
        made[name] = PROMPTS.render(name, **{key: values.get(key, f"({key})") for key in PROMPTS.placeholders(name)})
    made |= {name: system(name) for name in SYSTEM}
    made["messages/policy_of_a_bare_run"] = policy_text(BARE, PROMPTS)
    return made


def main() -> None:
    """Write every file, and remove those of prompts that are gone."""
    made = renders()
    for path in FOLDER.rglob("*.txt"):
        if path.relative_to(FOLDER).with_suffix("").as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        path = FOLDER / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
