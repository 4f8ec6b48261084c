// How often a randomised test repeats itself: in full in the product's own build, where a wrong answer
// shows as well as anywhere, and a fifth of that under sanitizers, which look for something else and
// take ten times as long.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vr::test {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VROUTER_SANITIZED 1
#endif
#endif

#if defined(VROUTER_SANITIZED) || defined(__SANITIZE_ADDRESS__)
inline constexpr unsigned kThinning = 5;
#else
inline constexpr unsigned kThinning = 1;
#endif

/// `full` repetitions, or what is left of them under sanitizers.
constexpr unsigned rounds(unsigned full) {
    return full / kThinning;
}

}  // namespace vr::test
