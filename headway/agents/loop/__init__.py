"""The loop that planners and workers share: conversation, context, compaction, guards."""
