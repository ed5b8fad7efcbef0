from dataclasses import dataclass, field

import pytest

from claim_transformers.training import ClaimTrainingArguments, parse_arguments, run_script


@dataclass
class Script:
    claims: str
    k: list[int] = field(default_factory=lambda: [10])
    cohort: str | None = None


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "script.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_flags_override_the_file(yaml_file, tmp_path):
    path = yaml_file(
        f"claims: here\nk: [5, 20]\ncohort:\noutput_dir: {tmp_path}\nlearning_rate: 1.0e-3\nuse_cpu: true\n"
        "load_best_model_at_end: false\nlr_scheduler_kwargs: {num_cycles: 2}\n"
    )
    script, training = parse_arguments(
        Script, ClaimTrainingArguments, arguments=[path, "--claims", "there", "--learning_rate", "0.5"]
    )
    assert (script.claims, script.k, script.cohort) == ("there", [5, 20], None)
    assert (training.learning_rate, training.use_cpu, training.load_best_model_at_end) == (0.5, True, False)
    assert training.lr_scheduler_kwargs == {"num_cycles": 2}


@pytest.mark.parametrize(
    ("text", "message"), [("claims: here\nclaim: there\n", "found \\['claim'\\]"), ("- claims\n", "found list")]
)
def test_a_file_with_something_else_is_refused(text, message, yaml_file):
    with pytest.raises(ValueError, match=message):
        parse_arguments(Script, arguments=[yaml_file(text)])


@pytest.mark.parametrize("flag", ["--clams", "--claim"])
def test_an_unknown_flag_is_refused_and_a_shortened_one_too(flag):
    with pytest.raises(ValueError, match=rf"found \['{flag}'\], did you mean --claims\?"):
        parse_arguments(Script, arguments=["--claims", "here", flag, "there"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--claims", "here", "--k", "ten"], "invalid int value"),
        ([], "required"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_arguments_that_cannot_be_are_one_line_and_status_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_script(lambda script: None, Script, arguments=arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize("text", ["{", "[" * 5000, "a: 1\n b: 2\n", "\x00"])
def test_a_file_that_is_no_yaml_is_refused(text, yaml_file):
    with pytest.raises(ValueError, match=r"script\.yaml: expected YAML"):
        parse_arguments(Script, arguments=[yaml_file(text)])


def test_a_fault_of_the_script_is_not_hidden():
    def main(script):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run_script(main, Script, arguments=["--claims", "here"])
