// Fuzz target: both ends of the stream between vrouter-policyd and a host.  Whatever comes, it is either
// refused or applied, what was told before an error stays, and what was applied can be published.
// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <policyd.pb.h>

#include "policy/graph.h"
#include "policy/policyd/receiver.h"
#include "policy/policyd/report.h"
#include "policy/policyd/wire.h"
#include "test/fuzz/checking_sink.h"

namespace {

/// Calls `visit` for each frame of `bytes` until it returns false.
template <typename Visit>
void for_each_frame(vr::Bytes bytes, Visit visit) {
    vr::FrameDecoder decoder;
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
    vr::CheckingSink sink;
    vr::policy::Graph graph("h1", sink, vr::policy::MembersFrom::Stream);
    Receiver receiver("h1");
    (void)receiver.hello();
    for_each_frame({bytes, size}, [&](vr::Bytes content) {
        const auto message = parse_from_server(content);
        if (!message) {
            return false;
        }
        const auto known = receiver.catalog().files();
        if (!receiver.on(*message)) {
            if (receiver.catalog().files() != known) {
                std::abort();
            }
            return false;
        }
        // In the smallest slices.
        while (receiver.is_applying()) {
            if (const auto batch =
                    receiver.go_on(vr::policy::Slice(std::chrono::microseconds{0}))) {
                graph.on(*batch);
            }
        }
        return true;
    });
    // What was applied is what a later life reads again; what is no state file changes nothing.
    if (receiver.is_in_sync()) {
        Receiver later("h1");
        if (!later.restore(receiver.last_good()()) || !later.go_on(vr::policy::Slice()) ||
            later.last_good()() != receiver.last_good()()) {
            std::abort();
        }
    }
    (void)receiver.restore({reinterpret_cast<const char*>(bytes), size});
    ReportReader reports;
    for_each_frame({bytes, size}, [&](vr::Bytes content) {
        const auto message = parse_from_host(content);
        if (message) {
            reports.take(message->report());
        }
        return !!message;
    });
    // What a host tells is told on as it is.
    const HostReport& told = reports.report();
    ReportReader again;
    for (const auto& frame : ReportWriter().tell(told)) {
        for_each_frame(
            {reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()},
            [&](vr::Bytes content) {
                again.take(parse_from_host(content).value().report());
                return true;
            });
    }
    if (again.report().endpoints != told.endpoints || again.report().node != told.node) {
        std::abort();
    }
    return 0;
}
