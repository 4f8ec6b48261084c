// Asking a Dispatch without a socket, for tests of handlers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "ctl/handlers.h"

namespace vr::ctl {

/// Every frame of the answer to `request`.
inline std::vector<pb::Response> ask(const Dispatch& dispatch, const pb::Request& request) {
    Slices slices;
    dispatch.answer(request, [&](Slices given) { slices = std::move(given); });
    std::vector<pb::Response> frames(1);
    while (slices(frames.back())) {
        frames.emplace_back();
    }
    return frames;
}

/// The only frame of the answer.
inline pb::Response ask_once(const Dispatch& dispatch, const pb::Request& request) {
    auto frames = ask(dispatch, request);
    EXPECT_EQ(frames.size(), 1U);
    return frames.front();
}

/// The rows of all frames one after the other.
inline pb::Response joined(const std::vector<pb::Response>& frames) {
    pb::Response all;
    for (const pb::Response& frame : frames) {
        all.MergeFrom(frame);
    }
    return all;
}

}  // namespace vr::ctl
