"""Reference implementations: the mathematics of the course in plain torch, one module per week."""
