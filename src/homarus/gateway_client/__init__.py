"""A client of the gateway's protocol: commands and nodes connect with it.

wire.py       one connection: challenge, hello, calls, events
identity.py   the key that a device proves (Ed25519, version 3 of the payload), and its token
asking.py     one call as an operator: `ask(Caller(url, token), method, params)`
"""
