// Fuzz target: a policy unit test of somebody's.  Whatever the file holds, it is refused with a reason, or
// the two judges agree on each of its cases.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "policy/trial.h"
#include "policy/trial_run.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace vr::policy;
    const std::string text(bytes, bytes + size);
    const Trial trial = read_trial("t.yaml", text, [](const std::string& path) {
        return vr::Result<std::vector<SourceFile>>{vr::fail("cannot read " + path)};
    });
    if (std::ranges::any_of(trial.errors, &std::string::empty)) {
        std::abort();
    }
    if (trial.errors.empty() && !std::ranges::all_of(run_trial(trial), &CaseResult::agrees)) {
        std::abort();
    }
    return 0;
}
