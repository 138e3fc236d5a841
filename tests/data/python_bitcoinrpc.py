"""Calls a regtest node through python-bitcoinrpc, as its users do. Arguments: the URL, an address to mine to."""
import sys
from decimal import Decimal

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

url, address = sys.argv[1], sys.argv[2]
node = AuthServiceProxy(url, timeout=60)

blocks = node.generatetoaddress(3, address)
assert len(blocks) == 3 and node.getblockcount() == 3
assert node.getbestblockhash() == blocks[2]
assert node.getblockhash(1) == blocks[0]

block = node.getblock(blocks[2], 2)
value = block["tx"][0]["vout"][0]["value"]
assert value == Decimal("50.00000000") and isinstance(value, Decimal), repr(value)
assert node.getblockchaininfo()["chain"] == "regtest"

# an error is an exception with Core's number, and the connection goes on
for method, args, code in [
    (node.getblockhash, (99,), -8),
    (node.getblock, ("00" * 32,), -5),
    (node.sendrawtransaction, ("zz",), -22),
    (node.nothing_like_it, (), -32601),
    (node.getblockhash, (), -1),
]:
    try:
        method(*args)
    except JSONRPCException as error:
        assert error.code == code, (code, error.code, error.message)
        assert error.message
    else:
        raise AssertionError("no exception for %d" % code)
assert node.getblockcount() == 3

# the package's batches say "2.0" and want an `error` member beside the result; Core from 28 on leaves it out for 2.0,
# and so do we
try:
    node.batch_([["getblockcount"]])
except KeyError as missing:
    assert missing.args == ("error",), missing
else:
    raise AssertionError("a 2.0 answer has one of result and error")

print("all is well")
