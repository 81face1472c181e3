"""`labctl check` and `schema`."""

import json

import click

from labctl.cli.options import json_option, scenario_argument
from labctl.cli.output import print_json
from labctl.scenario.catalog import find_scenario


@click.command("check")
@scenario_argument
@json_option
def check_command(scenario: str, as_json: bool) -> None:
    """Validate SCENARIO, a file or a name, as a whole: every problem with its line, column and the nearest known word."""
    from labctl.commands.prepare import load
    from labctl.scenario.read import ScenarioError

    entry = find_scenario(scenario)
    try:
        lesson = load(entry)
    except ScenarioError as error:
        if as_json:
            print_json(file=str(entry.path), valid=False, problems=error.problems)
        raise
    if as_json:
        print_json(file=str(entry.path), valid=True, problems=[], scenario=lesson.scenario)
    else:
        click.echo(
            f"{entry.path}: scenario `{lesson.scenario}`, {len(lesson.hosts)} hosts, {len(lesson.steps)} steps: valid"
        )


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the scenario file; editors check against it as you type."""
    from labctl.scenario.schema import Scenario

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
    click.echo(json.dumps(schema, indent=2))
