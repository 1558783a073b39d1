"""Signs a CloudEvent for Spine: reads one in the JSON event format from stdin, writes it signed to stdout.

    python sign.py KEYFILE KEY_ID < event.json | spine publish --file -

Needs the package `cryptography`. docs/admission.md defines what is signed.
"""

import base64
import hashlib
import json
import sys
from decimal import Decimal

from cryptography.hazmat.primitives.serialization import load_pem_private_key


def signed_text(event: dict) -> bytes:
    """What is signed of an event in the JSON event format."""
    attributes = {name: value for name, value in event.items() if name == "data" or value is not None}
    attributes.pop("spinesignature", None)
    data = b""
    if "data_base64" in attributes:
        data = base64.b64decode(attributes.pop("data_base64"))
        if is_json(attributes.get("datacontenttype", "")):
            data = canonical(json.loads(data)).encode()
    elif "data" in attributes:
        value = attributes.pop("data")
        media_type = attributes.setdefault("datacontenttype", "application/json")
        data = (canonical(value) if is_json(media_type) else value).encode()
    lines = [b"spine-event-v1"]
    for name in sorted(attributes):
        value = attributes[name]
        text = (value if isinstance(value, str) else json.dumps(value)).encode()
        lines.append(f"{name}:{len(text)}:".encode() + text)
    lines.append(f"data:sha256:{hashlib.sha256(data).hexdigest()}".encode())
    return b"\n".join(lines) + b"\n"


def is_json(media_type: str) -> bool:
    """Whether data of this media type is JSON."""
    subtype = media_type.split(";")[0].strip().lower().rpartition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def canonical(value) -> str:
    """JSON as RFC 8785 writes it, but integers exactly."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return number(float(value))
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """The shortest decimal, laid out as ECMAScript does."""
    if value == 0:
        return "0"
    parts = Decimal(repr(value)).normalize().as_tuple()
    sign, digits = "-" * parts.sign, "".join(map(str, parts.digits))
    before = len(digits) + parts.exponent
    if len(digits) <= before <= 21:
        return sign + digits.ljust(before, "0")
    if 0 < before <= 21:
        return f"{sign}{digits[:before]}.{digits[before:]}"
    if -6 < before <= 0:
        return f"{sign}0.{'0' * -before}{digits}"
    point = "." if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}{digits[1:]}e{before - 1:+}"


def sign(event: dict, pem: bytes, key_id: str) -> dict:
    """The event with its signature."""
    event = {**event, "spinekeyid": key_id}
    signature = load_pem_private_key(pem, None).sign(signed_text(event))
    return {**event, "spinesignature": base64.b64encode(signature).decode()}


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        print(json.dumps(sign(json.load(sys.stdin), file.read(), sys.argv[2])))
