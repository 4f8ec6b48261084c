// Fuzz target: a file for `vrouter-policyd play`.  Whatever is in it, each entry is shown as lines of JSON
// or refused, and playing ends.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include <boost/json/parse.hpp>
#include <policyd.pb.h>

#include "policy/policyd/recording.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace vr::policyd;
    std::istringstream file(std::string(bytes, bytes + size));
    (void)play(file, [](const pb::Recorded& entry) -> vr::Result<void> {
        const auto lines = json_lines(entry);
        if (!lines) {
            return std::unexpected(lines.error());
        }
        std::istringstream each(*lines);
        for (std::string line; std::getline(each, line);) {
            boost::system::error_code error;
            (void)boost::json::parse(line, error);
            if (error) {
                std::abort();
            }
        }
        return {};
    });
    return 0;
}
