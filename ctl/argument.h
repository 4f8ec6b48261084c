// Arguments of commands: what may be typed, and what was.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vr::ctl {

/// A kind of value.  `expects` ends the sentence "... is not".
struct ArgumentType {
    std::string_view placeholder;
    std::string_view expects;
    bool (*accepts)(std::string_view text);
    /// Words that completion offers, if the choice is small.
    std::vector<std::string_view> (*words)() = nullptr;
};

[[nodiscard]] bool is_utf8(std::string_view text);
[[nodiscard]] bool is_address(std::string_view text);
[[nodiscard]] bool is_neighbor(std::string_view text);
[[nodiscard]] bool is_prefix(std::string_view text);
[[nodiscard]] bool is_protocol(std::string_view text);
[[nodiscard]] bool is_tcp_flags(std::string_view text);
[[nodiscard]] bool is_mac(std::string_view text);
/// In UTF-8: protobuf takes no other texts.
[[nodiscard]] bool is_name(std::string_view text);
[[nodiscard]] bool is_path(std::string_view text);
[[nodiscard]] bool is_kind(std::string_view text);
[[nodiscard]] bool is_one_kind(std::string_view text);
[[nodiscard]] bool is_format(std::string_view text);
[[nodiscard]] bool is_anything(std::string_view text);
[[nodiscard]] bool is_label(std::string_view text);
[[nodiscard]] bool is_clearing(std::string_view text);
[[nodiscard]] bool is_shutdown_text(std::string_view text);
[[nodiscard]] std::vector<std::string_view> protocol_words();
[[nodiscard]] std::vector<std::string_view> kind_words();
[[nodiscard]] std::vector<std::string_view> one_kind_words();
[[nodiscard]] std::vector<std::string_view> format_words();
[[nodiscard]] std::vector<std::string_view> clearing_words();

template <std::uint32_t First, std::uint32_t Last>
[[nodiscard]] bool is_number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && value >= First &&
           value <= Last;
}

inline constexpr ArgumentType kAddress{
    .placeholder = "ADDRESS", .expects = "an IPv4 or IPv6 address", .accepts = is_address};
/// Of BGP: an address, or the interface on which it is.
inline constexpr ArgumentType kNeighbor{
    .placeholder = "ADDRESS|INTERFACE",
    .expects = "an address or the name of an interface",
    .accepts = is_neighbor};
inline constexpr ArgumentType kNeighborOrAll{
    .placeholder = "ADDRESS|INTERFACE|all",
    .expects = "an address, the name of an interface, nor 'all'",
    .accepts = is_neighbor};
inline constexpr ArgumentType kPrefixOrAddress{
    .placeholder = "PREFIX|ADDRESS",
    .expects = "a prefix (10.0.0.0/8, fd00::/64) or an address",
    .accepts = is_prefix};
inline constexpr ArgumentType kProtocol{
    .placeholder = "PROTOCOL",
    .expects = "a protocol (tcp, udp, icmp, icmpv6, sctp or 1-255)",
    .accepts = is_protocol,
    .words = protocol_words};
inline constexpr ArgumentType kTcpFlags{
    .placeholder = "FLAGS",
    .expects = "TCP flags (letters of FSRPAU, like SA)",
    .accepts = is_tcp_flags};
inline constexpr ArgumentType kMac{
    .placeholder = "MAC", .expects = "a MAC address (like 02:00:00:00:00:01)", .accepts = is_mac};
inline constexpr ArgumentType kPortNumber{
    .placeholder = "PORT", .expects = "a port number (0-65535)", .accepts = is_number<0, 65535>};
inline constexpr ArgumentType kByte{
    .placeholder = "NUMBER", .expects = "a number from 0 to 255", .accepts = is_number<0, 255>};
inline constexpr ArgumentType kSize{
    .placeholder = "BYTES", .expects = "a packet size (0-65535)", .accepts = is_number<0, 65535>};
inline constexpr ArgumentType kSeconds{
    .placeholder = "SECONDS",
    .expects = "a number of seconds (1-86400)",
    .accepts = is_number<1, 86400>};
inline constexpr ArgumentType kName{
    .placeholder = "NAME", .expects = "a name in UTF-8", .accepts = is_name};
inline constexpr ArgumentType kKind{
    .placeholder = "KIND",
    .expects = "a kind of resource (workloadendpoint, networkpolicy, tier, ...)",
    .accepts = is_kind,
    .words = kind_words};
inline constexpr ArgumentType kOneKind{
    .placeholder = "KIND",
    .expects = "one kind of resource (workloadendpoint, networkpolicy, tier, ...)",
    .accepts = is_one_kind,
    .words = one_kind_words};
inline constexpr ArgumentType kFormat{
    .placeholder = "FORMAT",
    .expects = "an output format (yaml, json or wide)",
    .accepts = is_format,
    .words = format_words};
inline constexpr ArgumentType kClearing{
    .placeholder = "DIRECTION",
    .expects = "a direction (in, out or both)",
    .accepts = is_clearing,
    .words = clearing_words};
inline constexpr ArgumentType kShutdownText{
    .placeholder = "TEXT",
    .expects = "a text of 1 to 255 octets in UTF-8",
    .accepts = is_shutdown_text};
/// The named file's content (`-`: standard input) goes into the request.
inline constexpr ArgumentType kFile{
    .placeholder = "FILE", .expects = "a file name", .accepts = is_path};

/// The same, read by the command itself.
inline constexpr ArgumentType kLargeFile{
    .placeholder = "FILE", .expects = "a file name", .accepts = is_path};

inline constexpr ArgumentType kSocket{
    .placeholder = "PATH", .expects = "a file name", .accepts = is_path};
inline constexpr ArgumentType kDirectory{
    .placeholder = "DIR", .expects = "a directory", .accepts = is_path};
/// What it must look like is told by its own command, with the column.
inline constexpr ArgumentType kExpression{
    .placeholder = "EXPR", .expects = "a selector", .accepts = is_anything};
inline constexpr ArgumentType kLabel{
    .placeholder = "KEY=VALUE", .expects = "a label (KEY=VALUE)", .accepts = is_label};

enum class Form { Positional, Option, Flag };

struct Argument {
    std::string_view name;  ///< key of the value: "prefix", "namespace"
    Form form = Form::Positional;
    std::string_view flags;  ///< "-n,--namespace" for options and flags
    const ArgumentType* type = &kName;
    std::string_view help;
    bool required = false;
    bool several = false;  ///< may be given any number of times; files always may
};

struct File {
    std::string name;
    std::string text;
};

/// What was typed for one command, already checked against its types.
struct Values {
    std::map<std::string, std::string, std::less<>> texts;
    std::map<std::string, std::vector<std::string>, std::less<>>
        lists;  ///< of those that are `several`
    std::vector<File> files;

    [[nodiscard]] bool has(std::string_view name) const { return texts.contains(name); }

    /// Empty when not given.
    [[nodiscard]] std::string text(std::string_view name) const {
        const auto found = texts.find(name);
        return found == texts.end() ? std::string{} : found->second;
    }

    /// Empty when not given.
    [[nodiscard]] std::vector<std::string> list(std::string_view name) const {
        const auto found = lists.find(name);
        return found == lists.end() ? std::vector<std::string>{} : found->second;
    }

    /// 0 when not given.
    [[nodiscard]] std::uint32_t number(std::string_view name) const {
        const std::string digits = text(name);
        std::uint32_t value = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
    }
};

}  // namespace vr::ctl
