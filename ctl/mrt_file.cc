// SPDX-License-Identifier: Apache-2.0
#include "ctl/mrt_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace vr::ctl {

namespace {

/// How a compressed file begins, and who unpacks it.
struct Compression {
    std::string_view begin;
    std::string_view program;
};

/// As long as they are: a record of MRT begins with the time, which is anything.
constexpr Compression kCompressions[] = {
    {.begin = "\x1f\x8b\x08", .program = "gzip"},
    {.begin = "BZh91AY&SY", .program = "bzip2"},
    {.begin =
         {"\xfd"
          "7zXZ\0",
          6},
     .program = "xz"},
    {.begin = "\x28\xb5\x2f\xfd", .program = "zstd"},
};

bool begins_with(Bytes octets, std::string_view begin) {
    return octets.size() >= begin.size() &&
           std::ranges::equal(begin, octets.first(begin.size()), [](char expected, auto octet) {
               return static_cast<std::uint8_t>(expected) == octet;
           });
}

}  // namespace

std::string compression_problem(Bytes begin, std::string_view command) {
    for (const auto& [magic, program] : kCompressions) {
        if (begins_with(begin, magic)) {
            return fmt::format(
                "it is compressed: '{} -dc FILE | vrouterctl {} -' unpacks it", program, command);
        }
    }
    return {};
}

}  // namespace vr::ctl
