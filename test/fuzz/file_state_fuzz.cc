// Fuzz target: the last valid texts of a directory of resources, as its state file holds them.  Whatever
// is in a file, it is no state or one that would be written so again.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "policy/file_state.h"
#include "policy/sealed_file.h"

namespace {

using namespace vr::policy;

constexpr std::size_t kDigest = 32;
constexpr std::size_t kCount = 4;

std::string written(const GoodTexts& texts) {
    std::map<std::string, Catalog::Good> files;
    for (const auto& [name, text] : texts) {
        files[name] = {std::make_shared<const std::string>(text)};
    }
    return encode_files("/d", files);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string input(bytes, bytes + size);
    (void)decode_files("/d", input);
    // Nobody guesses a digest: what the file says stands before a right one.
    std::string sealed = encode_files("/d", {});
    sealed.resize(sealed.size() - kDigest - kCount);
    sealed += input;
    seal(sealed);
    if (const auto texts = decode_files("/d", sealed)) {
        const auto again = decode_files("/d", written(*texts));
        if (!again || *again != *texts) {
            std::abort();
        }
    }
    return 0;
}
