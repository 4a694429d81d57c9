"""The scratchpad: an agent's notes, always rewritten whole, carried word for word into every epoch."""

from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.domain.errors import ToolError
from headway.eventlog.events.work import Scratchpad
from prompts.prompts import Prompts

MAX_TOKENS = 6_000


def rewrite(conversation: Conversation, prompts: Prompts, content: str) -> ToolAnswer:
    """Replace the notes; every version stays in the log.

    Raises:
        ToolError: They are longer than every later epoch should pay for.
    """
    tokens = conversation.chosen.model.estimate_tokens(len(content.encode()), conversation.chosen.name)
    if tokens > MAX_TOKENS:
        over = tokens - MAX_TOKENS
        raise ToolError(
            f"the scratchpad would have about {tokens:,} tokens, {over:,} more than the {MAX_TOKENS:,} it may have "
            f"(leave out about {len(content) * over // tokens:,} of its {len(content):,} characters): it is as it was. "
            "Keep what you need in order to go on, and leave out what the repository says anyway"
        )
    conversation.note(Scratchpad(content=content))
    return ToolAnswer(prompts.render("answers/scratchpad", chars=len(content)), progress=True)
