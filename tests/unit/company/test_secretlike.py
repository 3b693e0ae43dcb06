"""What looks like a secret in an open field, and what does not."""

import time

import pytest

from homarus.base.errors import Invalid
from homarus.company.secretlike import look, refuse

HEX48 = "0123456789abcdef" * 3


@pytest.mark.parametrize(
    "text, what",
    [
        ("use sk-proj-Ab12cd34ef56gh78 for it", "an API key (`sk-…`)"),
        ("ghp_" + "aB3" * 12, "a GitHub token"),
        ("github_pat_" + "aB3" * 12, "a GitHub token"),
        ("glpat-abcdefghij0123456789", "a GitLab token"),
        ("xoxb-123456789012-abcdef", "a Slack token"),
        ("AKIAIOSFODNN7EXAMPLE", "an AWS access key"),
        ("AIza" + "x" * 35, "a Google API key"),
        ("sk_live_abcdefghij012345", "a Stripe key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "a private key"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
        (f"ec_{HEX48}", "a Homarus access token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "a signed token (JWT)"),
        ("postgres://app:s3cr3t@db/x", "credentials in an address"),
        ("password: hunter2", "a password or key"),
        ("Password = 'correct horse'", "a password or key"),
        ('{"apiKey":"abcd1234"}', "a password or key"),
        ('{"client_secret": "abcd"}', "a password or key"),
        ("IMAP_PASSWORD=abcd", "a password or key"),
        ("x" * 100_000 + " passwd: hunter2", "a password or key"),
    ],
)
def test_what_looks_like_a_secret(text, what):
    found = look(text)
    assert found is not None and found.what == what


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The password is kept in the vault.",
        "password: <ask an owner>",
        "password: {{ vault }}",
        "password: ${PASSWORD}",
        "password: ********",
        "password: required",
        "password: null",
        "secret: secret://mailbox",
        "token: abc",
        "passwords: many of them",
        "sk-learn-is-a-library-for-python",
        "task-0123456789abcdef0",
        "ghp_short",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "https://example.com:8080/a@b",
        "ec_not-a-token",
        "monkey: banana",
    ],
)
def test_what_does_not(text):
    assert look(text) is None


def test_the_error_names_the_field_and_the_right_one_and_never_the_value():
    with pytest.raises(Invalid) as raised:
        refuse({"name": None, "configText": "login: ada\npassword: hunter2"}, "secretText")
    error = raised.value
    assert error.code == "resource.secret_like"
    assert "`configText`" in error.message and "character 12" in error.message
    assert "`secretText`" in error.remedy and "allowSecretLike" in error.remedy
    assert "hunter2" not in f"{error} {error.details}"


@pytest.mark.parametrize("piece", ["password:", "eyJ", "a://", "sk-a-", "key", "secret ", "a", ":"])
def test_a_hostile_text_is_looked_at_quickly(piece):
    """A generous bound: quadratic work would take minutes."""
    began = time.process_time()
    look(piece * (500_000 // len(piece)))
    assert time.process_time() - began < 2.0
