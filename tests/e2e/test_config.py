"""What is wrong with a configuration is said with its place and a remedy; what is right is taken as written."""

import json
import os
import re
import resource
import subprocess

import pytest

from configs import inbound
from harness import network
from harness.client import receive_exactly, socks5, socks5_login
from harness.origin import echo
from harness.sandbox import as_user, private_etc, with_private

GOOD = 'inbounds:\n  - {type: mixed, name: lan, listen: "127.0.0.1:0"}\n'


@pytest.fixture
def check(cli, place):
    """Runs `sockeye check` on a text; returns (exit code, [(line, column, message)], all of stderr)."""
    def run(text, *options, **how):
        file = place / "c.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = cli("check", "-c", file, *options, **how)
        found = re.findall(rf"^{re.escape(str(file))}:(\d+):(\d+): (.*)$", result.err, re.M)
        return result.code, [(int(line), int(column), message) for line, column, message in found], result.err
    return run


def test_acc_13_a_good_file_is_0_and_silent(check):
    assert check(GOOD) == (0, [], "")


# Each: (text, what the message must contain). @ stands before the key or value that the message must point at.
BAD = {
    "unknown key": ("@workerz: 2\n" + GOOD, r"workerz.*did you mean.*workers"),
    "unknown key in an inbound": ("inbounds:\n  - type: mixed\n    @lisen: 1080\n", r"lisen.*did you mean.*listen"),
    "unknown key in limits": (GOOD + "limits: {@conect_ms: 5}\n", r"conect_ms.*did you mean.*connect_ms"),
    "text for a number": (GOOD + "limits: {connect_ms: @soon}\n", r"connect_ms.*expected.*soon"),
    "list for a mapping": (GOOD + "limits: @[1, 2]\n", r"limits.*expected"),
    "mapping for a list": ("inbounds: @{type: mixed}\n", r"inbounds.*expected.*list"),
    "text for true": (GOOD + "log: {access: @maybe}\n", r"access.*true"),
    "negative": (GOOD + "limits: {connections: @-1}\n", r"connections.*expected"),
    "too large": (GOOD + "limits: {connect_ms: @99999999999999999999}\n", r"connect_ms.*expected"),
    "fraction": (GOOD + "workers: @1.5\n", r"workers.*expected"),
    "bad choice": (GOOD + "log: {format: @xml}\n", r"text.*json"),
    "bad address": ('inbounds:\n  - {type: mixed, listen: @"127.0.0.300:1080"}\n', r"127\.0\.0\.300"),
    "bad port": ('inbounds:\n  - {type: mixed, listen: @"127.0.0.1:70000"}\n', r"70000"),
    "no port": ('inbounds:\n  - {type: mixed, listen: @"127.0.0.1"}\n', r"port"),
    "IPv6 without brackets": ('inbounds:\n  - {type: mixed, listen: @"::1:1080"}\n', r"\["),
    "bad CIDR": ('inbounds:\n  - {type: mixed, listen: 1080, allow: [@"10.0.0.0/33"]}\n', r"10\.0\.0\.0/33"),
    "bad target": ('inbounds:\n  - {type: mixed, listen: 1080, deny_targets: [@"10.0.0.1:99-5"]}\n', r"99-5"),
    "bad type": ("inbounds:\n  - {type: @mixd, listen: 1080}\n", r"mixd.*mixed"),
    "type not built yet": (GOOD + "outbounds:\n  - {type: @fastest, name: best, outbounds: [direct]}\n", r"fastest"),
    "a key of another length": ('inbounds:\n  - {type: tunnel, listen: 4194, key: @"QUJDREVGR0hJSktMTU5PUFFSU1Q="}\n', r"key.*16, 24 or 32.*20"),
    "a key that is not base64": ('inbounds:\n  - {type: tunnel, listen: 4194, key: @"hunter2"}\n', r"key.*base64"),
    "tunnel without a key": ("inbounds:\n  - @{type: tunnel, listen: 4194}\n", r"key.*keygen"),
    "no such key file": ('inbounds:\n  - {type: tunnel, listen: 4194, key_file: @nowhere.key}\n', r"key_file.*nowhere"),
    "no link": (GOOD + "outbounds:\n  - {type: tunnel, name: home, server: \"203.0.113.5:4194\", key: QUJDREVGR0hJSktMTU5PUA==, links: @0}\n", r"links"),
    "no type": ("inbounds:\n  - @{listen: 1080}\n", r"type"),
    "no listen": ("inbounds:\n  - @{type: mixed}\n", r"listen"),
    "duplicate key": (GOOD + "workers: 1\n@workers: 2\n", r"workers.*line 3"),
    "duplicate name": ("inbounds:\n  - {type: mixed, name: a, listen: 1080}\n  - {type: mixed, name: @a, listen: 1081}\n", r'"a".*line 2'),
    "name of an inbound and an outbound": (GOOD + "outbounds:\n  - {type: direct, name: @lan}\n", r"lan"),
    "unknown outbound": ("inbounds:\n  - {type: mixed, listen: 1080, outbound: @homr}\noutbounds:\n  - {type: direct, name: home}\n",
                         r"homr.*home"),
    "same port twice": ('inbounds:\n  - {type: mixed, listen: "127.0.0.1:1080"}\n  - {type: http, listen: @"127.0.0.1:1080"}\n', r"1080"),
    "no inbounds": ("workers: 1\n", r"inbounds"),
    "empty inbounds": ("inbounds: @[]\n", r"inbound"),
    "open to the network": ('inbounds:\n  - {type: mixed, listen: "0.0.0.0:1080"}\n', r'(users|allow).*"\*"'),
    "user without a password": ("inbounds:\n  - {type: mixed, listen: 1080, users: [@{name: ann}]}\n", r"password"),
    "user twice": ("inbounds:\n  - {type: mixed, listen: 1080, users: [{name: ann, password: a}, {name: ann, password: b}]}\n", r"ann"),
    "long user name": ("inbounds:\n  - {type: mixed, listen: 1080, users: [{name: @" + "u" * 256 + ", password: a}]}\n", r"255"),
    "tab": ("inbounds:\n@\t- {type: mixed}\n", r"(?i)tab"),
    "alias": ("x: &a 1\nworkers: *a\n" + GOOD, r"(?i)alias|anchor"),
    "unclosed quote": ('inbounds:\n  - {type: mixed, listen: "127.0.0.1:1080\n', r"."),
    "two documents": (GOOD + "@---\n" + GOOD, r"document"),
    "a list at the top": ("@- a\n", r"expected"),
    "unset variable": ('inbounds:\n  - {type: mixed, listen: @"${NO_SUCH_VARIABLE}"}\n', r"NO_SUCH_VARIABLE"),
    "unclosed variable": ('inbounds:\n  - {type: mixed, listen: @"${NO_SUCH"}\n', r"\$\{"),
    "target of a socks inbound": ('inbounds:\n  - {type: socks, listen: 1080, @target: "192.0.2.1:22"}\n', r"target.*socks.*relay"),
    "users of a relay": ('inbounds:\n  - {type: relay, listen: 1080, target: "192.0.2.1:22", @users: []}\n', r"users.*relay.*socks"),
    "relay without a target": ("inbounds:\n  - @{type: relay, listen: 1080}\n", r"target"),
    "target without a port": ("inbounds:\n  - {type: relay, listen: 1080, target: @db.example.com}\n", r"db\.example\.com.*port"),
    "relay open to the network": ('inbounds:\n  - {type: relay, listen: @"0.0.0.0:1080", target: "192.0.2.1:22"}\n', r'allow.*"\*"'),
    "ports the wrong way round": ("inbounds:\n  - {type: mixed, listen: 1080, udp: {ports: @40009-40000}}\n", r"40009-40000"),
    "advertised everywhere": ('inbounds:\n  - {type: mixed, listen: 1080, bind: {advertise: @"0.0.0.0"}}\n', r"advertise.*0\.0\.0\.0"),
    "relative unix socket": ('inbounds:\n  - {type: mixed, listen: @"unix:proxy.sock"}\n', r"absolute"),
    "same unix socket twice": ('inbounds:\n  - {type: mixed, listen: ["unix:/run/a", @"unix:/run/a"]}\n', r"line 2"),
    "no file of users": ("inbounds:\n  - {type: mixed, listen: 1080, users_file: @gone}\n", r"users_file.*gone.*no such file"),
    "server without a port": (GOOD + 'outbounds:\n  - {type: socks, name: up, server: @"192.0.2.1"}\n', r"port"),
    "upstream without a server": (GOOD + "outbounds:\n  - @{type: http, name: up}\n", r"server"),
    "username without a password": (GOOD + 'outbounds:\n  - {type: socks, name: up, server: "x:1", @username: u}\n', r"password"),
    "no file of the password": (GOOD + 'outbounds:\n  - {type: socks, name: up, server: "x:1", username: u, password_file: @gone}\n', r"no such file"),
    "circle": (GOOD + 'outbounds:\n  - {type: socks, name: a, server: "x:1", via: @b}\n  - {type: http, name: b, server: "y:1", via: a}\n',
               r'"a" -> "b" -> "a"'),
    "via nowhere": (GOOD + 'outbounds:\n  - {type: socks, name: a, server: "x:1", via: @block}\n', r"block"),
    "server of direct": (GOOD + 'outbounds:\n  - {type: direct, name: a, @server: "x:1"}\n', r"server.*direct.*socks"),
    "two addresses of a family": (GOOD + "outbounds:\n  - {type: direct, name: a, bind: [192.0.2.1, @192.0.2.2]}\n", r"IPv4"),
    "unknown kind of rule": (GOOD + "routes:\n  - @DOMAIN-SUFIX,example.com,direct\n", r"DOMAIN-SUFIX.*DOMAIN-SUFFIX"),
    "GEOIP": (GOOD + "routes:\n  - @GEOIP,DE,direct\n", r"GEOIP"),
    "rule to an unknown outbound": (GOOD + "routes:\n  - @MATCH,DIRECT\n", r"DIRECT.*direct"),
    "rule of an unknown inbound": (GOOD + "routes:\n  - @IN-NAME,lna,direct\n", r"lna.*lan"),
    "rule in capitals of another script": (GOOD + "routes:\n  - @DOMAIN,b\u00fccher.example,direct\n", r"punycode"),
    "rule with a host in a block": (GOOD + "routes:\n  - @IP-CIDR,10.1.2.3/8,direct\n", r"10\.0\.0\.0/8"),
    "resolve for a port": (GOOD + 'routes:\n  - @"DST-PORT,25,block,resolve"\n', r"resolve.*IP-CIDR"),
    "no file of domains": (GOOD + "routes:\n  - @DOMAIN-SET,gone,block\n", r"gone.*no such file"),
    "bad DNS server": (GOOD + 'dns: {servers: [@"dns.example.com"]}\n', r"address"),
}


