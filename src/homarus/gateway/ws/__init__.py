"""The gateway's WebSocket, protocol 4 (gateway contract, 1 to 9): `/` on the main port.

frames      text <-> frames, errors, bounds        signature   a device proves its key
handshake   who may connect, decided purely        connection  one socket, from challenge to close
desk        what methods reach                     methods/    the methods, a module a family
runs        turns told as `agent` and `chat`       server      all sockets, presence, the pump
"""
