// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/device_needs.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

namespace vr {

namespace {

/// "net_af_packet0,iface=eth0,blocksz=4096" -> "eth0" for key "iface"; nothing without the key.
std::optional<std::string> value_of(std::string_view device, std::string_view key) {
    for (auto comma = device.find(','); comma != std::string_view::npos;) {
        const std::string_view rest = device.substr(comma + 1);
        const auto next = rest.find(',');
        const std::string_view pair = rest.substr(0, next);
        if (pair.size() > key.size() && pair.starts_with(key) && pair[key.size()] == '=') {
            return std::string(pair.substr(key.size() + 1));
        }
        comma = next == std::string_view::npos ? next : comma + 1 + next;
    }
    return std::nullopt;
}

std::optional<std::string> missing_interface(const std::string& name) {
    if (if_nametoindex(name.c_str()) != 0) {
        return std::nullopt;
    }
    return "there is no network interface '" + name + "' here ('ip link' lists them)";
}

/// Drivers that attach to a kernel interface.
std::optional<std::string> missing_for_iface(const std::string& device) {
    const auto name = value_of(device, "iface");
    return name ? missing_interface(*name) : "it needs iface=NAME, the kernel's interface";
}

std::optional<std::string> missing_for_pcap(const std::string& device) {
    for (const std::string_view key : {"iface", "rx_iface", "tx_iface"}) {
        if (const auto name = value_of(device, key)) {
            if (auto missing = missing_interface(*name)) {
                return missing;
            }
        }
    }
    std::error_code error;
    const auto file = value_of(device, "rx_pcap");
    return file && !std::filesystem::exists(*file, error)
               ? std::optional{"there is no file '" + *file + "'"}
               : std::nullopt;
}

std::optional<std::string> missing_for_tap(const std::string& /*device*/) {
    std::error_code error;
    return std::filesystem::exists("/dev/net/tun", error)
               ? std::nullopt
               : std::optional<std::string>{"there is no /dev/net/tun ('modprobe tun' makes it)"};
}

/// "3b:00.0" and "0000:3b:00.0": the only devices that are named by hexadecimal digits and colons.
bool is_pci_address(std::string_view name) {
    return name.find(':') != std::string_view::npos && name.find('.') != std::string_view::npos &&
           std::ranges::all_of(name, [](char c) {
               return std::isxdigit(static_cast<unsigned char>(c)) != 0 || c == ':' || c == '.';
           });
}

std::optional<std::string> missing_for_pci(std::string_view name) {
    const std::string address =
        (std::ranges::count(name, ':') == 1 ? "0000:" : "") + std::string(name);
    std::error_code error;
    return std::filesystem::exists("/sys/bus/pci/devices/" + address, error)
               ? std::nullopt
               : std::optional{
                     "there is no PCI device " + address + " here ('lspci -D' lists them)"};
}

struct Driver {
    std::string_view name;
    std::optional<std::string> (*missing)(const std::string& device);
};

constexpr std::array kDrivers{
    Driver{.name = "net_af_packet", .missing = missing_for_iface},
    Driver{.name = "eth_af_packet", .missing = missing_for_iface},
    Driver{.name = "net_af_xdp", .missing = missing_for_iface},
    Driver{.name = "net_pcap", .missing = missing_for_pcap},
    Driver{.name = "net_tap", .missing = missing_for_tap},
};

}  // namespace

std::optional<std::string> missing_for(const std::string& device) {
    const std::string_view name = std::string_view(device).substr(0, device.find(','));
    if (is_pci_address(name)) {
        return missing_for_pci(name);
    }
    for (const Driver& driver : kDrivers) {
        if (name.starts_with(driver.name)) {
            return driver.missing(device);
        }
    }
    return std::nullopt;
}

}  // namespace vr
