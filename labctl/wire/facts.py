"""A trace as plain values, for `--json` and for programs; the format carries a version where it is printed."""

from collections.abc import Sequence
from typing import Any

from labctl.wire.describe import call_arguments, detail, label, relative_ack, relative_seq
from labctl.wire.dialogue import Dialogue, Said, dialogues_of
from labctl.wire.ladder import Mark
from labctl.wire.model import ACK, Call, Conversation, Event, Packet, Side, Trace
from labctl.wire.oneway import OneWay, one_way_facts, one_ways


def trace_facts(trace: Trace, marks: Sequence[Mark] = ()) -> dict[str, Any]:
    """Return all that a trace holds, octets as hexadecimal text."""
    conversations = {item.number: item for item in trace.conversations}
    dialogues = dialogues_of(trace)
    ways = one_ways(trace)
    return {
        "hosts": trace.hosts,
        "names": trace.names,
        "dropped": trace.dropped,
        "problems": trace.problems,
        "marks": [{"time_ns": mark.time_ns, "text": mark.text, "passed": mark.passed} for mark in marks],
        "conversations": [conversation_facts(item, dialogues.of(item)) for item in trace.conversations],
        "packets": [
            packet_facts(
                packet,
                found := conversations.get(trace.of.get(packet.number, 0)),
                dialogues.text(packet, found),
                ways.get(packet.number),
                trace.unheard.get(packet.number, ""),
            )
            for packet in trace.packets
        ],
        "calls": [call_facts(call, dialogues.hides(call)) for call in trace.calls],
    }


def conversation_facts(conversation: Conversation, dialogue: Dialogue | None) -> dict[str, Any]:
    """Return a conversation without its packets, which are listed by themselves."""
    return {
        "protocol": dialogue.protocol if dialogue and dialogue.said else None,
        "lines": [_line(said) for said in dialogue.said] if dialogue else [],
        "number": conversation.number,
        "kind": conversation.topic or conversation.kind,
        "opener": _side(conversation.opener),
        "answerer": _side(conversation.answerer),
        "frames": [packet.number for packet in conversation.packets],
        "seconds": round(conversation.seconds, 6),
        "events": [event_facts(event) for event in conversation.events],
    }


def _line(said: Said) -> dict[str, Any]:
    line = said.line
    return {
        "frame": said.frame, "by": said.host, "kind": line.kind, "text": line.text, "lines": list(line.said or (line.text,)),
        "octets": line.octets, "answers": said.answers or None,
    }  # fmt: skip


def _side(side: Side) -> dict[str, Any]:
    return {
        "host": side.host,
        "address": side.address,
        "port": side.port,
        "packets": side.packets,
        "octets": side.octets,
        "states": [{"frame": frame, "state": state.value} for frame, state in side.states],
    }


def event_facts(event: Event) -> dict[str, Any]:
    """Return an event."""
    return {
        "kind": event.kind,
        "frame": event.frame,
        "frames": list(event.frames),
        "by": event.by,
        "text": event.text,
        "rfc": event.rfc,
    }


def packet_facts(
    packet: Packet, conversation: Conversation | None, said: str = "", way: OneWay | None = None, unheard: str = ""
) -> dict[str, Any]:
    """Return a packet; sequence numbers are counted from the first, as the ladder shows them.

    Args:
        said: what it means in its protocol.
        way: how long it was under way.
        unheard: why it was dropped where it arrived.
    """
    facts: dict[str, Any] = {
        "frame": packet.number,
        "time_ns": packet.time_ns,
        "conversation": conversation.number if conversation else 0,
        "kind": packet.kind,
        "source": packet.source,
        "target": packet.target,
        "source_port": packet.source_port,
        "target_port": packet.target_port,
        "length": packet.length,
        "payload": packet.payload,
        "text": label(packet, conversation, said),
        "detail": detail(packet, conversation),
    }
    if packet.kind == "TCP" and conversation and packet.source_port is not None:
        facts |= {"flags": packet.flag_names, "seq": relative_seq(packet, conversation), "window": packet.window}
        facts["ack"] = relative_ack(packet, conversation) if packet.flags & ACK else None
    if way:
        facts["one_way"] = one_way_facts(way)
    if unheard:
        facts["unheard"] = unheard
    if packet.problem:
        facts["problem"] = packet.problem
    return facts


def call_facts(call: Call, hidden: bool = False) -> dict[str, Any]:
    """Return a call; `hidden` where its octets hold a password."""
    return {
        "host": call.host, "process": call.process, "program": call.program, "time_ns": call.time_ns, "seconds": call.seconds,
        "name": call.name,
        "descriptor": call.descriptor, "result": call.result, "error": call.error, "arguments": call_arguments(call, hidden),
        "local": call.local, "peer": call.peer, "conversation": call.conversation, "frames": list(call.frames),
    }  # fmt: skip
