"""Pure types and rules of Headway: no I/O, no clock, no randomness. Workflows import it through the sandbox."""
