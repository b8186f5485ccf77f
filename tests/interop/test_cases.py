"""frames.json, sessions.json and flights.json: our own implementation does what they say."""

import pytest

import cases
import vectors
from draw import Draw
from test_vectors import named
from tunnel import Failure, Violation, frame
from tunnel.frame import Address
from tunnel.keys import Keys
from tunnel.link import Established, Gone, Server, ServerLink, Session
from tunnel.session import Answer, Bytes, Datagram, Finished, Half, Opening, WasReset
from verify import load

FRAMES, SESSIONS, FLIGHTS = (load(vectors.FOLDER / f"{name}.json") for name in ("frames", "sessions", "flights"))


@named(FRAMES["good"])
def test_a_payload_is_read_and_written(case):
    read = list(frame.decode(case["payload"]))
    assert frame.encode(*read) == case["payload"]
    assert read == cases.GOOD[case["name"]]


@named(FRAMES["malformed"])
def test_a_malformed_payload_is_a_violation(case):
    with pytest.raises(Violation):
        list(frame.decode(case["payload"]))


def told(event):
    """An event of ours as sessions.json has it."""
    if isinstance(event, Opening):
        return ["open", event.id]
    if isinstance(event, Answer):
        return ["opened", event.id, event.code]
    if isinstance(event, Bytes):
        return ["data", event.id, event.data]
    if isinstance(event, Datagram):
        return ["datagram", event.id, frame.encode_address(event.address)[0], event.payload]
    if isinstance(event, Finished):
        return ["end", event.id]
    if isinstance(event, WasReset):
        return ["reset", event.id, event.code]
    return None


def run(half, case):
    """What the application is told, and END's code."""
    half.attach(0)
    out = []
    for record in case["records"]:
        while half.pull(0) is not None:
            pass
        try:
            half.take(0, record)
        except Violation:
            pass
        while half.events:
            event = half.events.pop(0)
            if isinstance(event, Opening):
                half.answer(event.id, 0)
            if isinstance(event, Bytes):
                half.consume(event.id, len(event.data))
            out.append(told(event))
    return joined(out), half.ended


def joined(events):
    """A stream's bytes may come in any number of pieces."""
    out = []
    for event in events:
        if event and event[0] == "data" and out and out[-1][:2] == event[:2]:
            out[-1] = ["data", event[1], out[-1][2] + event[2]]
        elif event:
            out.append(event)
    return out


def check(half, case):
    got, ended = run(half, case)
    assert ended == case["ended"]
    n = len(case["told"])
    assert got[:n] == case["told"]
    assert all(event[0] == "reset" and event[2] == (3 if ended == 0 else 2) for event in got[n:])
    assert got[n:] == [] or ended is not None


def session_cases(which):
    for case in SESSIONS[which]:
        case["told"] = [[*e[:-1], bytes.fromhex(e[-1])] if e[0] in ("data", "datagram") else e for e in case["told"]]
    return named(SESSIONS[which])


@session_cases("at_server")
def test_a_server_does_with_frames_what_it_must(case):
    check(Half("server", lambda: 0), case)


@session_cases("at_client")
def test_a_client_does_with_frames_what_it_must(case):
    half = Half("client", lambda: 0)
    half.open(Address("192.0.2.7", 80))
    check(half, case)


def test_a_server_does_with_flights_what_it_must():
    """In one run, as some count on those before."""
    users = [Keys(FLIGHTS["S"], user) for user in FLIGHTS["users"]]
    server = Server(users, draw=Draw("a server"), now_ms=lambda: FLIGHTS["now"], skew_ms=FLIGHTS["W"])
    known = FLIGHTS["session"]
    server.sessions[known["id"]] = Session(known["id"], known["resume"], known["cipher"],
                                           user=Keys(FLIGHTS["S"], known["user"]).tag)
    for case in FLIGHTS["flights"]:
        link = ServerLink(server)
        try:
            event, = link.receive(case["wire"])
            did = {Established: "accepted", Gone: "gone"}[type(event)]
        except Failure:
            did = "silent"
        assert did == case["does"], case["name"]
        assert bool(link.out) == (did != "silent"), case["name"]
