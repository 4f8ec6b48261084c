// SPDX-License-Identifier: Apache-2.0
#include "ctl/argument.h"

#include <algorithm>

#include <boost/locale/utf.hpp>

#include "ctl/kinds.h"
#include "ctl/protocols.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"

namespace vr::ctl {

bool is_utf8(std::string_view text) {
    namespace utf = boost::locale::utf;
    for (const char* at = text.begin(); at != text.end();) {
        const utf::code_point point = utf::utf_traits<char>::decode(at, text.end());
        if (point == utf::illegal || point == utf::incomplete) {
            return false;
        }
    }
    return true;
}

bool is_address(std::string_view text) {
    return parse_ip(text).has_value();
}

bool is_neighbor(std::string_view text) {
    // A kernel's or port's name has neither blanks nor control characters; which there are, the router knows.
    return !text.empty() &&
           std::ranges::all_of(text, [](char each) { return each > ' ' && each < 0x7f; });
}

bool is_prefix(std::string_view text) {
    return parse_prefix(text).has_value();
}

bool is_protocol(std::string_view text) {
    return parse_protocol(text).has_value();
}

bool is_tcp_flags(std::string_view text) {
    return parse_tcp_flags(text).has_value();
}

bool is_mac(std::string_view text) {
    return Mac::parse(text).has_value();
}

bool is_name(std::string_view text) {
    return !text.empty() && is_utf8(text);
}

bool is_path(std::string_view text) {
    return !text.empty();
}

bool is_kind(std::string_view text) {
    return kind_of(text).has_value();
}

bool is_one_kind(std::string_view text) {
    return !kind_of(text).value_or("").empty();
}

bool is_format(std::string_view text) {
    return text == "yaml" || text == "json" || text == "wide";
}

bool is_anything(std::string_view /*text*/) {
    return true;
}

bool is_label(std::string_view text) {
    constexpr std::string_view kKey =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    const std::size_t sign = text.find('=');
    return sign != std::string_view::npos && sign > 0 && text.find_first_not_of(kKey) >= sign;
}

bool is_clearing(std::string_view text) {
    return text == "in" || text == "out" || text == "both";
}

bool is_shutdown_text(std::string_view text) {
    return is_name(text) && text.size() <= 255;
}

std::vector<std::string_view> clearing_words() {
    return {"both", "in", "out"};
}

std::vector<std::string_view> one_kind_words() {
    std::vector<std::string_view> words;
    for (const Kind& kind : kKinds) {
        words.push_back(kind.word);
    }
    return words;
}

std::vector<std::string_view> kind_words() {
    auto words = one_kind_words();
    words.insert(words.begin(), "all");
    return words;
}

std::vector<std::string_view> format_words() {
    return {"json", "wide", "yaml"};
}

std::vector<std::string_view> protocol_words() {
    return {"icmp", "icmpv6", "sctp", "tcp", "udp"};
}

}  // namespace vr::ctl
