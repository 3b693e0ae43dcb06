"""Tests of Homarus; they read as its specification. How to run them: docs/how-to/run-tests.md."""
