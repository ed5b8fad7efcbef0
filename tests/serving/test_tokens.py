"""Signed requests: what is right is taken once, and everything else is refused by its code."""

import asyncio
import time
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from serving.served import ISSUER, JKU, MARK, PATH, SERVICE, serving, trusting

from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.tokens import TokenVerifier
from claim_transformers.serving.used_once import UsedOnce

STRANGER = ec.generate_private_key(ec.SECP384R1())


class Verify:
    """Verifies a header at once, and keeps how often keys were asked for."""

    def __init__(self, keys, folder):
        self.asked, self.loop = [], asyncio.new_event_loop()

        def answer(request):
            self.asked.append(request)
            return httpx2.Response(200, json=keys.jwks())

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        self.file = folder / "used"
        self.verifier = TokenVerifier(trusting(folder), http, UsedOnce(self.file))

    def __call__(self, header, audiences=(SERVICE,)):
        self.loop.run_until_complete(self.verifier.verify(header, audiences))


@pytest.fixture(scope="module")
def verify(keys, tmp_path_factory):
    found = Verify(keys, tmp_path_factory.mktemp("tokens"))
    yield found
    found.loop.close()


def refusal(verify, token):
    with pytest.raises(ServiceError) as caught:
        verify(f"Bearer {token}")
    assert caught.value.status == 401
    assert ISSUER not in str(caught.value)
    return caught.value.reason_code


@pytest.mark.parametrize(("kid", "alg"), [("ec", "ES384"), ("rsa", "RS384")])
def test_a_right_token_is_taken_and_keys_are_asked_for_once(verify, keys, kid, alg):
    verify(f"Bearer {keys.token(kid=kid, alg=alg)}")
    verify(f"bearer {keys.token(kid=kid, alg=alg, aud=[SERVICE])}")
    assert len(verify.asked) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"aud": f"{SERVICE}/"}, "E_TOKEN_AUDIENCE"),
    ({"aud": "https://cds.example.org"}, "E_TOKEN_AUDIENCE"),
    ({"aud": [SERVICE, "https://other.example"]}, "E_TOKEN_AUDIENCE"),
    ({"aud": []}, "E_TOKEN_AUDIENCE"),
    ({"exp": int(time.time()) - 60}, "E_TOKEN_EXPIRED"),
    ({"exp": int(time.time()) + 864_000}, "E_TOKEN_EXPIRED"),
    ({"iat": int(time.time()) + 3600}, "E_TOKEN"),
    ({"exp": ...}, "E_TOKEN"),
    ({"aud": ...}, "E_TOKEN"),
    ({"jti": ...}, "E_TOKEN"),
    ({"jti": ""}, "E_TOKEN"),
    ({"iss": "https://evil.example"}, "E_TOKEN_ISSUER"),
    ({"iss": ...}, "E_TOKEN_ISSUER"),
    ({"header": {"jku": "https://evil.example/jwks.json"}}, "E_TOKEN_ISSUER"),
    ({"header": {"typ": "at+jwt"}}, "E_TOKEN"),
    ({"kid": "other", "key": STRANGER}, "E_TOKEN_KEY"),
    ({"kid": "ec", "key": STRANGER}, "E_TOKEN"),
    ({"key": "k" * 64, "alg": "HS256"}, "E_TOKEN_ALGORITHM"),
    ({"key": "k" * 64, "alg": "HS384", "kid": "rsa"}, "E_TOKEN_ALGORITHM"),
]


@pytest.mark.parametrize(("changes", "code"), WRONG, ids=[f"{next(iter(changes))}-{code}" for changes, code in WRONG])
def test_a_wrong_token_is_refused(verify, keys, changes, code):
    assert refusal(verify, keys.token(**changes)) == code


