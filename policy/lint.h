// Lint: what is wrong with a directory of objects, or has no effect, before a router reads it.
//
//   invalid          refused, or names what does not exist
//   shadowed         a definition that another file's precedes; a rule or policy that no packet reaches,
//                    because an earlier rule decides for every packet that it could match
//                    or a host endpoint whose interface another one guards
//   matches nothing  a policy without endpoints, a rule that no packet can match; a name or selector that
//                    no Node has
//   warning          accepted, but not understood in full
//
// Rules are compared by their criteria (cover.h), not by sampling: what is reported is true, but not
// everything that is true is found.  What selectors select is judged only where the directory holds
// endpoints, or Nodes.  Of a file that a router refuses as a whole what can be read is looked at, too.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/trial.h"

namespace vr::policy {

struct Finding {
    enum class Kind : std::uint8_t { Invalid, Shadowed, MatchesNothing, Warning };

    Kind kind = Kind::Invalid;
    std::string file;
    int line = 0;        ///< 0: the file as a whole
    std::string object;  ///< "NetworkPolicy prod/web"; empty: the file
    std::string text;

    friend bool operator==(const Finding&, const Finding&) = default;
};

/// Sorted by file and line.
[[nodiscard]] std::vector<Finding> lint(const std::vector<SourceFile>& files);

}  // namespace vr::policy
