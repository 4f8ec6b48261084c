// SPDX-License-Identifier: Apache-2.0
#include "ctl/argument.h"

#include "ctl/kinds.h"
#include "ctl/protocols.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"

namespace vr::ctl {

namespace {

template <std::uint32_t First, std::uint32_t Last>
bool is_number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && value >= First &&
           value <= Last;
}

bool is_address(std::string_view text) {
    return parse_ip(text).has_value();
}

bool is_address_or_all(std::string_view text) {
    return text == "all" || is_address(text);
}

bool is_prefix(std::string_view text) {
    return parse_prefix(text).has_value();
}

bool is_protocol(std::string_view text) {
    return parse_protocol(text).has_value();
}

bool is_name(std::string_view text) {
    return !text.empty();
}

bool is_kind(std::string_view text) {
    return kind_of(text).has_value();
}

bool is_format(std::string_view text) {
    return text == "yaml" || text == "json" || text == "wide";
}

std::vector<std::string_view> kind_words() {
    std::vector<std::string_view> words{"all"};
    for (const Kind& kind : kKinds) {
        words.push_back(kind.word);
    }
    return words;
}

std::vector<std::string_view> format_words() {
    return {"json", "wide", "yaml"};
}

std::vector<std::string_view> protocol_words() {
    return {"icmp", "icmpv6", "sctp", "tcp", "udp"};
}

}  // namespace

const ArgumentType kAddress{"ADDRESS", "an IPv4 or IPv6 address", is_address};
const ArgumentType kAddressOrAll{
    "ADDRESS|all", "an IPv4 or IPv6 address, nor 'all'", is_address_or_all};
const ArgumentType kPrefixOrAddress{
    "PREFIX|ADDRESS", "a prefix (10.0.0.0/8, fd00::/64) or an address", is_prefix};
const ArgumentType kProtocol{
    "PROTOCOL", "a protocol (tcp, udp, icmp, icmpv6, sctp or 1-255)", is_protocol, protocol_words};
const ArgumentType kPortNumber{"PORT", "a port number (0-65535)", is_number<0, 65535>};
const ArgumentType kByte{"NUMBER", "a number from 0 to 255", is_number<0, 255>};
const ArgumentType kSize{"BYTES", "a packet size (0-65535)", is_number<0, 65535>};
const ArgumentType kSeconds{"SECONDS", "a number of seconds (1-86400)", is_number<1, 86400>};
const ArgumentType kName{"NAME", "a name", is_name};
const ArgumentType kKind{
    "KIND",
    "a kind of resource (workloadendpoint, networkpolicy, tier, ...; completion lists them)",
    is_kind,
    kind_words};
const ArgumentType kFormat{
    "FORMAT", "an output format (yaml, json or wide)", is_format, format_words};
const ArgumentType kFile{"FILE", "a file name", is_name};

}  // namespace vr::ctl
