"""One neutral turn type, the wire adapters, and what a call costs."""
