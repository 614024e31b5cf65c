"""Growth budgets: bounds, what each structure costs, and the projection onto a bound."""
