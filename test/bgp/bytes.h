// Bytes for table rows: "ff 00 1a" -> vector.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>
#include <vector>

namespace vr::bgp::testing {

/// Hex digits in pairs; blanks between pairs are skipped.
inline std::vector<std::uint8_t> hex(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t at = 0; at + 1 < text.size();) {
        if (text[at] == ' ') {
            ++at;
            continue;
        }
        std::uint8_t byte = 0;
        std::from_chars(text.data() + at, text.data() + at + 2, byte, 16);
        bytes.push_back(byte);
        at += 2;
    }
    return bytes;
}

}  // namespace vr::bgp::testing
