"""The names and types of server settings that Headway passes on.

The server takes an unknown pragma or dynamic-config key without a word, and a misspelt one would go unnoticed until
something is slow or lost. So only the listed ones are passed, each with the type the server reads it as.
"""

from typing import Literal

Kind = Literal["bool", "int", "duration", "word"]

SEARCH_ATTRIBUTE_TYPES = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")

SQLITE_PRAGMAS: dict[str, Kind | tuple[str, ...]] = {
    "auto_vacuum": ("none", "full", "incremental"),
    "busy_timeout": "int",
    "cache_size": "int",
    "cache_spill": "int",
    "journal_mode": ("delete", "truncate", "persist", "memory", "wal", "off"),
    "journal_size_limit": "int",
    "locking_mode": ("normal", "exclusive"),
    "mmap_size": "int",
    "page_size": "int",
    "synchronous": ("off", "normal", "full", "extra"),
    "temp_store": ("default", "file", "memory"),
    "threads": "int",
    "wal_autocheckpoint": "int",
}
"""Pragmas by name; a tuple lists the words that one takes."""

DYNAMIC_CONFIG: dict[str, Kind] = {
    "activity.enableCallbacks": "bool",
    "frontend.ListWorkersEnabled": "bool",
    "frontend.MaxConcurrentBatchOperationPerNamespace": "int",
    "frontend.WorkerHeartbeatsEnabled": "bool",
    "frontend.WorkflowPauseEnabled": "bool",
    "frontend.WorkflowTimeSkippingEnabled": "bool",
    "frontend.namespaceRPS": "int",
    "frontend.persistenceMaxQPS": "int",
    "frontend.rps": "int",
    "history.defaultWorkflowTaskTimeout": "duration",
    "history.maxInFlightUpdates": "int",
    "history.maxTotalUpdates": "int",
    "history.maximumBufferedEventsBatch": "int",
    "history.maximumSignalsPerExecution": "int",
    "history.persistenceMaxQPS": "int",
    "history.rps": "int",
    "history.transferProcessorEnsureCloseBeforeDelete": "bool",
    "history.visibilityProcessorEnsureCloseBeforeDelete": "bool",
    "limit.blobSize.error": "int",
    "limit.blobSize.warn": "int",
    "limit.historyCount.error": "int",
    "limit.historyCount.suggestContinueAsNew": "int",
    "limit.historyCount.warn": "int",
    "limit.historySize.error": "int",
    "limit.historySize.suggestContinueAsNew": "int",
    "limit.historySize.warn": "int",
    "limit.maxIDLength": "int",
    "limit.memoSize.error": "int",
    "limit.numPendingActivities.error": "int",
    "limit.numPendingCancelRequests.error": "int",
    "limit.numPendingChildExecutions.error": "int",
    "limit.numPendingSignals.error": "int",
    "matching.enableFairness": "bool",
    "matching.longPollExpirationInterval": "duration",
    "matching.numTaskqueueReadPartitions": "int",
    "matching.numTaskqueueWritePartitions": "int",
    "matching.persistenceMaxQPS": "int",
    "matching.useNewMatcher": "bool",
    "system.enableActivityEagerExecution": "bool",
    "system.enableCancelActivityWorkerCommand": "bool",
    "system.forceSearchAttributesCacheRefreshOnRead": "bool",
    "system.namespaceCacheRefreshInterval": "duration",
    "system.visibilityPersistenceMaxReadQPS": "int",
}
"""Dynamic-config keys by name."""
