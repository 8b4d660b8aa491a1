"""Whether everything that was published ended as it must. Pure."""