def place_of_mark(text):
    """(the text without @, (line, column) of where it stood, or None)."""
    before, mark, after = text.partition("@")
    return before + after, (before.count("\n") + 1, len(before.split("\n")[-1]) + 1) if mark else None


@pytest.mark.parametrize("what", BAD)
def test_table_3_each_mistake_is_named_with_its_place_and_a_remedy(check, what):
    text, at = place_of_mark(BAD[what][0])
    code, found, err = check(text)
    assert code == 78 and found, err
    told = [message for line, column, message in found if at in (None, (line, column))]
    assert any(re.search(BAD[what][1], message) for message in told), err


def test_an_empty_file_is_told_the_least_that_works(check, place):
    for text in ("", "\n\n", "# nothing\n"):
        code, _, err = check(text)
        assert code == 78 and str(place / "c.yaml") in err and "inbounds" in err


@pytest.mark.parametrize("what", ["unknown key", "bad address", "tab"])
def test_table_3_run_says_the_same_and_starts_nothing(cli, check, place, what):
    code, _, err = check(place_of_mark(BAD[what][0])[0])
    result = cli("run", "-c", place / "c.yaml")
    assert (result.code, result.err) == (code, err)


@pytest.mark.parametrize("text,line,column,message", [
    ('{"inbounds": [{"type": "mixed", "lisen": 1080}]}', 1, 33, r"lisen.*listen"),
    ('{\n  "inbounds": [\n    {"type": "mixed", "listen": "127.0.0.1:x"}\n  ]\n}', 3, 33, r"127\.0\.0\.1:x"),
    ('{"inbounds": [{"type": "mixed", "listen": 1080}], "workers": "two"}', 1, 62, r"workers"),
    ('{"inbounds": [{"type": "mixed", "listen": 1080}', None, None, r"."),
])
def test_acc_78_mistakes_in_json_have_line_and_column_too(check, text, line, column, message):
    code, found, err = check(text)
    assert code == 78 and found and re.search(message, err)
    if line:
        assert (line, column) in [(at, col) for at, col, _ in found], err


