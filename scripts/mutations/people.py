"""x"""
from mutations import Mutant
PEOPLE: tuple[Mutant, ...] = ()
