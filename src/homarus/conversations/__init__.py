"""Tier 3: talk. Conversations (threads on the wire), their messages, participants and sync."""
