"""The three headers that make a request ours. Source: wire reference 2.1 and 2.2.

The signature covers the nonce and the access key, nothing else: not the method, the path or the body. A nonce is
the time in milliseconds and is good for five seconds on either side of the venue's clock, so sign last, after
every wait.
"""

import hashlib
import hmac


def signed_headers(access_key: str, secret_key: str, nonce_ms: int) -> dict[str, str]:
    """Headers for one private request or for the handshake of the private socket.

    `nonce_ms` is the venue's time in milliseconds since 1970.
    """
    nonce = str(nonce_ms)
    signature = hmac.new(secret_key.encode(), (nonce + access_key).encode(), hashlib.sha256).hexdigest()
    return {"X-Auth-Apikey": access_key, "X-Auth-Nonce": nonce, "X-Auth-Signature": signature}
