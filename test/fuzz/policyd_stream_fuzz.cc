// Fuzz target: both ends of the stream between vrouter-policyd and a host.  Whatever comes, it is either
// refused or applied, what was told before an error stays, and what was applied can be published.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <policyd.pb.h>

#include "policy/graph.h"
#include "policy/policyd/receiver.h"
#include "policy/policyd/wire.h"

namespace {

class SilentSink : public vr::WorkloadSink {
  public:
    void add_member(vr::GroupId /*group*/, const vr::IpPrefix& /*member*/) override {}

    void remove_member(vr::GroupId /*group*/, const vr::IpPrefix& /*member*/) override {}

    void update_workload(const vr::Workload& workload) override {
        if (!workload.ingress || !workload.egress) {
            std::abort();
        }
    }

    void remove_workload(const std::string& /*name*/) override {}

    void update_host(const vr::HostGuard& /*guard*/) override {}

    void remove_host(const std::string& /*name*/) override {}

    void set_endpoint_to_host(vr::EndpointToHost /*action*/) override {}
};

/// Calls `visit` for each frame of `bytes` until it returns false.
template <typename Visit>
void for_each_frame(vr::Bytes bytes, Visit visit) {
    vr::policyd::FrameDecoder decoder;
    decoder.feed(bytes);
    while (true) {
        const auto content = decoder.next();
        if (!content || !*content || !visit(**content)) {
            return;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace vr::policyd;
    SilentSink sink;
    vr::policy::Graph graph("h1", sink, vr::policy::MembersFrom::Stream);
    Receiver receiver("h1");
    (void)receiver.hello();
    for_each_frame({bytes, size}, [&](vr::Bytes content) {
        const auto message = parse_from_server(content);
        if (!message) {
            return false;
        }
        const auto known = receiver.catalog().files();
        const auto batch = receiver.on(*message);
        if (!batch) {
            if (receiver.catalog().files() != known) {
                std::abort();
            }
            return false;
        }
        if (*batch) {
            graph.on(**batch);
        }
        return true;
    });
    for_each_frame({bytes, size}, [](vr::Bytes content) { return !!parse_from_host(content); });
    return 0;
}
