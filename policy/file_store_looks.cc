// FileStore's looks at its directory: for what no event tells, and for one that is another, or is being filled.
//
//   look_again_later() --> look_again() --> look_beside() --> scan_beside() --> take_scanned() --> end_scan()
//          ^                    |                 |  nothing to read                                  |
//          +-------------- end_look() <-----------+---------------------------------------------------+
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>

#include "policy/file_store.h"
#include "vrouter/net/log.h"

namespace vr::policy {

void FileStore::on_directory_lost() {
    vanished_.clear();
    found_.reset();
    must_scan_ = false;
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
    if (looking_) {
        return;  // it is called again at the end of that
    }
    look_timer_.expires_after(must_scan_ ? std::chrono::milliseconds(0) : options_.look_interval);
    look_timer_.async_wait(
        [this, alive = std::weak_ptr(watching_)](boost::system::error_code error) {
            if (error || alive.expired() || std::exchange(looking_, true)) {
                return;
            }
            options_.when_room([this, alive] {
                if (!alive.expired()) {
                    look_again();
                }
            });
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
    } else if (!understood_ || !read_ || must_scan_) {
        look_beside();
        return;
    } else if (!vanished_.empty()) {
        forget_vanished_later();
    }
    end_look();
}

void FileStore::end_look() {
    deliver();
    looking_ = false;
    look_again_later();
    if (after_scan_ && !must_scan_) {
        boost::asio::post(executor_, std::exchange(after_scan_, nullptr));
    }
}

/// Looks at the directory beside the loop and goes on with what was seen: thousands of files take longer than
/// a turn.
void FileStore::look_beside() {
    looks_.read(
        [directory = directory_, last = found_] { return directory.look(last); },
        [this, alive = std::weak_ptr(watching_)](const Result<LookPtr>& seen) {
            if (alive.expired()) {
                return;
            }
            if (is_to_be_read(seen)) {
                scan_beside();
            } else {
                end_look();
            }
        });
}

/// What was not understood, or was lost, is once it stands still.
bool FileStore::is_to_be_read(const Result<LookPtr>& seen) {
    settled_ = stands_still(seen);
    const bool doubted = !doubt_.empty();
    if (!list_error_.empty()) {
        read_ = read_ && !std::exchange(must_scan_, false);
        if (doubted) {
            doubt(list_error_);
        }
        return false;
    }
    if (doubted && !settled_) {
        doubt("came back and is being filled");
    }
    return must_scan_ || (settled_ && (doubted || !read_ || loaded_ != found_));
}

/// Whether this look found what the last one found.
bool FileStore::stands_still(const Result<LookPtr>& seen) {
    note_listed(seen);
    const LookPtr last = std::exchange(found_, seen ? *seen : nullptr);
    return found_ && found_ == last;
}

/// Reads beside the loop what has changed since all was read, or all of what was lost.
void FileStore::scan_beside() {
    if (!reading_.empty()) {
        end_look();  // that answer first: it may be the older one
        return;
    }
    must_scan_ = false;
    stirred_ = false;
    outrun_.clear();
    if (!good_.empty()) {  // as at the start, which could not
        scan();
        end_scan();
        return;
    }
    looks_.read(
        [directory = directory_,
         last = doubt_.empty() ? loaded_ : nullptr,
         faulty = catalog_.faulty()] { return directory.scan(last, faulty); },
        [this, alive = std::weak_ptr(watching_)](Directory::Scan scan) {
            if (alive.expired()) {
                return;
            }
            if (!counts(scan)) {
                end_look();
                return;
            }
            found_ = *scan.look;
            scanned_ = std::move(scan.read);
            take_scanned();
        });
}

/// Whether what was read is what this directory is to hold.
bool FileStore::counts(const Directory::Scan& scan) {
    note_listed(scan.look);
    read_ = read_ && scan.look;
    if (directory_.identity() != watched_) {
        on_directory_lost();
    }
    if (doubt_.empty() || !found_ || !scan.look) {
        return found_ && scan.look.has_value();
    }
    if (**scan.look != *found_) {
        doubt("came back and is being filled");
        return false;
    }
    const auto brings = [](const auto& file) {
        return file.second.parsed && !file.second.parsed->objects.empty();
    };
    if (!holds_no_object() && std::ranges::none_of(scan.read, brings)) {
        doubt("came back empty");
        return false;
    }
    return true;
}

/// Some in a turn.
void FileStore::take_scanned() {
    const auto end = std::chrono::steady_clock::now() + options_.turn;
    while (!scanned_.empty()) {
        auto next = scanned_.extract(scanned_.begin());
        const std::string& file = next.key();
        Reading& reading = next.mapped();
        const bool is_news = !reading.text || !catalog_.is_current(file, **reading.text);
        if (is_news && !outrun_.contains(file)) {
            take(file, std::move(reading));
        }
        if (!scanned_.empty() && std::chrono::steady_clock::now() >= end) {
            boost::asio::post(executor_, [this, alive = std::weak_ptr(watching_)] {
                if (!alive.expired()) {
                    take_scanned();
                }
            });
            return;
        }
    }
    if (found_) {  // else it was lost meanwhile
        note_vanished(*found_);
    }
    end_scan();
}

void FileStore::end_scan() {
    if (found_ && list_error_.empty()) {
        read_ = read_ || settled_;
        loaded_ = found_;
        if (!doubt_.empty()) {
            doubt_.clear();
            log::info("policy: {} is back", directory_.name());
            forget_vanished();
            if (std::exchange(stirred_, false)) {  // before it was read, or after: nobody knows
                must_scan_ = true;
                loaded_ = nullptr;
            }
        }
    }
    end_look();
}

}  // namespace vr::policy
