"""HTTP of the gateway: `/v1/*` and `/tools/invoke` (gateway contract, 14).

table.py       the routes, as data
surface.py     from a request to a turn; telling.py     from the turn's events to an answer
responses.py, chat.py, tools.py      each wire: its bodies, answers and streams
"""
