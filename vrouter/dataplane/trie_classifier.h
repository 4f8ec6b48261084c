// The classifier that DPDK's rte_acl executes: one walk through a trie for any number of rules.
//
// rte_acl finds the first rule that matches, of lists and negations it knows nothing:
//   - a rule becomes boxes (rule_boxes.h), all with the rule's priority;
//   - an address that is in several groups is asked for once for each group that rules name, and the
//     first rule of all answers counts; the groups that rules must not find are bits of the key;
//   - behind a Log rule and at the target of a jump the search begins anew: the program is cut there,
//     and each segment has its own answer (rte_acl's categories).
// Not every program fits: see kMost... in the .cc; building one may take long and the memory that
// DPDK has, so the caller has another engine ready (engine_choice.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/refused_sizes.h"
#include "vrouter/net/result.h"

namespace vr::acl {

/// Any thread, once the EAL runs.  The error says why rte_acl cannot execute `program`.  Sizes that
/// `refused` knows are not tried; it learns what rte_acl refuses after the work.
template <Family F>
[[nodiscard]] Result<std::shared_ptr<const Classifier<F>>> build_trie_classifier(
    const std::shared_ptr<const Program>& program,
    unsigned workers = 0,
    RefusedSizes* refused = nullptr);

}  // namespace vr::acl
