"""The loop of planners and workers: context, tools, guards, prompts."""
