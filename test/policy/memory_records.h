// A datastore in memory, as IPAM sees it, as strict as etcd; several threads may use it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "policy/ipam/record.h"

namespace vr::policy::ipam {

class MemoryRecords final : public Records {
  public:
    /// Runs before the next commit: somebody else is faster.
    std::function<void()> intruder;
    /// The next commit is done, and its answer lost.
    bool loses_answer = false;
    unsigned commits = 0;
    unsigned conflicts = 0;

    void put(const RecordId& id, std::string value) {
        const std::lock_guard lock(mutex_);
        records_[id] = {id, std::move(value), ++revision_};
    }

    void erase(const RecordId& id) {
        const std::lock_guard lock(mutex_);
        records_.erase(id);
    }

    [[nodiscard]] std::string value(const RecordId& id) {
        const auto record = *get(id);
        return record ? record->value : std::string();
    }

    [[nodiscard]] Result<std::optional<Record>> get(const RecordId& id) override {
        const std::lock_guard lock(mutex_);
        const auto found = records_.find(id);
        return found == records_.end() ? std::nullopt : std::optional(found->second);
    }

    [[nodiscard]] Result<std::vector<Record>> list(
        std::span<const Range> ranges, Detail detail) override {
        const std::lock_guard lock(mutex_);
        std::vector<Record> all;
        for (const auto& [id, record] : records_) {
            for (const Range& range : ranges) {
                if (is_in(range, id)) {
                    all.push_back(record);
                    if (detail == Detail::Names) {
                        all.back().value.clear();
                    }
                }
            }
        }
        return all;
    }

    [[nodiscard]] Result<std::optional<std::int64_t>> commit(
        const std::vector<RecordWrite>& writes) override {
        if (const auto run = take_intruder()) {
            run();
        }
        const std::lock_guard lock(mutex_);
        std::set<RecordId> written;
        for (const RecordWrite& write : writes) {
            if (!written.insert(write.id).second) {
                return fail("duplicate key given in txn request");
            }
        }
        if (writes.size() > kMaxOperations) {
            return fail("too many operations in txn request");
        }
        for (const RecordWrite& write : writes) {
            const auto found = records_.find(write.id);
            const std::int64_t revision = found == records_.end() ? 0 : found->second.revision;
            if (revision != write.expected_revision) {
                ++conflicts;
                return std::nullopt;
            }
        }
        ++commits;
        ++revision_;
        for (const RecordWrite& write : writes) {
            if (write.value) {
                records_[write.id] = {write.id, *write.value, revision_};
            } else {
                records_.erase(write.id);
            }
        }
        if (std::exchange(loses_answer, false)) {
            return fail("connection lost");
        }
        return revision_;
    }

  private:
    /// Of a transaction, unless etcd is told otherwise.
    static constexpr std::size_t kMaxOperations = 128;

    std::function<void()> take_intruder() {
        const std::lock_guard lock(mutex_);
        return std::exchange(intruder, nullptr);
    }

    static bool is_in(const Range& range, const RecordId& id) {
        if (const auto* strange = std::get_if<StrangeId>(&id)) {
            const auto* resources = std::get_if<AllOf>(&range);
            return resources != nullptr &&
                   strange->key.find(row_of(resources->kind).plural) != std::string::npos;
        }
        if (const auto* blocks = std::get_if<BlocksOf>(&range)) {
            const auto* block = std::get_if<BlockId>(&id);
            return block != nullptr && (block->cidr.index() == 0) == (blocks->version == 4);
        }
        if (const auto* claims = std::get_if<AffinitiesOf>(&range)) {
            const auto* claim = std::get_if<AffinityId>(&id);
            return claim != nullptr && (claims->host.empty() || claims->host == claim->host);
        }
        if (const auto* resources = std::get_if<AllOf>(&range)) {
            const auto* key = std::get_if<Key>(&id);
            return key != nullptr && key->kind == resources->kind;
        }
        return std::holds_alternative<AllHandles>(range)
                   ? std::holds_alternative<HandleId>(id)
                   : std::holds_alternative<ReservationId>(id);
    }

    std::mutex mutex_;
    std::map<RecordId, Record> records_;
    std::int64_t revision_ = 0;
};

}  // namespace vr::policy::ipam
