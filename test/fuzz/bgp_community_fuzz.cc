// Fuzz target: communities as people write them.  What is read must be shown in a form that reads back
// the same, and adding it to a route must make the route have it.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bgp/community.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace vr::bgp;
    const std::string text(bytes, bytes + size);
    const auto community = parse_community(text);
    if (!community) {
        return 0;
    }
    if (parse_community(to_string(*community)) != community) {
        std::abort();
    }
    Attributes attributes;
    add_community(attributes, *community);
    if (!has_community(attributes, *community)) {
        std::abort();
    }
    remove_community(attributes, *community);
    if (attributes != Attributes{}) {
        std::abort();
    }
    return 0;
}
