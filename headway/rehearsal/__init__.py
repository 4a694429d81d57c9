"""A scripted, OpenAI-compatible model server: free, deterministic, offline, and without intelligence."""
