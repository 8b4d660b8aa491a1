"""Both neighbours for real, over one ledger."""
