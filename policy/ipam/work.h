// Work with Records that may wait, given by a thread that may not.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace vr::policy::ipam {

class Records;

/// What remains to be done where the work was given.
using Then = std::move_only_function<void()>;

/// `pause` waits a second; false: the work is to end.
using Work = std::move_only_function<Then(Records& records, const std::function<bool()>& pause)>;

/// Does work elsewhere, one piece after the other, and what remains of it in the thread that gave it.
using Run = std::function<void(Work)>;

}  // namespace vr::policy::ipam
