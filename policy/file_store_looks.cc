// FileStore's looks at its directory: for what no event tells, and for one that is another, or is being filled.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <utility>

#include "policy/file_store.h"
#include "vrouter/net/log.h"

namespace vr::policy {

void FileStore::on_directory_lost() {
    vanished_.clear();
    found_.reset();
    doubt("is gone");
}

void FileStore::doubt(const std::string& why) {
    if (doubt_ != why) {
        doubt_ = why;
        log::error("policy: {} {}: the last state stays in force", directory_.name(), doubt_);
    }
    health_.fails(
        in_sync_ ? SourceStatus::State::Frozen : SourceStatus::State::Waiting,
        directory_.name() + " " + doubt_,
        std::chrono::steady_clock::now());
}

/// Not everything is told: another directory may come to lie behind the path, rights may be given.
void FileStore::look_again_later() {
    look_timer_.expires_after(options_.look_interval);
    look_timer_.async_wait(
        [this, alive = std::weak_ptr(watching_)](boost::system::error_code error) {
            if (!error && !alive.expired()) {
                options_.when_room([this, alive] {
                    if (!alive.expired()) {
                        look_again();
                    }
                });
            }
        });
}

void FileStore::look_again() {
    if (doubt_.empty() && directory_.identity() != watched_) {
        on_directory_lost();
    }
    if (!doubt_.empty()) {
        if (watch()) {
            read_events();
            look_beside();
            return;
        }
        on_directory_lost();
    } else if (!understood_ || !read_) {
        look_beside();
        return;
    } else if (!vanished_.empty()) {
        forget_vanished_later();
    }
    deliver();
    look_again_later();
}

/// Looks at the directory beside the loop and goes on with what was seen: thousands of files take longer than
/// a turn.
void FileStore::look_beside() {
    looks_.read(
        [directory = directory_, last = found_] { return directory.look(last); },
        [this, alive = std::weak_ptr(watching_)](const Result<LookPtr>& seen) {
            if (!alive.expired()) {
                reread(seen);
                deliver();
                look_again_later();
            }
        });
}

/// Reads what was not understood, or was lost, once it stands still.
void FileStore::reread(const Result<LookPtr>& seen) {
    const bool settled = stands_still(seen);
    const bool doubted = !doubt_.empty();
    if (!list_error_.empty()) {
        if (doubted) {
            doubt(list_error_);
        }
        return;
    }
    if (!settled) {
        if (doubted) {
            doubt("came back and is being filled");
        }
        return;
    }
    if (doubted && is_emptied()) {
        doubt("came back empty");
        return;
    }
    if (!doubted && read_ && loaded_ == found_) {
        return;
    }
    scan();
    if (!list_error_.empty()) {
        return;
    }
    read_ = true;
    loaded_ = found_;
    if (doubted) {
        doubt_.clear();
        log::info("policy: {} is back", directory_.name());
        forget_vanished();
    }
}

/// Whether this look found what the last one found.
bool FileStore::stands_still(const Result<LookPtr>& seen) {
    note_listed(seen);
    const LookPtr last = std::exchange(found_, seen ? *seen : nullptr);
    return found_ && found_ == last;
}

/// Whether objects were held, and what the last look found holds none.
bool FileStore::is_emptied() const {
    const auto brings = [this](const auto& found) {
        const Reading reading = directory_.read(found.first, nullptr);
        return reading.parsed && !reading.parsed->objects.empty();
    };
    return !holds_no_object() && std::ranges::none_of(*found_, brings);
}

}  // namespace vr::policy
