"""Reference implementations, one module per week. They know nothing of grading."""
