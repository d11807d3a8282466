"""Digests and random identifiers."""

from __future__ import annotations

from collections.abc import Sequence

from streamsql.core.types import char, varchar
from streamsql.values.typed import Function, Typed


def _sha2(args: Sequence[Typed]) -> str:
    data, bits = args
    native = bits.is_literal and bits.literal == 256
    return f"sha256({data.sql})" if native else f"f_sha({_bytes(data)}, {bits.sql})"


def _bytes(data: Typed) -> str:
    return data.sql if data.type.is_binary else f"encode({data.sql})"


def _sha(name: str, bits: int, length: int) -> Function:
    return Function(name, f"{name}(value)", ("string|binary",), char(length),
                    lambda args: f"f_sha({_bytes(args[0])}, {bits})",
                    f"The SHA-{bits} digest, in hexadecimal.", f"CHAR_LENGTH({name}('hello')) = {length}")


FUNCTIONS = (
    Function("MD5", "MD5(value)", ("string|binary",), char(32), "md5({0})", "The MD5 digest, in hexadecimal.",
             "MD5('hello') = '5d41402abc4b2a76b9719d911017c592'"),
    Function("SHA1", "SHA1(value)", ("string|binary",), char(40), "sha1({0})", "The SHA-1 digest, in hexadecimal.",
             "SHA1('hello') = 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'"),
    _sha("SHA224", 224, 56),
    Function("SHA256", "SHA256(value)", ("string|binary",), char(64), "sha256({0})",
             "The SHA-256 digest, in hexadecimal.", "CHAR_LENGTH(SHA256('hello')) = 64"),
    _sha("SHA384", 384, 96),
    _sha("SHA512", 512, 128),
    Function("SHA2", "SHA2(value, bits)", ("string|binary", "integer"), varchar(128), _sha2,
             "The SHA-2 digest of 224, 256, 384 or 512 bits, in hexadecimal.",
             "SHA2('hello', 256) = SHA256('hello')"),
    Function("UUID", "UUID()", (), char(36), "CAST(uuid() AS VARCHAR)", "A random identifier of type 4.",
             "CHAR_LENGTH(UUID()) = 36", deterministic=False, nulls="never"),
)
