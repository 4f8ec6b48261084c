// SPDX-License-Identifier: Apache-2.0
#include "vrouter/trie_builder.h"

#include <sys/resource.h>

#include <string>
#include <utility>

#include "vrouter/net/log.h"

namespace vr {

TrieBuilder::TrieBuilder() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

TrieBuilder::~TrieBuilder() {
    thread_.request_stop();
    wake_.notify_all();
}

template <Family F>
void TrieBuilder::add(std::weak_ptr<acl::Relay<F>> wanting) {
    {
        const std::lock_guard lock{mutex_};
        // Edits may come faster than rte_acl builds.
        std::erase_if(jobs_, [](const Job& job) {
            return std::visit([](const auto& relay) { return relay.expired(); }, job);
        });
        jobs_.push_back(std::move(wanting));
    }
    wake_.notify_one();
}

template void TrieBuilder::add(std::weak_ptr<acl::Relay<V4>>);
template void TrieBuilder::add(std::weak_ptr<acl::Relay<V6>>);

void TrieBuilder::run(const std::stop_token& stop) {
    constexpr int kNicest = 19;
    // On Linux this is the calling thread alone.  The others matter more; if it fails, they share.
    (void)setpriority(PRIO_PROCESS, 0, kNicest);
    acl::RefusedSizes refused;
    while (true) {
        Job job;
        {
            std::unique_lock lock{mutex_};
            if (!wake_.wait(lock, stop, [this] { return !jobs_.empty(); }) ||
                stop.stop_requested()) {
                return;
            }
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        const std::string refusal =
            std::visit([&](const auto& wanting) { return acl::add_trie(wanting, refused); }, job);
        if (!refusal.empty()) {
            log::info("policy: a long program is left to the bit vectors: {}", refusal);
        }
    }
}

}  // namespace vr
