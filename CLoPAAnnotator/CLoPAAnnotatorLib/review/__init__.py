"""A second person at confirmed cases: the list, the verdict, and what it is about."""
