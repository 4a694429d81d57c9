"""A sandbox without walls, for tests in which a command's walls do not matter."""

from headway.sandbox.backends.plain import Plain
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources


class PlainSandbox(LocalSandbox):
    """Commands without walls."""

    def __init__(self, resources: Resources | None = None) -> None:
        super().__init__(Plain(), resources)
