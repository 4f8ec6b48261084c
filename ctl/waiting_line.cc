// SPDX-License-Identifier: Apache-2.0
#include "ctl/waiting_line.h"

#include <fmt/core.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace vr::ctl {

WaitingLine::WaitingLine(std::string_view what, std::FILE* terminal)
    : what_(what), terminal_(terminal) {
    draw(what_ + " ...");
    clock_ = std::jthread([this](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any end;
        std::unique_lock lock(mutex);
        for (unsigned seconds = 1;; ++seconds) {
            end.wait_for(lock, stop, std::chrono::seconds{1}, [] { return false; });
            if (stop.stop_requested()) {
                return;
            }
            draw(fmt::format("{} ... {} s", what_, seconds));
        }
    });
}

WaitingLine::~WaitingLine() {
    clock_.request_stop();
    clock_.join();
    draw({});
}

/// In place of what was drawn before.
void WaitingLine::draw(std::string_view text) const {
    const std::string line = fmt::format("\r{}\x1b[K", text);
    std::fwrite(line.data(), 1, line.size(), terminal_);
    std::fflush(terminal_);
}

}  // namespace vr::ctl
