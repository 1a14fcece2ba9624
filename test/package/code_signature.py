"""Reads the code signature of a Mach-O file with nothing of softnet's, recomputes every hash in it, and prints what it
found as JSON. Layouts: <mach-o/loader.h>, xnu's osfmk/kern/cs_blobs.h.

    code_signature.py FILE
"""
import hashlib
import json
import struct
import sys

EMBEDDED_SIGNATURE, CODE_DIRECTORY = 0xFADE0CC0, 0xFADE0C02
MAIN_SLOT, CMS_SLOT = 0, 0x10000
SEGMENT, CODE_SIGNATURE = 0x19, 0x1D
ARM64 = 0x0100000C


def words(data, at, count, order="<"):
    return struct.unpack_from("%s%dI" % (order, count), data, at)


def text(data, at):
    return data[at:data.index(b"\0", at)].decode()


def header(data):
    """Segments as name -> (vmaddr, vmsize, fileoff, filesize), in order, and the signature's place."""
    magic, cpu, _, _, count, size = words(data, 0, 6)
    assert magic == 0xFEEDFACF, "not a thin 64-bit Mach-O file"
    segments, place, at = {}, None, 32
    for _ in range(count):
        kind, length = words(data, at, 2)
        if kind == SEGMENT:
            segments[data[at + 8:at + 24].rstrip(b"\0").decode()] = struct.unpack_from("<4Q", data, at + 24)
        if kind == CODE_SIGNATURE:
            assert place is None, "two signatures"
            place = words(data, at + 8, 2)
        at += length
    assert at == 32 + size, "the load commands do not fill their room"
    return cpu, segments, place


def directory(blob):
    """The fields of a CodeDirectory."""
    (_, _, version, flags, hashes, identifier, special, code, limit) = words(blob, 0, 9, ">")
    hash_size, hash_type, platform, shift = blob[36:40]
    spare, scatter, team, spare3 = words(blob, 40, 4, ">")
    limit64, base, exec_limit, exec_flags = struct.unpack_from(">4Q", blob, 56)
    assert (hash_size, hash_type) == (32, 2), "not SHA-256"
    assert (platform, spare, scatter, spare3, limit64) == (0, 0, 0, 0, 0)
    found = {
        "version": version, "flags": flags, "identifier": text(blob, identifier), "specialSlots": special,
        "pages": code, "codeLimit": limit, "pageSize": 1 << shift,
        "executable": {"offset": base, "size": exec_limit, "flags": exec_flags},
    }
    if team:
        found["team"] = text(blob, team)
    if version >= 0x20500:
        found["runtime"], pre_encrypt = words(blob, 88, 2, ">")
        assert pre_encrypt == 0
    slot = lambda number: blob[hashes + 32 * number:hashes + 32 * (number + 1)]
    return found, slot


def main(path):
    data = open(path, "rb").read()
    cpu, segments, place = header(data)
    problems = []
    check = lambda holds, why: holds or problems.append(why)
    assert place is not None, "no signature"
    start, size = place
    page = 0x4000 if cpu == ARM64 else 0x1000
    _, memory, offset, length = segments["__LINKEDIT"]
    check(list(segments)[-1] == "__LINKEDIT", "__LINKEDIT is not the last segment")
    check(offset + length == len(data) == start + size, "the signature does not end segment and file")
    check(start % 16 == 0, "the signature is not aligned")
    check(memory % page == 0 and memory >= length, "__LINKEDIT's size in memory")

    signature = data[start:start + size]
    magic, whole, count = words(signature, 0, 3, ">")
    assert magic == EMBEDDED_SIGNATURE and whole <= size
    index = [words(signature, 12 + 8 * number, 2, ">") for number in range(count)]
    blobs = {}
    for slot, at in index:
        _, blob_size = words(signature, at, 2, ">")
        assert at + blob_size <= whole, "a blob reaches out of the signature"
        blobs[slot] = (start + at, signature[at:at + blob_size])
    check(not any(signature[whole:]), "something follows the signature")

    at, blob = blobs[MAIN_SLOT]
    assert words(blob, 0, 2, ">") == (CODE_DIRECTORY, len(blob))
    found, slot = directory(blob)
    check(found["codeLimit"] == start, "the hashes do not go up to the signature")
    check(found["pages"] == -(-start // found["pageSize"]), "the number of pages")
    text_segment = segments["__TEXT"]
    check(found["executable"]["offset"] == text_segment[2], "the executable segment's place")
    check(found["executable"]["size"] == text_segment[3], "the executable segment's size")

    wrong = []
    for number in range(found["pages"]):
        begin = number * found["pageSize"]
        piece = data[begin:min(begin + found["pageSize"], start)]
        if hashlib.sha256(piece).digest() != slot(number):
            wrong.append(number)
    for number in range(1, found["specialSlots"] + 1):
        wanted = hashlib.sha256(blobs[number][1]).digest() if number in blobs else bytes(32)
        check(slot(-number) == wanted, "special slot -%d" % number)
    for number in blobs:
        check(number in (MAIN_SLOT, CMS_SLOT) or number <= found["specialSlots"], "slot %d is not hashed" % number)

    print(json.dumps({
        **found, "size": size, "wrongPages": wrong, "problems": problems,
        "blobs": {slot: {"offset": place, "size": len(each)} for slot, (place, each) in blobs.items()},
    }))


main(sys.argv[1])
