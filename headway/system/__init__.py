"""The operating system, once: whole files and their syncs, locks, the identity of processes, this boot."""
