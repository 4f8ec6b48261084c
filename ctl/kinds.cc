// SPDX-License-Identifier: Apache-2.0
#include "ctl/kinds.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace vr::ctl {

std::optional<std::string_view> kind_of(std::string_view text) {
    std::string word(text);
    std::ranges::transform(
        word, word.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (word == "all") {
        return std::string_view{};
    }
    const auto* found = std::ranges::find_if(kKinds, [&](const Kind& kind) {
        return word == kind.word || word == kind.plural || word == kind.brief;
    });
    return found == kKinds.end() ? std::nullopt : std::optional{found->name};
}

}  // namespace vr::ctl
