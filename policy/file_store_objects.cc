// FileStore as a Datastore: what it holds, in words, and what clients write.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <utility>

#include "policy/file_store.h"
#include "policy/file_writes.h"

namespace vr::policy {

std::vector<ObjectStatus> FileStore::list(const Key& from, std::size_t count) const {
    return catalog_.list(from, count);
}

std::vector<std::string> FileStore::problems() const {
    auto all = catalog_.problems();
    if (!doubt_.empty()) {
        all.push_back(directory_.name() + " " + doubt_ + "; the last state stays in force");
    }
    if (saver_ && !saver_->error().empty()) {
        all.push_back("last good state: " + saver_->error());
    }
    return all;
}

SourceStatus FileStore::status() const {
    SourceStatus status = health_;
    status.in_force = in_sync_;
    status.place = doubt_.empty() ? directory_.name() : std::string();
    status.revision = revision_;
    return status;
}

/// What is written is held against all that is there, also what waits to be read.
void FileStore::catch_up() {
    if ((events_wait_ || !scanned_.empty()) && doubt_.empty()) {
        scan();
        deliver();
    }
}

Result<std::vector<Key>> FileStore::put(std::string_view file, std::string_view yaml) {
    catch_up();
    const auto writes = plan_writes(catalog_, file, yaml);
    if (!writes) {
        return std::unexpected(writes.error());
    }
    std::vector<Key> keys;
    for (const FileWrite& planned : *writes) {
        auto written = is_writable();
        if (written) {
            written = directory_.write(planned.file, planned.text);
        }
        if (!written) {
            deliver();
            return std::unexpected(std::move(written).error());
        }
        vanished_.erase(planned.file);
        load(planned.file);
        keys.push_back(planned.key);
    }
    deliver();
    return keys;
}

Result<void> FileStore::is_writable() const {
    if (!doubt_.empty() || directory_.identity() != watched_) {
        return fail(directory_.name() + " is not the directory that was read");
    }
    return {};
}

Result<void> FileStore::remove(const Key& key) {
    catch_up();
    if (!catalog_.find(key)) {
        return fail(to_string(key) + " does not exist");
    }
    const auto file = file_for(catalog_, key);
    if (!file) {
        return std::unexpected(file.error());
    }
    if (auto writable = is_writable(); !writable) {
        return writable;
    }
    if (auto removed = directory_.remove(*file); !removed) {
        return removed;
    }
    outrun(*file);
    auto events = catalog_.remove_file(*file);
    std::ranges::move(events, std::back_inserter(pending_));
    save();
    deliver();
    return {};
}

}  // namespace vr::policy
