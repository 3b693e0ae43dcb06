"""Measure against the aims: `python -m bench [NAME...] [--json] [--quick]`."""

import importlib
import json
import logging
import sys
from collections.abc import Iterable

import click
import structlog
from rich.console import Console
from rich.table import Table

from bench import aims
from bench.aims import Aim, Outcome

MODULES = tuple(dict.fromkeys(aim.module for aim in aims.load()))


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(MODULES))
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@click.option("--quick", is_flag=True, help="Less work a figure: rougher, for a look.")
def main(names: tuple[str, ...], as_json: bool, quick: bool) -> None:
    """Measure NAMES (all without any) and say which aims are met."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(stderr=as_json, highlight=False)
    outcomes: dict[str, Outcome] = {}
    for name in names or MODULES:
        with console.status(f"measuring {name}"):
            outcomes[name] = importlib.import_module(f"bench.{name}").measure(quick)
    rows = [aim for aim in aims.load() if aim.module in outcomes]
    if as_json:
        json.dump([as_dict(aim, outcomes[aim.module]) for aim in rows], sys.stdout, indent=1)
        print()
    else:
        show(console, rows, outcomes)


def figure(aim: Aim, outcome: Outcome) -> float | None:
    """What was measured for an aim; None: it could not be."""
    return outcome.figures.get(aim.name.partition(".")[2])


def met(aim: Aim, outcome: Outcome) -> bool:
    value = figure(aim, outcome)
    return value is not None and not outcome.failures and aim.met(value)


def as_dict(aim: Aim, outcome: Outcome) -> dict[str, object]:
    return {
        "name": aim.name,
        "figure": figure(aim, outcome),
        "unit": aim.unit,
        "ratio_to": aim.ratio_to,
        "aim": aim.aim,
        "direction": aim.direction,
        "met": met(aim, outcome),
        "failures": outcome.failures,
        "notes": outcome.notes,
    }


def show(console: Console, rows: Iterable[Aim], outcomes: dict[str, Outcome]) -> None:
    table = Table("name", "figure", "ratio to", "aim", "met")
    missed: dict[str, Outcome] = {}
    for aim in rows:
        outcome = outcomes[aim.module]
        value = figure(aim, outcome)
        if not met(aim, outcome):
            missed[aim.module] = outcome
        table.add_row(
            aim.name,
            "not measured" if value is None else f"{value:,.4g} {aim.unit}",
            aim.ratio_to,
            f"{'>=' if aim.direction == 'up' else '<='} {aim.aim:g}",
            "yes" if met(aim, outcome) else "NO",
        )
    console.print(table)
    for name, outcome in outcomes.items():
        for note in outcome.notes:
            console.print(f"{name}: {note}")
        if outcome.failures:
            console.print(f"{name}: {outcome.failures} units of work FAILED; its figures are void")
    for name, outcome in missed.items():
        if outcome.profile is not None:
            console.print(f"\n{name}: where the time goes")
            for line in outcome.profile():
                console.print(f"  {line}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
