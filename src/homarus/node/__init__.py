"""A machine as a node of a gateway (gateway contract, 11): `homarus node run`.

It connects with a key of its own, offers `system.run` and `system.which`, and runs what its own
allowlist (`policy.py`) lets pass, in the sandbox of `homarus.backends`. What the gateway approves
is judged there; here, what the owner of this machine allows. Start reading at `host.py`.
"""
