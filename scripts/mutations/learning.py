"""x"""
from mutations import Mutant
LEARNING: tuple[Mutant, ...] = ()
