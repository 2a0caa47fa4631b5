from hypothesis import given
from hypothesis import strategies as st

from runner.altmarkets.signing import signed_headers

KEY, SECRET, NONCE = "a1b2c3d4e5f60718", "00112233445566778899aabbccddeeff", 1700000000123


def test_the_vector_of_the_reference() -> None:
    assert signed_headers(KEY, SECRET, NONCE) == {
        "X-Auth-Apikey": KEY,
        "X-Auth-Nonce": "1700000000123",
        "X-Auth-Signature": "04fe46fa8fc73559866d4482ae6b4a8bf604c0265f62e906cee6d92f57947e2e",
    }


@given(key=st.text(min_size=1), secret=st.text(min_size=1), nonce=st.integers(1, 10**15), later=st.integers(1, 10**6))
def test_another_nonce_key_or_secret_is_another_signature(key: str, secret: str, nonce: int, later: int) -> None:
    def signature(key: str, secret: str, nonce: int) -> str:
        return signed_headers(key, secret, nonce)["X-Auth-Signature"]

    signed = signature(key, secret, nonce)
    assert signed == signature(key, secret, nonce)
    assert len(signed) == 64
    assert set(signed) <= set("0123456789abcdef")
    assert signature(key, secret, nonce + later) != signed
    assert signature(key + "x", secret, nonce) != signed
    assert signature(key, secret + "x", nonce) != signed
