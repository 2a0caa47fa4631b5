"""The exchange's end of the wire, sans-IO: requests and frames in, answers and frames out.

REST as Peatio 2.4 with `maker_fee`, `taker_fee` and `client_id`; streams as Rango; signatures as Barong. Source: wire
reference 1 to 6, 11 and 12. Alone of all the wire this package knows `simulation`, which is what it puts on the line.
"""

from runner.altmarkets.server.answers import Profile
from runner.altmarkets.server.gateway import Call, Pending, Reply
from runner.altmarkets.server.rango import Session
from runner.altmarkets.server.server import Server

__all__ = ["Call", "Pending", "Profile", "Reply", "Server", "Session"]
