"""No fault: a mutant's image has a module in the place of this one, or a fault that is no module's."""
