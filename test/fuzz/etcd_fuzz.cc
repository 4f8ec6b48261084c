// Fuzz target: what an etcd may say.  Lines are answers to what the sync core asks, those that begin with
// 'w' notices of the watch.  Whatever they hold, they are refused or taken, nothing goes before in-sync,
// and the objects that came of it are valid or have a reason.  The whole input is also tried as a value of
// IPAM's: what is read as a block is written and read as the same, whatever is taken from it meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "policy/etcd/claims.h"
#include "policy/etcd/messages.h"
#include "policy/etcd/objects.h"
#include "policy/etcd/state_file.h"
#include "policy/etcd/sync.h"
#include "policy/ipam/block.h"

namespace {

using namespace vr::policy;
using namespace vr::policy::etcd;

struct Router {
    Keys keys{"/calico"};
    IpamKeys ipam_keys{"/calico"};
    Sync sync{ipam_keys.claims(), prefix_end(keys.resources()), keys.cluster_information()};
    Objects objects{keys};
    Claims claims{ipam_keys};
    bool in_sync = false;
    std::set<std::string> told;  ///< keys, of claims too

    void take(Step step) {
        for (const Change& change : step.changes) {
            if (!change.value && !in_sync && !step.in_sync && sync.is_whole()) {
                std::abort();
            }
            // Only what was told can be another object than before.
            if (change.anew && (!change.value || !told.contains(change.key))) {
                std::abort();
            }
            if (change.value) {
                told.insert(change.key);
            } else {
                told.erase(change.key);
            }
        }
        in_sync = in_sync || step.in_sync;
        (void)claims.apply(step.changes);
        (void)objects.apply(std::move(step.changes));
        if (std::holds_alternative<Reconnect>(step.ask)) {
            (void)sync.connected();
        }
        if (sync.can_go_on()) {
            take(sync.go_on());
        }
    }

    void hear(std::string_view line) {
        if (line.starts_with('w')) {
            if (auto reply = decode_watch(line.substr(1))) {
                take(sync.on_watch(*std::move(reply)));
            }
        } else if (auto reply = decode_range(line)) {
            take(sync.on_range(*std::move(reply)));
        } else {
            take(sync.on_refused(decode_refusal(400, line)));
            (void)sync.connected();
        }
    }
};

void try_ipam(const Keys& keys, std::string_view text) {
    (void)IpamKeys{"/calico"}.record(text);
    (void)IpamKeys{"/calico"}.record(keys.resources() + std::string(text));
    (void)ipam::decode_affinity(text);
    (void)ipam::decode_config(text);
    (void)ipam::decode_reservation(text);
    if (const auto handle = ipam::decode_handle(text)) {
        const auto again = ipam::decode_handle(ipam::encode_handle(*handle));
        if (!again || *again != *handle) {
            std::abort();
        }
    }
    auto block = ipam::Block::decode(text);
    if (!block) {
        return;
    }
    const auto given = block->assign(block->size(), "handle", {{"node", "h1"}}, {});
    if (!block->is_deleted() && block->used() != block->size()) {
        std::abort();
    }
    for (const auto& allocation : block->allocations()) {
        if (!block->release(allocation.address)) {
            std::abort();
        }
    }
    const auto again = ipam::Block::decode(block->encode());
    if (!again || *again != *block || block->used() != 0 || given.size() > block->size()) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(bytes), size);
    (void)decode_state(text);
    Router router;
    try_ipam(router.keys, text);
    (void)router.sync.connected();
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        router.hear(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (const auto& object : router.objects.list()) {
        if ((object.state == ObjectState::Valid) != object.reason.empty()) {
            std::abort();
        }
    }
    std::map<std::string, Good> all;
    for (const std::string& key : router.told) {
        auto good = router.objects.good(key);
        good = good ? good : router.claims.good(key);
        if (good) {
            all.emplace(key, *good);
        }
    }
    if (!decode_state(encode_state(router.sync.position(), all))) {
        std::abort();
    }
    return 0;
}