NEW_KEYS = {
    "user": "", "admin": {"socket": ""}, "limits": {"drain_s": 1, "udp_idle_ms": 1000}, "log": {"level": "info"},
    "inbounds": [
        {"type": "mixed", "name": "lan", "listen": ["127.0.0.1:0"], "users": [{"name": "ann", "password": "a"}], "users_file": "users",
         "udp": {"enabled": True, "ports": "40000-40009", "advertise": "192.0.2.1"}, "bind": {"enabled": True, "ports": 0}},
        {"type": "relay", "name": "db", "listen": "unix:/run/db.sock", "target": "db.example.com:5432", "outbound": "up"}],
    "outbounds": [
        {"type": "direct", "name": "out", "bind": ["192.0.2.1", "2001:db8::1"], "interface": "eth1", "fwmark": 7, "fast_open": True},
        {"type": "socks", "name": "up", "server": "192.0.2.9:1080", "username": "u", "password_file": "password", "via": "out"},
        {"type": "http", "name": "up2", "server": "[2001:db8::9]:3128", "username": "u", "password": "hunter2", "via": "up"}],
    "routes": ["DOMAIN,www.example.com,out", "DOMAIN-SUFFIX,example.com,up", "DOMAIN-KEYWORD,ads,block", "DOMAIN-SET,domains,block",
               "IP-CIDR,10.0.0.0/8,up,resolve", "SRC-IP-CIDR,192.0.2.0/24,up", "DST-PORT,8000-8080,up", "IN-NAME,lan,up", "IN-USER,ann,up",
               "MATCH,out"],
}


