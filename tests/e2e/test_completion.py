"""`sockeye completion`: what the shells themselves make of the scripts."""

import re
import subprocess

import pytest

from harness.binary import BIN

# Asks bash's own programmable completion, as the tab key does.
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { :; }
_sockeye
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(cli, place):
    """The path of a shell's script."""
    def make(shell):
        result = cli("completion", shell)
        assert result.code == 0 and result.err == "" and result.out
        path = place / f"completion.{shell}"
        path.write_text(result.out)
        return path
    return make


@pytest.fixture
def bash(script, place):
    """What bash offers for the last of these words."""
    def complete(*words):
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", script("bash"), *words], cwd=place, capture_output=True, text=True,
                              timeout=20)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.split("\n")[:-1]
    return complete


@pytest.fixture
def fish(script, place):
    def complete(line):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {script('fish')}; complete -C '{line}'"], cwd=place,
                              capture_output=True, text=True, timeout=20, env={"HOME": str(place), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr
        return [offer.split("\t")[0] for offer in done.stdout.splitlines()]
    return complete


def options_of_help(text):
    """Every option that a verb's help lists."""
    return set(re.findall(r"^ {4}(-\w)\b", text, re.M)) | set(re.findall(r"^ {4}(?:-\w, )?(--[\w-]+)", text, re.M))


def verbs_of_help(text):
    return re.findall(r"^sockeye (\w+) \[", text, re.M)


def test_bash_offers_the_verbs_that_help_has(cli, bash):
    verbs = verbs_of_help(cli("--help").out)
    assert {"run", "check", "socks", "status", "passwd", "completion"} <= set(verbs)
    assert set(bash("sockeye", "")) == {*verbs, "-h", "--help", "-V", "--version"}
    assert bash("sockeye", "ru") == ["run"]
    assert sorted(bash("sockeye", "s")) == ["socks", "speedtest", "status"]
    assert bash("sockeye", "nothing") in ([], [""])


def test_bash_offers_each_verbs_options_as_its_help_lists_them(cli, bash):
    for verb in verbs_of_help(cli("--help").out):
        help = cli(verb, "-h")
        assert help.code == 0
        assert {word for word in bash("sockeye", verb, "") if word.startswith("-")} == options_of_help(help.out), verb


def test_bash_knows_osocks(cli, bash, osocks):
    assert set(bash("osocks", "")) == options_of_help(cli("-h", program=osocks).out)
    assert bash("/usr/bin/osocks", "--us") == ["--users-file"]


def test_bash_offers_files_where_a_value_is_one(bash, place):
    (place / "a file.yaml").touch()
    (place / "other.yaml").touch()
    for words in (["run", "-c"], ["run", "--config"], ["check", "-v", "-c"], ["socks", "--users-file"], ["run", "--config", "="]):
        assert bash("sockeye", *words, "a") == ["a file.yaml"], words
    assert bash("sockeye", "completion", "z") == ["zsh"]
    assert bash("sockeye", "socks", "-p", "") in ([], [""])
    assert "127.0.0.1" in bash("sockeye", "socks", "-l", "1")
    assert bash("sockeye", "keygen", "--identity", "") == ["ed25519", "rsa"]
    assert bash("sockeye", "keygen", "--bits", "1") == ["128", "192"]


def test_bash_script_is_clean(script):
    subprocess.run(["shellcheck", "-s", "bash", script("bash")], check=True)
    subprocess.run(["bash", "-n", script("bash")], check=True)


def test_zsh_takes_the_script(script, place):
    path = script("zsh")
    subprocess.run(["zsh", "-n", path], check=True)
    # Read in as `source <(sockeye completion zsh)`, it becomes the completion of both names.
    done = subprocess.run(["zsh", "-f", "-c", f"autoload -U compinit; compinit -u -d {place}/dump; source {path}; "
                           "echo $_comps[sockeye] $_comps[osocks]"], check=True, capture_output=True, text=True)
    assert done.stdout == "_sockeye _sockeye\n" and done.stderr == ""


def test_fish_offers_verbs_options_and_files(cli, fish, place):
    (place / "other.yaml").touch()
    assert set(verbs_of_help(cli("--help").out)) <= set(fish("sockeye "))
    assert "other.yaml" not in fish("sockeye ")
    assert options_of_help(cli("check", "-h").out) == set(fish("sockeye check -"))
    assert fish("sockeye run --config oth") == ["other.yaml"]
    assert set(fish("sockeye completion ")) == {"bash", "zsh", "fish"}
    assert set(fish("sockeye keygen --identity ")) == {"ed25519", "rsa"}
    assert "--users-file" in fish("osocks --")


def test_another_shell_is_64_and_says_which_there_are(cli):
    for words in (["csh"], []):
        result = cli("completion", *words)
        assert result.code == 64 and result.out == ""
    assert "bash zsh fish" in cli("completion", "csh").err


def test_what_is_installed_is_what_the_program_prints(script):
    """The build runs the program and keeps its scripts for `make install`."""
    if not (BIN.parent / "completion").is_dir():
        pytest.skip("not in a build folder")
    for shell in ("bash", "zsh", "fish"):
        assert (BIN.parent / "completion" / shell).read_text() == script(shell).read_text()
