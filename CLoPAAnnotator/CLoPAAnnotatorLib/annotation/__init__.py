"""One person at one case: what was asked, answered, decided; what is shown next."""
