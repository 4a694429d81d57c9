"""One neutral turn type, the wire adapters, and the cost of a call."""
