"""Effects as Temporal sees them: thin, idempotent, heartbeating; they take Protocols and import no adapter."""
