"""Taking over what other systems keep on disk."""
