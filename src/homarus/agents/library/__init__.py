"""One exchange with a provider, by the model library (`pydantic-ai-slim`, extra `agent`).

This is the only package that imports the library; `agents/wires.py` imports it in a thread before
the first request. The library translates messages and events of each dialect. Ours are the
connection (`line.py`: nothing of the environment goes out with a request, and the key only in its
header) and what each failure means (`failures.py`). Read `line.py` and `exchange.py` first.
"""
