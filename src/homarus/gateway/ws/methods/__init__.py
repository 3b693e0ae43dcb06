"""The methods, a module a family; `table.py` has them all."""
