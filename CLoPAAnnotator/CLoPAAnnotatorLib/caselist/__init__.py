"""The list of cases: its columns and order, and where cases come from."""
