from __future__ import annotations

import os
import pickle
import socket

import pytest

from tunewell.executors.channel import Channel


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_a_message_torn_by_death_is_never_seen_and_blocks_nobody(ends):
    channel, theirs = ends
    writer = Channel(theirs)
    writer.send("whole")
    body = pickle.dumps("torn")
    theirs.sendall(len(body).to_bytes(8, "big") + body[:-1])
    assert channel.receive_all() == ["whole"]
    assert channel.receive_all() == []
    assert not channel.ended, "somebody still holds the other end"
    theirs.close()
    assert channel.receive_all() == []
    assert channel.ended


def test_messages_of_any_size_cross_in_pieces(ends):
    channel, theirs = ends
    writer, big = Channel(theirs), b"x" * 100_000
    writer.send(big)
    writer.send("small")
    assert channel.receive() == big
    assert channel.receive() == "small"


def test_descriptors_travel_with_their_messages_and_are_not_handed_on(ends):
    channel, theirs = ends
    writer = Channel(theirs)
    for text in (b"first", b"second"):
        reading, writing = os.pipe()
        os.write(writing, text)
        os.close(writing)
        writer.send(text, reading)
        os.close(reading)
    for text in channel.receive_all():
        descriptor = channel.take_descriptor()
        assert not os.get_inheritable(descriptor)
        assert os.read(descriptor, 100) == text
        os.close(descriptor)


def test_waiting_for_somebody_who_is_gone_ends(ends):
    channel, theirs = ends
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        channel.send("anybody there?")
