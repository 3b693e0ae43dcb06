"""The gateway's wire: the surfaces that clients of OpenClaw and of OpenAI know."""
