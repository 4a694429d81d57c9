"""The machine's part: supervisor, local service, settings, connection, upgrade check."""
