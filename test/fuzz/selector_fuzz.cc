// Fuzz target: selector expressions.  What parses must have a canonical text that parses to the same
// text, and must match alike before and after.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "policy/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using vr::policy::Selector;
    const std::string text(bytes, bytes + size);
    const auto selector = Selector::parse(text);
    if (!selector) {
        return 0;
    }
    const vr::policy::Labels labels{{"a", "x"}, {"b", ""}, {"projectcalico.org/namespace", "n"}};
    const bool matches = selector->matches(labels);
    // The canonical text has more brackets and may outgrow the limits of what users may write.
    if (const auto again = Selector::parse(selector->text())) {
        if (again->text() != selector->text() || again->matches(labels) != matches) {
            std::abort();
        }
    }
    for (const auto& restriction : selector->restrictions()) {
        if (matches && !labels.contains(restriction.label)) {
            std::abort();
        }
    }
    const Selector prefixed = selector->prefixed("pcns.");
    if (const auto again = Selector::parse(prefixed.text());
        again && again->text() != prefixed.text()) {
        std::abort();
    }
    (void)prefixed.matches(labels);
    return 0;
}
