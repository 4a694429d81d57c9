"""The run that `headway demo` plays."""
