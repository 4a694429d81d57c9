"""The weakest level: it cleans up after a command, and isolates nothing."""

from pathlib import Path

from headway.sandbox.backend import Launch, shell_line
from headway.sandbox.process.command_environment import environment
from headway.sandbox.process.launcher import argv, command_shell
from headway.sandbox.runner import Command


class Plain:
    """Commands run as this user, with all permissions of this user."""

    name = "plain"
    keeps_processes = False
    refuses_network = ""
    not_enforced = (
        "filesystem: a command reads and writes whatever this user may, other workspaces included",
        "network: a command reaches whatever this machine reaches, this machine's own services included",
        "memory: only the machine's own limits hold",
        "forks: the number of processes is not limited",
        "processes: a command can read this user's other processes and signal them",
        "daemons: a process that detaches from its session lives on after its command's ordinary end",
    )

    def launch(self, command: Command, home: Path, mark: str, preamble: str = "") -> Launch:
        """The program that starts a command; see `Backend.launch`."""
        env = environment(command, home, mark)
        env |= {cache.variable: str(cache.folder) for cache in command.walls.caches if cache.variable}
        return Launch(argv(shell_line(command, command_shell()), preamble), command.cwd, env)
