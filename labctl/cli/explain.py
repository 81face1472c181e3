"""`labctl explain`."""

import click

from labctl.cli.options import _labs, json_option
from labctl.cli.output import print_json
from labctl.cli.wiring import connect


@click.command("explain")
@click.argument("lab", required=False, metavar="[LAB|FILE]", shell_complete=_labs)
@click.option("--conversation", "-c", type=click.IntRange(min=1), help="Only this conversation, by its number.")
@click.option("--all", "everything", is_flag=True, help="Also what was said before the lab was ready.")
@json_option
def explain_command(lab: str | None, conversation: int | None, everything: bool, as_json: bool) -> None:
    """Tell in words what happened on LAB's wire, or in a capture FILE: each sentence with its frames and a section of an RFC."""
    from labctl.commands.trace import check_conversation, see_place
    from labctl.wire.explain import explain

    seen = see_place(connect, lab)
    if conversation:
        check_conversation(seen, conversation)
    since = 0 if everything or conversation else seen.ready_ns
    told = [
        (item, sentences)
        for item in seen.trace.conversations
        if item.number == (conversation or item.number) and item.packets and item.packets[0].time_ns >= since
        and (sentences := explain(item, seen.trace))
    ]  # fmt: skip
    if as_json:
        print_json(
            name=seen.name,
            problems=seen.trace.doubts,
            conversations=[{"number": item.number, "title": item.title, "sentences": said} for item, said in told],
        )
        return
    for doubt in seen.trace.doubts:
        click.secho(f"! {doubt}", fg="red", err=True)
    for item, said in told:
        click.secho(f"{item.number}  {item.title}", bold=True)
        for sentence in said:
            click.echo(f"   {sentence}")
        click.echo()
    if not told:
        click.echo("there is nothing to tell", err=True)
