"""Both neighbours as real servers over one ledger."""
