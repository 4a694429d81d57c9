"""Prompts as Markdown, one file per prompt, with strict $placeholders."""
