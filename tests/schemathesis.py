"""What the contract fuzzer asks about.

Half of the ids that fit their schema are made to name something that exists, so that what lies
behind a 404 is asked for too; half of the callbacks are signed, and a quarter of the preferences
wait for an outcome. An input that is meant to be wrong stays as it is."""

import hashlib
import hmac
import os
import re
import zlib

import requests
import schemathesis

ID = re.compile(r"[1-9][0-9]{0,17}")
ASSET = re.compile(r"[a-z0-9]{2,20}")
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,28})(\.[0-9]+)?")
SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")
SECRET = os.environ["NOWPAYMENTS_IPN_SECRET"].encode()
# What there is, by what the path of its endpoint begins with.
USERS, TRADES, WITHDRAWALS = (os.environ[f"CONTRACT_{name}"].split() for name in ("USERS", "TRADES", "WITHDRAWALS"))
KNOWN = {"/v1/users/": USERS, "/v1/trades/": TRADES, "/v1/withdrawals/": WITHDRAWALS}


def known(ids, text):
    """One of the ids in place of every other one; always the same one for the same text."""
    if not isinstance(text, str) or not ID.fullmatch(text) or int(text) % 2 == 1:
        return text
    return ids[int(text) // 2 % len(ids)]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """What is enumerated is about the examples, so they must be there in this run."""
    schemas = raw_schema["components"]["schemas"]
    for name, ids in (("UserId", USERS), ("TradeId", TRADES), ("WithdrawalId", WITHDRAWALS), ("JobRef", TRADES)):
        schemas[name]["examples"] = ids


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and "id" in path_parameters:
        # Anything else is a job, and a trade has the id of its job.
        ids = TRADES
        for beginning, those in KNOWN.items():
            if context.operation.path.startswith(beginning):
                ids = those
        path_parameters["id"] = known(ids, path_parameters["id"])
    return path_parameters


def likely(payload):
    """A payload that more often names what there is: people, an asset, an amount that they have."""
    for name in ("user_id", "seller_id", "buyer_id", "referrer_id"):
        if name in payload:
            payload[name] = known(USERS, payload[name])
    for name, pattern, text in (("asset", ASSET, "btc"), ("amount", AMOUNT, "0.001")):
        said = payload.get(name)
        if isinstance(said, str) and pattern.fullmatch(said) and zlib.crc32(said.encode()) % 2 == 0:
            payload[name] = text


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        jobs = body["jobs"] if isinstance(body.get("jobs"), list) else []
        for payload in [body, *(job.get("payload") for job in jobs if isinstance(job, dict))]:
            if isinstance(payload, dict):
                likely(payload)
    return body


@schemathesis.hook
def map_headers(context, headers):
    prefer = (headers or {}).get("Prefer")
    if isinstance(prefer, str) and zlib.crc32(prefer.encode()) % 4 == 0:
        headers["Prefer"] = "wait=1"
    return headers


class Signed(requests.auth.AuthBase):
    """Signs a callback as the provider does."""

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        request.headers["x-nowpayments-sig"] = hmac.new(SECRET, body, hashlib.sha512).hexdigest()
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    signature = (case.headers or {}).get("x-nowpayments-sig")
    fits = isinstance(signature, str) and SIGNATURE.fullmatch(signature) and isinstance(case.body, dict)
    if case.operation.path == "/webhooks/nowpayments" and fits and int(signature[:2], 16) % 2 == 0:
        kwargs["auth"] = Signed()


@schemathesis.check
def code_is_declared(ctx, response, case):
    """A problem has one of the codes that its operation names for the status."""
    definition = case.operation.definition.raw
    if response.status_code < 400 or response.status_code == 405:
        return
    declared = definition["x-codes"].get(str(response.status_code), [])
    code = response.json()["code"]
    assert code in declared, f"{code} is none of the codes of {response.status_code}: {declared}"
