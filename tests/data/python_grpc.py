"""Reads the chain, pays and follows the events of a regtest node, through what grpcio-tools makes of the published files.

Arguments: host:port, user:password, the wallet that pays, an address to be paid.
"""
import base64
import sys

import grpc
from tine.v1 import chain_pb2, chain_pb2_grpc, events_pb2, events_pb2_grpc, wallet_pb2, wallet_pb2_grpc

where, login, payer, payee = sys.argv[1:]
login = [("authorization", "Basic " + base64.b64encode(login.encode()).decode())]
SECONDS = 60

with grpc.insecure_channel(where) as channel:
    chain = chain_pb2_grpc.ChainStub(channel)
    wallet = wallet_pb2_grpc.WalletStub(channel)
    events = events_pb2_grpc.EventsStub(channel)

    # nobody is let in without the password
    try:
        chain.GetInfo(chain_pb2.GetInfoRequest(), timeout=SECONDS)
        raise AssertionError("let in without a password")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error

    # the chain
    info = chain.GetInfo(chain_pb2.GetInfoRequest(), metadata=login, timeout=SECONDS)
    assert info.network == "regtest" and info.height == 101, info
    headers = chain.GetHeaders(chain_pb2.GetHeadersRequest(height=0), metadata=login, timeout=SECONDS).headers
    assert len(headers) == 102 and headers[-1].hash == info.tip
    assert all(child.previous == parent.hash for parent, child in zip(headers, headers[1:]))
    asked = chain_pb2.GetBlockRequest(hash=info.tip, include_raw=True, include_transactions=True)
    block = chain.GetBlock(asked, metadata=login, timeout=SECONDS)
    assert len(block.raw) == block.size_bytes and block.raw[:80] == block.header.raw == headers[-1].raw
    assert block.transactions[0].outputs[0].value == 50 * 100_000_000
    try:
        chain.GetBlock(chain_pb2.GetBlockRequest(height=102), metadata=login, timeout=SECONDS)
        raise AssertionError("there is no such block")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert error.details() == "Block height out of range", error
        assert ("tine-rpc-code", "-8") in [(key, value) for key, value in error.trailing_metadata()], error

    # the events, and a payment among them
    stream = events.Follow(events_pb2.FollowRequest(), metadata=login, timeout=SECONDS)
    started = next(stream).started
    payment = wallet_pb2.SendRequest(wallet=payer, to=payee, amount=123_456_789)
    sent = wallet.Send(payment, metadata=login, timeout=SECONDS)
    told = next(message.event for message in stream if message.event.HasField("added"))
    assert told.added.txid == sent.txid, (told, sent)
    stream.cancel()
    found = chain.GetTransaction(chain_pb2.GetTransactionRequest(txid=sent.txid), metadata=login, timeout=SECONDS)
    assert found.block == "" and found.transaction.raw == sent.raw
    assert 123_456_789 in [output.value for output in found.transaction.outputs]
    history = wallet.GetHistory(wallet_pb2.GetHistoryRequest(wallet=payer), metadata=login, timeout=SECONDS)
    pending = [entry for entry in history.entries if entry.state == wallet_pb2.HistoryEntry.STATE_PENDING]
    assert [(entry.txid, entry.amount) for entry in pending] == [(sent.txid, -123_456_789 - sent.fee)], pending

    # a block is mined meanwhile, and told to who comes back
    print("mine", flush=True)
    assert sys.stdin.readline() == "mined\n"
    again = events_pb2.FollowRequest(after=told.sequence, run=started.run)
    kinds = []
    for message in events.Follow(again, metadata=login, timeout=SECONDS):
        if message.WhichOneof("message") == "event":
            assert message.event.sequence == told.sequence + len(kinds) + 1, "a gap"
            kinds.append(message.event.WhichOneof("detail"))
            if message.event.HasField("tip"):
                assert message.event.tip.height == 102
            if message.event.HasField("removed"):
                assert message.event.removed.why == "confirmed" and message.event.removed.txid == sent.txid
        if {"block", "tip", "removed"} <= set(kinds):
            break
    print("all is well")
