"""Conditions for a start, each with its remedy."""

import os
import shutil
from collections.abc import Mapping

from headway.domain.errors import UserError


def need_git() -> None:
    """Refuse to go on without git.

    Raises:
        UserError: It is not on PATH.
    """
    if shutil.which("git") is None:
        raise UserError("git is not on PATH.", "Install it (`apt install git`, `brew install git`) and try again.")


def has_model(env: Mapping[str, str] | None = None) -> bool:
    """True if the environment names a model endpoint."""
    env = os.environ if env is None else env
    return any(env.get(name, "").strip() for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))


def need_model() -> None:
    """Refuse to go on without a model endpoint, or with a network in which no call could reach it.

    Raises:
        UserError: The environment names none, or a proxy or certificates that cannot be used.
    """
    if not has_model():
        raise UserError(
            "No model endpoint: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.",
            "Set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL for another server (such as http://localhost:8000/v1). "
            "Without any model: `headway demo` shows a whole run against the rehearsal, a scripted model server that "
            "`headway rehearse` serves for your own playbooks.",
        )
    from headway.models.endpoint_variables import endpoint_from, named_endpoints
    from headway.models.reachable import check_reachable

    check_reachable((endpoint_from(os.environ), *named_endpoints(os.environ)), os.environ)