@pytest.fixture
def new_keys(place):
    """A configuration in JSON with every key that names something, and the files that it names; they lie beside it."""
    (place / "beside").mkdir()
    (place / "beside/users").write_text("bob:$6$salt$hash\n")
    (place / "beside/password").write_text("hunter2\n")
    (place / "beside/domains").write_text("ads.example\n")
    (place / "beside/c.json").write_text(json.dumps(NEW_KEYS))
    for file in (place / "beside").iterdir():
        file.chmod(0o640)
    return place / "beside/c.json"


def test_acc_78_json_and_v_have_every_key_and_files_lie_beside_the_configuration(cli, new_keys):
    """From any folder: relative paths begin at the configuration. What -v prints means the same, and has no secret."""
    assert (cli("check", "-c", new_keys).code, cli("check", "-c", new_keys).err) == (0, "")
    printed = cli("check", "-v", "-c", new_keys)
    assert printed.code == 0 and "hunter2" not in printed.out and "$6$" not in printed.out
    for rule in NEW_KEYS["routes"]:
        assert f'"{rule}"' in printed.out
    for expected in (r'users_file: "users"', r"ports: 40000-40009", r'advertise: "192\.0\.2\.1"', r'target: "db\.example\.com:5432"',
                     r'listen: \["unix:/run/db\.sock"\]', r'bind: \["192\.0\.2\.1", "2001:db8::1"\]', r'interface: "eth1"', r"fwmark: 7",
                     r"fast_open: true", r'server: "192\.0\.2\.9:1080"', r'password_file: "password"', r'password: "\*\*\*"', r'via: "out"',
                     r"udp_idle_ms: 1000"):
        assert re.search(expected, printed.out), expected
    (new_keys.parent / "again.yaml").write_text(printed.out)
    again = cli("check", "-v", "-c", new_keys.parent / "again.yaml")
    assert (again.code, again.out) == (0, printed.out)


def test_acc_78_mistakes_in_files_have_their_own_place(cli, new_keys):
    files = new_keys.parent
    (files / "users").write_bytes(b"# users\r\nbob:$6$salt$hash\r\nhunter2\r\nann:hunter2\r\n")
    (files / "domains").write_text("ads.example\n0.0.0.0 ads.example\n")
    result = cli("check", "-c", new_keys)
    assert result.code == 78 and "hunter2" not in result.err
    for place, message in (("users:3", "name:password"), ("users:4", '"ann" is already in line 1 of .*c.json'), ("domains:2", "one domain a line")):
        assert re.search(rf"^{re.escape(str(files))}/{place}: .*{message}", result.err, re.M), result.err


def test_a_file_of_users_that_the_starter_may_not_read_starts_nothing(cli, new_keys):
    new_keys.chmod(0o644)
    network.need_root()
    (new_keys.parent / "users").chmod(0o600)
    for verb in ("check", "run"):
        result = cli(verb, "-c", new_keys, prefix=as_user())
        assert result.code == 78 and re.search("users_file.*not permitted", result.err), result.err


