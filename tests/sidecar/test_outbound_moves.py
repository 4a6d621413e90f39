"""A client of an outbound listener moves like one of an inbound listener."""

from __future__ import annotations

import os
import socket

import pytest

from sidecar.acceptor import Acceptor
from sidecar.address import Address, bind
from sidecar.config import read
from sidecar.listener import Kind, Listener
from sidecar.proxy.service import Service
from tests.sidecar.rig import App, Client, eventually, free_port

pytestmark = pytest.mark.integration


@pytest.mark.case(32)
async def test_an_outbound_connection_stays_outbound_when_it_moves(app: App) -> None:
    listener = Listener(Address("inet", "127.0.0.1", free_port()), Kind.OUTBOUND)
    services = [Service(read({"SIDECAR_OUTBOUND_ALLOW": "127.0.0.0/8"})) for _ in range(2)]
    acceptor = Acceptor(listener, bind(listener.address), services[0])
    acceptor.start()
    client = await Client.connect(listener.address.port)
    ask = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % app.port
    client.send(ask)
    assert (await client.answer()).status == 200
    client.send(ask[:30])  # moves along
    (connection,) = services[0].clients
    await eventually(lambda: connection.silent_since is None, "half a request")
    parcel = connection.pack()
    assert (parcel.kind, parcel.listener, parcel.data) == ("http1", str(listener), ask[:30])
    sock = socket.socket(fileno=os.dup(parcel.descriptors[0]))
    sock.setblocking(False)
    connection.let_go()
    services[1].unpack(parcel, listener, [sock])
    client.send(ask[30:])
    assert (await client.answer()).status == 200
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer()).status == 400
    client.close()
    acceptor.close()
    await eventually(lambda: not services[0].clients and not services[1].clients, "the end")
    for service in services:
        service.close()
