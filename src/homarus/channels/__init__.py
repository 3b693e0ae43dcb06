"""Talk over channels: the port, what runs the accounts, what sends deliveries.

Loaded when the first channel is configured (`switch.py`).
"""
