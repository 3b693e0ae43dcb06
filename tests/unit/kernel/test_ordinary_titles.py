"""Ordinary work is never held up by a guess: what people write in trackers all day, in a company
that has every role. No title here diverts, blocks or raises a level, whoever it is for."""

import pytest

from homarus.kernel.classifier import ROLES, classify
from homarus.kernel.gates import CompanySeen, TaskAsked, evaluate

THRESHOLD = 3.0
TITLES = """
Fix the login page
Add dark mode to the settings page
Write tests for the parser
Update dependencies to their latest versions
Refactor the payment service
Review pull request 182
Investigate the failing nightly build
Document the REST API
Translate the landing page into German
Prepare slides for Monday
Clean up the staging database
Count the words in every file
Find dead links on the website
Summarise yesterday's meeting
Plan the team offsite
Answer the support ticket of Acme
Migrate the blog to the new server
Set up continuous integration
Improve the onboarding email
Change the onboarding process for new customers
Design a logo for the summer campaign
Design the checkout page
Design new icons
Redesign the pricing page
Rename the main branch
Rewrite the FAQ
Research competitors' pricing
Collect feedback on the beta
Draft the newsletter for May
Write a blog post about our API
Write the release notes
Write a press release draft
Post on social media about the launch
Optimise images on the home page
Fix broken redirects
Fix architecture diagram typos
Review the architecture notes
Update the architecture page in the wiki
Draw a diagram of the current architecture
Explain the system design in the README
Add failover tests to the suite
Check the backup and the disaster recovery notes
Measure scalability of the search endpoint
Upgrade the database
Upgrade the build agents
Upgrade routing library to version 6
Change routing rules in the load balancer
Modify routing table of the router
Change the agent timeout
Restart the build agent
Revise the onboarding checklist
Rewrite the agent's README
Add a new feature flag for billing
Add a new module import
Create a new workflow in GitHub Actions
Build the new module for exports
Implement the new module loader
Develop a new workflow for tagging issues
Release the new version
Launch the new website
Create a new project in the tracker
Create a new product page
Build a new product page
Order new product photos
Create the new repository
Write user documentation
Add a user story to the backlog
Groom user stories
Update the product roadmap page
Close stale issues
Label all open issues
Triage the bug list
Reproduce the crash on Android
Add logging to the importer
Rotate the API keys
Renew the TLS certificate
Check licences of dependencies
Update the privacy policy link
Fix typo in the terms of service
Ask legal about the contract
Sign the contract with the printer
Prepare the invoice for March
Reconcile the bank statement
Book the flights
File the expense report
Approve the invoice of the printer
Pay the hosting bill
Compute payroll hours
Scan for secrets in the repository
Fix a security bug in the upload form
Run the linter
Run the security scanner
Look into the security alert
Compile the quarterly figures
Compile the shaders
Check code coverage
Delete unused code
Add unit tests to the codebase
Port the script to Python 3
Benchmark the queue
Tune the SEO of the product pages
Prepare a marketing campaign calendar
Proofread the marketing copy
Count the lines of source code
Interview three users
Prepare a resource plan for the sprint
Update the milestone list
Move the office plants
Do it
""".strip().splitlines()


def test_there_are_enough_of_them() -> None:
    assert len(TITLES) >= 100


@pytest.mark.parametrize("title", TITLES)
def test_an_ordinary_title_passes_every_gate(title: str) -> None:
    company = CompanySeen(
        threshold=THRESHOLD,
        experts={role: (f"the {role}",) for role in (*ROLES, "coo")},
        product_dev=True,
    )
    scores = classify(title, title)
    for role in (None, "writer", *ROLES):
        task = TaskAsked(type="some_work", title=title, role=role, scores=scores)
        found = evaluate(task, company)
        assert (found.held, found.level) == (None, 0), (role, found.evidence)