@pytest.mark.parametrize("key", ["key_file", "users_file", "peers", "identity"])
def test_a_file_of_a_tunnel_that_cannot_be_read_starts_nothing(cli, place, key):
    more = {} if key == "key_file" else {"key": "QUJDREVGR0hJSktMTU5PUA=="}
    (place / "c.json").write_text(json.dumps({"inbounds": [{"type": "tunnel", "listen": "127.0.0.1:0", **more, key: "file"}]}))

    def expect(message, **options):
        for verb in ("check", "run"):
            result = cli(verb, "-c", place / "c.json", **options)
            assert result.code == 78 and re.search(rf'c.json:1:\d+: {key}: ".*file": .*{message}', result.err), result.err
    expect("no such file")
    network.need_root()
    (place / "file").touch(0o600)
    expect("not permitted", prefix=as_user())


def test_passwords_as_they_are_are_warned_of_once(cli, place):
    (place / "users").write_text("ann:a\nbob:b\n")
    (place / "users").chmod(0o600)
    (place / "c.yaml").write_text("inbounds: [{type: mixed, listen: 1080, users_file: users}]\n")
    result = cli("check", "-c", place / "c.yaml")
    assert result.code == 0 and result.err.count("warning") == 1 and re.search("users:1: warning: .*sockeye passwd", result.err)


def test_secrets_that_others_can_read_are_warned_of_with_what_mends_it(cli, sockeye, place):
    key, config = place / "a.key", place / "c.yaml"
    key.write_text("QUJDREVGR0hJSktMTU5PUA==\n")
    key.chmod(0o644)
    config.write_text(f'state: {place}\ninbounds: [{{type: tunnel, listen: "127.0.0.1:0", key_file: {key}}}]\n')
    warning = f"has secrets, and others can read it (mode 0644): `chmod o= {key}`"
    result = cli("check", "-c", config)
    assert result.code == 0 and warning in result.err
    assert warning in sockeye(argv=["run", "-c", config]).text
    subprocess.run(["chmod", "o=", key], check=True)
    assert cli("check", "-c", config).err == ""


def test_status_c_needs_no_variable_and_no_file_of_the_configuration(sockeye, cli, place):
    (place / "users").write_text("bob:$6$salt$hash\n")
    sockeye(inbound(users='[{name: ann, password: "${SECRET}"}]', users_file="users") + f"admin: {{socket: {place / 'status'}}}\n",
            env={"SECRET": "x"})
    (place / "users").unlink()
    status = cli("status", "--json", "-c", place / "config-0.yaml")
    assert status.code == 0 and status.err == "" and json.loads(status.out)


def test_acc_78_a_json_configuration_is_accepted(sockeye, origin, dial, place):
    server = origin(echo)
    (place / "c.json").write_text(json.dumps({
        "user": "", "admin": {"socket": ""}, "limits": {"drain_s": 1}, "log": {"level": "info"},
        "inbounds": [{"type": "mixed", "name": "lan", "listen": ["127.0.0.1:0"],
                      "users": [{"name": "ann", "password": "p\u00e4ss\"w\\"}]}]}))
    proxy = sockeye(argv=["run", "-c", place / "c.json"])
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr, login=("ann", 'p\u00e4ss"w\\')).code == 0
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"


def test_acc_13_check_finds_every_error_not_only_the_first(check):
    text = ('workerz: 2\nlimits: {connect_ms: soon, conections: 1}\nlog: {format: xml}\n'
            'inbounds:\n  - {type: mixed, name: a, listen: "127.0.0.1:70000"}\n'
            '  - {type: mixed, name: a, listen: 1081, allow: [nonsense]}\n')
    code, found, _ = check(text)
    assert code == 78
    assert {line for line, _, _ in found} == {1, 2, 3, 5, 6} and len(found) >= 7
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found)


