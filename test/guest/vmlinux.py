#!/usr/bin/env python3
"""Takes the ELF kernel out of a bzImage, so that QEMU starts it by PVH without decompression.

usage: vmlinux.py BZIMAGE VMLINUX

The setup header (Linux Documentation/arch/x86/boot.rst, protocol 2.08) tells where the payload is:
setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.  The payload ends with its
unpacked size in four bytes, which is not part of the LZ4 stream.
SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import struct
import subprocess
import sys

LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"


def main():
    image = pathlib.Path(sys.argv[1]).read_bytes()
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length - 4]
    if not payload.startswith(LZ4_LEGACY_MAGIC):
        sys.exit(f"{sys.argv[1]}: the kernel is not compressed with LZ4")
    kernel = subprocess.run(["lz4", "-d", "-c"], input=payload, stdout=subprocess.PIPE, check=True).stdout
    if not kernel.startswith(b"\x7fELF"):
        sys.exit(f"{sys.argv[1]}: the payload is no ELF file")
    pathlib.Path(sys.argv[2]).write_bytes(kernel)


if __name__ == "__main__":
    main()
