// Runs a trial: each case judged by the compiled classifier, through the same graph and programs that
// a router has, and by the reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "policy/reference.h"
#include "policy/trial.h"
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

struct CaseResult {
    Ruling compiled = Ruling::Deny;
    Ruling reference = Ruling::Deny;
    acl::Origin by;            ///< what decided in the compiled program
    acl::Origin reference_by;  ///< the same for the reference

    /// Both judges say the same for the same reason; anything else is a bug of ours.
    [[nodiscard]] bool agrees() const { return compiled == reference && by == reference_by; }
};

/// One result for each case of `trial`, which must be free of errors.
[[nodiscard]] std::vector<CaseResult> run_trial(const Trial& trial);

}  // namespace vr::policy