def test_a_token_without_a_signature_or_cut_or_none_at_all_is_refused(verify, keys):
    token = keys.token()
    assert refusal(verify, keys.unsigned()) == "E_TOKEN_ALGORITHM"
    assert refusal(verify, token[:-4]) == "E_TOKEN"
    assert refusal(verify, "nonsense") == "E_TOKEN"
    assert refusal(verify, "x" * 10_000) == "E_TOKEN"
    with pytest.raises(ServiceError, match="E_TOKEN"):
        verify(None)
    with pytest.raises(ServiceError, match="E_TOKEN"):
        verify(f"Basic {token}")


def test_the_algorithm_must_be_that_of_the_key(verify, keys):
    assert refusal(verify, keys.token(kid="rsa", key=STRANGER, alg="ES384")) == "E_TOKEN_KEY"


def test_a_token_is_used_once(verify, keys):
    token = keys.token()
    verify(f"Bearer {token}")
    assert refusal(verify, token) == "E_TOKEN_REPLAYED"
    assert len(verify.asked) == 1


def test_a_used_token_is_known_to_another_process_and_after_a_kill_and_none_is_written_down(verify, keys, tmp_path):
    token = keys.token(jti=MARK)
    verify(f"Bearer {token}")
    files = [verify.file, *verify.file.parent.glob("used-*")]
    assert len(files) > 1
    assert [file for file in files if file.stat().st_mode & 0o077 or MARK.encode() in file.read_bytes()] == []
    mine, verify.verifier._used = verify.verifier._used, UsedOnce(verify.file)
    assert refusal(verify, token) == "E_TOKEN_REPLAYED"
    assert verify.verifier._used.key == mine.key
    assert verify.verifier._used.take("a", "bc", last=time.time() + 9)
    assert verify.verifier._used.take("ab", "c", last=time.time() - 9)
    assert not mine.take("a", "bc", last=time.time() + 9)
    assert mine.take("ab", "c", last=time.time() + 9)
    verify.verifier._used.close()
    verify.verifier._used = mine
    (tmp_path / "other").write_text("no database " * 99)
    with pytest.raises(ValueError, match="remove it"):
        UsedOnce(tmp_path / "other")


def test_every_call_but_discovery_needs_a_token_of_its_own(tmp_path, assessor, keys):
    def answer(request):
        return httpx2.Response(200, json=keys.jwks()) if str(request.url) == JKU else httpx2.Response(500)

    with serving(trusting(tmp_path), assessor, answer) as client:
        assert client.get("/cds-services").status_code == 200
        for path in (PATH, f"{PATH}/feedback"):
            refused = client.post(path, content=MARK)
            assert (refused.status_code, refused.json()["code"]) == (401, "E_TOKEN")
            assert refused.headers["www-authenticate"] == "Bearer"
            signed = {"Authorization": f"Bearer {keys.token()}"}
            assert client.post(path, content=MARK, headers=signed).status_code == 400
        own = {"Authorization": f"Bearer {keys.token(aud=f'{SERVICE}/feedback')}"}
        assert client.post(f"{PATH}/feedback", content=MARK, headers=own).json()["code"] == "E_FEEDBACK"
        assert client.post(PATH, headers=own).json()["code"] == "E_TOKEN_AUDIENCE"


def test_keys_out_of_band_are_read_from_a_file_and_take_no_address(tmp_path, keys):
    import json

    from serving.served import config_of

    from claim_transformers.serving.config import TrustedClient

    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{"kty": "oct"}, 1, *keys.jwks()["keys"]]}))
    listed = TrustedClient(issuer=ISSUER, jwks_file=str(file))
    config = config_of(tmp_path, allow_unsigned=False, clients=(listed,))
    verifier = TokenVerifier(config, httpx2.AsyncClient(), UsedOnce(tmp_path / "used"))
    with pytest.raises(ServiceError, match="E_TOKEN_ISSUER"):
        asyncio.run(verifier.verify(f"Bearer {keys.token()}", (SERVICE,)))
    token = keys.token(header={"jku": None})
    with pytest.raises(ServiceError, match=r"E_TOKEN\b"):
        asyncio.run(verifier.verify(f"Bearer {token[:-4]}", (SERVICE,)))
