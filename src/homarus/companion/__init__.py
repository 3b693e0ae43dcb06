"""Local commands that connect a machine to a control plane and look after the connection.

Contract: control plane, 14. What a command starts from is `settings.Settings` (options, then
environment, then bridge.config.json); what it leaves lies in the companion directory, private to
its owner, each file whole or absent. The journal belongs to the bridge: it is made when missing and
otherwise left alone. Start reading at `setup.py` (bootstrap, repair), then `doctor.py`.
"""
