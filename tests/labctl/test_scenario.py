"""The scenario file: read as a whole, every problem in one go with its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.scenario.catalog import find_scenario, own_scenarios
from labctl.scenario.read import ScenarioError, parse_scenario, read_scenario

KNOWN = ["tcp-server", "udp-server", "client"]
GOOD = """\
scenario: demo
title: A demo
hosts: [tcp-server, client]
steps:
  - say: Hello.
    on: client
    run: echo hi
    expect: {exit: 0, stdout: {equals: "hi\\n"}, within: 500ms}
"""


def problems(text):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "f.yaml", KNOWN)
    assert caught.value.code == 2
    return [str(problem) for problem in caught.value.problems]


class TestGoodFiles:
    def test_on_is_a_key_and_not_a_truth_value(self):
        step = parse_scenario(GOOD, "f.yaml", KNOWN).steps[0]
        assert (step.on, step.run, step.expect.within) == ("client", "echo hi", 0.5)

    def test_what_is_left_out_has_its_default(self):
        scenario = parse_scenario(
            "scenario: a\ntitle: b\nhosts: [client]\nsteps: [{say: x, on: client, run: y}]", "f", KNOWN
        )
        assert (scenario.steps[0].expect.exit, scenario.steps[0].expect.within) == (0, 30.0)

    @pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
    def test_labctls_own_are_valid_and_named_as_their_file(self, entry):
        from labctl.commands.prepare import load

        scenario = load(entry)
        assert scenario.scenario == entry.name
        assert entry.title == scenario.title

    @pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
    def test_hosts_are_those_of_the_profile_in_compose(self, entry):
        import yaml

        from labctl.commands.prepare import load

        services = yaml.safe_load(entry.compose_file.read_text())["services"]
        profile = {name for name, service in services.items() if entry.name in service.get("profiles", ())}
        assert profile == set(load(entry).hosts)


class TestProblems:
    def test_all_are_told_at_once_each_with_its_place_and_the_nearest_word(self):
        text = """\
scenario: Bad Name
titel: x
hosts: [tcp-serv, client, client]
steps:
  - say: hi
    on: cleint
    run: 5
    expect: {exit: "0", stdout: {contain: x}, within: 5}
  - on: client
    say: x
    run: y
    say: z
