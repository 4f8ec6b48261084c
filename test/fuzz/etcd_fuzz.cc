// Fuzz target: what an etcd may say.  Lines are answers to what the sync core asks, those that begin with
// 'w' notices of the watch.  Whatever they hold, they are refused or taken, nothing goes before in-sync,
// and the objects that came of it are valid or have a reason.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "policy/etcd/objects.h"
#include "policy/etcd/state_file.h"
#include "policy/etcd/sync.h"

namespace {

using namespace vr::policy;
using namespace vr::policy::etcd;

struct Router {
    Keys keys{"/calico"};
    Sync sync{keys.resources(), keys.cluster_information()};
    Objects objects{keys};
    bool in_sync = false;

    void take(Step step) {
        for (const Change& change : step.changes) {
            if (!change.value && !in_sync && !step.in_sync) {
                std::abort();
            }
        }
        in_sync = in_sync || step.in_sync;
        (void)objects.apply(std::move(step.changes));
        if (std::holds_alternative<Reconnect>(step.ask)) {
            (void)sync.connected();
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(bytes), size);
    (void)decode_state(text);
    Router router;
    (void)router.sync.connected();
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        router.hear(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (const auto& object : router.objects.list(std::nullopt)) {
        if ((object.state == ObjectState::Valid) != object.reason.empty()) {
            std::abort();
        }
    }
    if (!decode_state(encode_state(router.sync.position(), router.objects.good()))) {
        std::abort();
    }
    return 0;
}
