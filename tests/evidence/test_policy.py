"""Policies: the printed form, quorums over groups, bad lines, cosignatures in checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jingwei.evidence import merkle, policy
from jingwei.evidence.note import (
    COSIGNATURE,
    Checkpoint,
    KeyFile,
    NoteError,
    SignatureError,
    Verifier,
    parse_checkpoint,
    sign_note,
)
from jingwei.evidence.policy import PolicyError, QuorumError

LOG = KeyFile("log.example/one", bytes(range(32)))
NOW = 1_795_000_000
CHECKPOINT = Checkpoint("log.example/one", 7, merkle.leaf_hash(b"root"))


def witness(n: int, moment: int = NOW) -> KeyFile:
    key = KeyFile(f"w{n}.example", bytes([n]) * 32, COSIGNATURE)
    key.clock = lambda: moment
    return key


W = [witness(n) for n in range(1, 7)]
# The example of C2SP tlog-policy, with keys put in.
EXAMPLE = f"""\
log {LOG.verifier}

witness X1 {W[0].verifier}
witness X2\t{W[1].verifier}  http://x2.example/w
  witness X3 {W[2].verifier}
group X-witnesses 2 X1 X2 X3

# 一行说明
witness Y1 {W[3].verifier}
witness Y2 {W[4].verifier}
witness Y3 {W[5].verifier}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def note(*signers: KeyFile) -> str:
    return sign_note(CHECKPOINT.text(), [LOG, *signers])


def test_the_printed_cosignature_key_and_message() -> None:
    """C2SP tlog-cosignature: key id over type 04; the time before the signature and in the text."""
    key = W[0].verifier
    assert Verifier.parse(str(key)) == key
    value = W[0].sign(b"text\n")
    assert value[:8] == NOW.to_bytes(8, "big")
    plain = KeyFile("x", bytes([1]) * 32)
    assert value[8:] == plain.sign(b"cosignature/v1\ntime 1795000000\ntext\n")
    assert key.verify(b"text\n", value)
    for bad in (value[:-1], value + b"x", b"", b"\xff" * 8 + value[8:], bytes(8) + value[8:]):
        assert not key.verify(b"text\n", bad)


def test_cosignatures_in_a_checkpoint() -> None:
    opened = parse_checkpoint(note(W[0], W[1]), [LOG.verifier, W[0].verifier, W[1].verifier])
    assert dict(opened.times) == {W[0].verifier: NOW, W[1].verifier: NOW}
    # A witness's signature alone makes no checkpoint, also under the log's own name.
    namesake = KeyFile("log.example/one", b"x" * 32, COSIGNATURE)
    text = sign_note(CHECKPOINT.text(), [namesake])
    with pytest.raises(SignatureError, match="the log itself has not signed"):
        parse_checkpoint(text, namesake.verifier)


def test_the_example_policy() -> None:
    found = policy.parse(EXAMPLE)
    assert [p.name for p in found.logs] == ["log.example/one"]
    assert [(p.name, p.url) for p in found.witnesses][:2] == [
        ("X1", ""),
        ("X2", "http://x2.example/w"),
    ]
    opened = found.open(note(W[0], W[2], W[5]), now=NOW)
    assert found.cosigners(opened) == dict.fromkeys(
        ("X1", "X3", "Y3"), datetime.fromtimestamp(NOW, UTC)
    )
    for few in ([], [W[0]], [W[0], W[1]], [W[0], W[3], W[4], W[5]], [W[3]]):
        with pytest.raises(QuorumError, match="the quorum X-and-Y is not reached"):
            found.open(note(*few), now=NOW)
    # One witness that signs many times is one witness.
    many = note(*[witness(1, NOW - i) for i in range(5)], W[3])
    with pytest.raises(QuorumError):
        found.open(many, now=NOW)


def test_none_and_single() -> None:
    assert policy.parse(f"log {LOG.verifier}\nquorum none\n").open(note()).size == 7
    single = policy.parse(f"log {LOG.verifier}\nwitness a {W[0].verifier}\nquorum a\n")
    assert single.open(note(W[0]), now=NOW).size == 7
    with pytest.raises(QuorumError):
        single.open(note(W[1]), now=NOW)


def test_a_date_in_the_future_is_refused() -> None:
    found = policy.parse(f"log {LOG.verifier}\nwitness a {W[0].verifier}\nquorum a\n")
    assert found.open(note(witness(1, NOW + 299)), now=NOW).size == 7
    with pytest.raises(NoteError, match=r"w1\.example is dated in the future"):
        found.open(note(witness(1, NOW + 301)), now=NOW)
    with pytest.raises(NoteError, match="dated in the future"):
        found.open(note(witness(1, 2**62)), now=NOW)


def test_a_false_cosignature_spoils_the_note() -> None:
    found = policy.parse(f"log {LOG.verifier}\nwitness a {W[0].verifier}\nquorum none\n")
    other = sign_note(Checkpoint("log.example/one", 8, CHECKPOINT.root).text(), [W[0]])
    swapped = note() + other.rpartition("\n\n")[2]
    with pytest.raises(NoteError, match=r"the signature of w1\.example is false"):
        found.open(swapped, now=NOW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no quorum"),
        ("quorum none", "cut short"),
        ("quorum none\nquorum none\n", "line 2 of the policy: there is a second quorum"),
        ("quorum x\n", "line 1 of the policy: x is not defined"),
        ("quorum\n", "line 1 of the policy: wanted log, witness"),
        ("wat\n", "wanted log, witness"),
        ("group g 1 none\n", "none is not defined"),
        ("group g 1\n", "wanted log"),
        (f"witness a {W[0].verifier}\ngroup g 2 a\nquorum g\n", "1 to 1"),
        (f"witness a {W[0].verifier}\ngroup g 0 a\nquorum g\n", "1 to 1"),
        (f"witness a {W[0].verifier}\ngroup g ١ a\nquorum g\n", "1 to 1"),
        (f"witness a {W[0].verifier}\ngroup g 1 a a\nquorum g\n", "a is a member twice"),
        (f"witness a {W[0].verifier}\ngroup g 1 a\ngroup h 1 a\nquorum h\n", "member twice"),
        (f"witness a {W[0].verifier}\nwitness a {W[1].verifier}\n", "name a comes twice"),
        (f"witness none {W[0].verifier}\n", "name none comes twice"),
        (f"witness a {W[0].verifier}\nwitness b {W[0].verifier}\n", "same key comes twice"),
        (f"log {W[0].verifier}\n", "key is one of a witness"),
        (f"witness a {LOG.verifier}\n", "key is none of a witness"),
        (f"witness a {LOG.verifier}x\n", "base64"),
        (f"log {str(LOG.verifier).replace('log', chr(0xDCFF))}\n", "not UTF-8"),
        ("quorum none\r\n", "control character 0x0d"),
        ("quorum none\x00\n", "control character 0x00"),
        ("#\n" * 1_001 + "quorum none\n", "1000 lines"),
        ("#" * 70_000 + "\nquorum none\n", "65536 bytes"),
    ],
)
def test_bad_policies(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        policy.parse(text)


def test_names_are_octets() -> None:
    found = policy.parse(b"witness \xff %s\nquorum \xff\n" % str(W[0].verifier).encode())
    assert found.describe() == "\udcff"