"""
        assert problems(text) == [
            "f.yaml:1:1: title: key `title` is missing",
            "f.yaml:1:11: scenario: `Bad Name` is not a name: small letters, digits and `-` are",
            "f.yaml:2:1: titel: unknown key `titel`; did you mean `title`?",
            "f.yaml:3:9: hosts[0]: no host `tcp-serv` in compose.yaml; did you mean `tcp-server`?",
            "f.yaml:3:27: hosts[2]: host `client` is listed twice",
            "f.yaml:6:9: steps[0].on: host `cleint` is not among the scenario's hosts; did you mean `client`?",
            "f.yaml:7:10: steps[0].run: text is expected, in quotes where it looks like a number, but it is `5`",
            "f.yaml:8:20: steps[0].expect.exit: a whole number is expected, but it is `0`",
            "f.yaml:8:34: steps[0].expect.stdout.contain: unknown key `contain`; did you mean `contains`?",
            "f.yaml:8:55: steps[0].expect.within: a duration with its unit is expected, such as `500ms`, `5s` or `2m`",
            "f.yaml:12:5: key `say` stands twice, first at line 10",
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("scenario: x\n  b: [\n", "f.yaml:2:4: not YAML"),
            ("- a\n- b\n", "f.yaml:1:1: a mapping is expected"),
            ("", "f.yaml:1:1: a mapping is expected"),
            ("scenario: !!python/object:os.system x", "not YAML"),
            ("a: &a [*a]", "f.yaml:1:8: YAML aliases are not taken"),
            (GOOD.replace("equals", "matches").replace('"hi\\n"', '"("'), "not a regular expression"),
            (GOOD.replace('{equals: "hi\\n"}', "{}"), "say one of `equals`"),
            (GOOD.replace("exit: 0", "exit: 300"), "less than or equal to 255"),
            (GOOD.replace("hosts: [tcp-server, client]", "hosts: client"), "a list is expected"),
        ],
    )
    def test_each_kind_is_told_in_words(self, text, said):
        assert said in "\n".join(problems(text))

    @pytest.mark.parametrize(
        ("step", "said"),
        [
            ("fault: crush client", "f.yaml:4:17: steps[0].fault: there is no fault `crush`; did you mean `crash`?"),
            ("fault: ''", "steps[0].fault: there is no fault ``; known: `corrupt`, `crash`, `delay`"),
            ("fault: crash", "steps[0].fault: `crash` takes one host, not 0"),
            ("fault: crash client client", "`crash` takes one host, not 2"),
            ("fault: heal client client client", "`heal` takes two hosts, one or none, not 3"),
            (
                "fault: pause clint",
                "steps[0].fault: host `clint` is not among the scenario's hosts; did you mean `client`?",
            ),
            ("fault: pause udp-server", "host `udp-server` is not among the scenario's hosts"),
            ("fault: 5", "steps[0].fault: text is expected"),
            ("fault: heal, run: x", "steps[0].run: unknown key `run`; known: `fault`, `say`"),
            ("falt: heal", "steps[0].falt: unknown key `falt`; known: `background`, `expect`, `on`, `run`, `say`"),
            ("fault: heal, say: [x]", "steps[0].say: text is expected"),
        ],
    )
    def test_a_fault_that_is_none_is_told(self, step, said):
        text = f"scenario: a\ntitle: b\nhosts: [client]\nsteps: [{{{step}}}]"
        assert said in "\n".join(problems(text))

    def test_a_file_that_cannot_be_read(self, tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_scenario(tmp_path / "none.yaml", KNOWN)

    def test_a_file_that_is_no_utf8_names_the_line(self, tmp_path):
        path = tmp_path / "latin.yaml"
        path.write_bytes("scenario: a\ntitle: für\n".encode("latin-1"))
        with pytest.raises(ScenarioError, match=":2:1: not UTF-8"):
            read_scenario(path, KNOWN)

    def test_a_text_that_no_file_in_utf8_could_hold_names_the_line(self):
        with pytest.raises(ScenarioError, match=":2:1: not UTF-8"):
            parse_scenario("scenario: a\ntitle: \ud800\n", "f.yaml", KNOWN)

    @given(st.text(max_size=200))
    def test_any_text_is_a_scenario_or_a_told_problem(self, text):
        try:
            parse_scenario(text, "f.yaml", KNOWN)
        except ScenarioError as error:
            assert error.problems

    @given(st.integers(0, len(GOOD) - 1), st.characters())
    def test_any_changed_character_is_a_scenario_or_a_told_problem(self, place, char):
        try:
            parse_scenario(GOOD[:place] + char + GOOD[place + 1 :], "f.yaml", KNOWN)
        except ScenarioError as error:
            assert all(problem.line >= 1 for problem in error.problems)


class TestCatalog:
    def test_an_unknown_name_is_answered_with_the_nearest(self):
        with pytest.raises(UsageError, match="did you mean `tcp-demo`"):
            find_scenario("tcp-dmo")

    def test_a_users_file_brings_its_own_compose_file(self, tmp_path):
        (tmp_path / "my.yaml").write_text(GOOD)
        assert find_scenario(str(tmp_path / "my.yaml")).compose_file.parent != tmp_path
        (tmp_path / "compose.yaml").write_text("services: {}")
        assert find_scenario(str(tmp_path / "my.yaml")).compose_file == tmp_path / "compose.yaml"

    def test_a_path_that_is_not_there(self):
        with pytest.raises(UsageError, match="no scenario file"):
            find_scenario("./none.yaml")


def test_the_schema_accepts_what_the_reader_accepts():
    from labctl.scenario.schema import Scenario

    schema = Scenario.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"scenario", "title", "hosts"}
    assert {ref["$ref"] for ref in schema["properties"]["steps"]["items"]["oneOf"]} == {
        "#/$defs/Step",
        "#/$defs/FaultStep",
    }
    assert schema["$defs"]["FaultStep"]["properties"]["fault"]["pattern"].startswith("^(crash|")
    assert schema["$defs"]["Expect"]["properties"]["within"]["pattern"]
    json.dumps(schema)
