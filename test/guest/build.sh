#!/usr/bin/env bash
# Builds the guest of the tests and the demo: a Debian kernel as an uncompressed ELF file, which QEMU
# starts directly, and an initramfs of busybox with the virtio network driver, iperf3 and ethtool.
# The kernel package is downloaded, not installed.  Does nothing when the image is up to date.
#
# usage: build.sh OUTPUT      leaves OUTPUT/vmlinux and OUTPUT/initrd.cpio
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

readonly here=$(dirname "$(readlink -f "$0")")
readonly output=$(mkdir -p "$1" && readlink -f "$1")
# In the order in which init loads them; microvm has no PCI.
readonly modules=(virtio_ring virtio virtio_mmio failover net_failover virtio_net)
readonly programs=(/usr/bin/iperf3 /usr/sbin/ethtool)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

kernel_package() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}'
}

download_kernel() {
    local package
    package=$(kernel_package)
    if [ -z "$package" ]; then
        as_root apt-get update -qq
        package=$(kernel_package)
    fi
    [ -n "$package" ] || { echo "guest: apt knows no package linux-image-cloud-amd64" >&2; exit 1; }
    # apt's own download user may not be able to write here; what matters is the file.
    (cd "$output" && apt-get download -qq -o APT::Sandbox::User=root "$package") || {
        as_root apt-get update -qq
        (cd "$output" && apt-get download -qq -o APT::Sandbox::User=root "$package")
    }
}

# Copies a program with the libraries it needs into the image.
copy_program() {
    local file
    for file in "$1" $(ldd "$1" | grep -o '/[^ ]*'); do
        install -D -m 755 "$(readlink -f "$file")" "$image$file"
    done
}

make_image() {
    local module
    mkdir -p "$image"/{bin,dev,proc,sys,tmp,modules}
    cp "$(command -v busybox)" "$image/bin/busybox"
    install -m 755 "$here/init" "$image/init"
    for module in "${modules[@]}"; do
        # A driver that is built into the kernel has no file.
        find "$unpacked/lib/modules" "$unpacked/usr/lib/modules" -name "$module.ko" \
            -exec cp {} "$image/modules/" \; 2>/dev/null || true
    done
    printf '%s\n' "${modules[@]}" >"$image/modules/order"
    for program in "${programs[@]}"; do
        copy_program "$program"
    done
    # Uncompressed: decompression is slow under emulation.
    (cd "$image" && find . | busybox cpio -o -H newc 2>/dev/null) >"$output/initrd.cpio"
}

version=$(cat "$here/build.sh" "$here/init" "$here/vmlinux.py" | sha256sum)
if [ "$(cat "$output/version" 2>/dev/null)" = "$version" ] && [ -s "$output/vmlinux" ]; then
    exit 0
fi
echo "== building the guest image in $output"
compgen -G "$output/linux-image-*.deb" >/dev/null || download_kernel
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
image=$unpacked/image
dpkg-deb -x "$output"/linux-image-*.deb "$unpacked"
python3 "$here/vmlinux.py" "$unpacked"/boot/vmlinuz-* "$output/vmlinux"
make_image
echo "$version" >"$output/version"