def cpu_s():
    """What children that have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_hostile_files_are_refused_quickly(check):
    for text in ("[" * 200_000, "{a: " * 100_000, "a: " * 100_000, "- " * 200_000, "\0" * 1000, bytes(range(256)) * 100, b"\xff\xfe",
                 "x: " + "y" * 3_000_000 + "\n", "&a " * 1000, "? " * 100_000, "%YAML 9.9\n---\n", "!!python/object:os.system x\n"):
        before = cpu_s()
        code, _, err = check(text, timeout=100)
        assert code == 78 and err and cpu_s() - before < 10, text[:40]
        assert len(err) < 100_000


def test_table_3_a_file_of_10_mb_is_refused(check, place):
    code, _, err = check("# filler\n" * 1_200_000 + GOOD)
    assert code == 78 and "c.yaml" in err and re.search(r"4 ?Mi?B|too (long|large|big)", err)


def test_table_3_what_is_no_readable_file(cli, place):
    (place / "directory").mkdir()
    for path, message in ((place / "directory", "directory"), (place / "missing.yaml", "(?i)no such file|not exist|found")):
        for verb in ("check", "run"):
            result = cli(verb, "-c", path)
            assert result.code == 78 and str(path) in result.err and re.search(message, result.err), result


def test_table_3_a_file_that_may_not_be_read(cli, place):
    network.need_root()
    (place / "secret.yaml").write_text(GOOD)
    (place / "secret.yaml").chmod(0o600)
    result = cli("check", "-c", place / "secret.yaml", prefix=as_user())
    assert result.code == 78 and "secret.yaml" in result.err and re.search("(?i)permission|may not|not readable", result.err)


def test_acc_37_no_message_shows_a_password(check):
    for text in ('inbounds:\n  - {type: mixed, listen: 1080, users: [{name: ann, password: [hunter2]}]}\n',
                 'inbounds:\n  - {type: mixed, listen: 1080, users: [{name: ann, pasword: hunter2}]}\n',
                 'inbounds:\n  - {type: mixed, listen: 1080, users: [{name: ann, password: hunter2' + "x" * 300 + '}]}\n',
                 'inbounds:\n  - {type: mixed, listen: 1080, users: [{name: ann, password: hunter2, password: hunter2}]}\n'):
        code, _, err = check(text)
        assert code == 78 and "hunter2" not in err


def test_acc_37_v_prints_the_effective_configuration_with_secrets_hidden(cli, check, place):
    (place / "c.yaml").write_text(inbound("socks", listen=1080, users="[{name: ann, password: hunter2}]") + "limits: {idle_ms: 1234}\n")
    result = cli("check", "-v", "-c", place / "c.yaml")
    assert result.code == 0
    assert "hunter2" not in result.out + result.err and "***" in result.out and "ann" in result.out
    for expected in (r"idle_ms: 1234", r"connect_ms: 8000", r"handshake_ms: 10000", r"half_closed_ms: 300000", r"keepalive_s: 600",
                     r"drain_s: 30", r"listen: .*\b1080\b", r"user: \W?nobody", r"level: info", r"prefer: auto"):
        assert re.search(expected, result.out), expected
    # What it prints is a configuration again, and means the same.
    (place / "again.yaml").write_text(result.out)
    again = cli("check", "-v", "-c", place / "again.yaml")
    assert (again.code, again.out) == (0, result.out)


def test_variables_are_filled_in_and_doubled_dollars_are_not(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(users='[{name: ann, password: "${SECRET}"}, {name: bob, password: "$${SECRET}"}, {name: cy, password: "a$b"}]'),
                    env={"SECRET": "x: [y"})
    for login in (("ann", "x: [y"), ("bob", "${SECRET}"), ("cy", "a$b")):
        assert socks5(dial(proxy.addr()), *server.addr, login=login).code == 0
    assert socks5_login(dial(proxy.addr()), "ann", "${SECRET}") != 0


def test_acc_13_the_search_order(cli, place):
    """Each place holds another mistake; the first place that there is decides."""
    home, xdg, here = place / "home", place / "xdg", place / "here"
    places = [here / "sockeye.yaml", xdg / "sockeye/sockeye.yaml", home / ".config/sockeye/sockeye.yaml"]
    for i, path in enumerate(places):
        path.parent.mkdir(parents=True)
        path.write_text(f"mistake_{i}: 1\n")
    env = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg)}
    enter = ["sh", "-c", f'cd {here} && exec "$@"', "sh"]
    for i, path in enumerate(places):
        result = cli("check", env=env, prefix=enter)
        assert result.code == 78 and f"mistake_{i}" in result.err, result
        path.unlink()
    result = cli("run", env=env, prefix=enter)
    if not os.path.exists("/etc/sockeye/sockeye.yaml"):
        assert result.code == 78
        for path in [*places[1:], "/etc/sockeye/sockeye.yaml"]:
            assert str(path) in result.err, "the places looked at are listed"


def test_acc_13_etc_is_the_last_place(cli, place):
    network.need_own_network()
    etc = private_etc(place)
    (etc / "sockeye").mkdir()
    (etc / "sockeye/sockeye.yaml").write_text("mistake_in_etc: 1\n")
    result = cli("check", env={"HOME": str(place / "home")}, prefix=with_private("/etc", etc))
    assert result.code == 78 and "mistake_in_etc" in result.err
