// Fuzz target: resource files.  Whatever a file holds, each object is either valid or has a reason,
// the catalog takes and forgets it, and what is in force can be compiled and published.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "policy/catalog.h"
#include "policy/graph.h"
#include "test/fuzz/checking_sink.h"

namespace {

constexpr auto kEndpoint =
    "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
    "metadata: {name: vm, namespace: default, labels: {a: x}}\n"
    "spec: {node: h1, interfaceName: tap0, ipNetworks: [10.0.0.1, 'fd00::1'], profiles: [p]}\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace vr::policy;
    const std::string text(bytes, bytes + size);
    Catalog catalog;
    vr::CheckingSink sink;
    Graph graph("h1", sink);
    graph.on({1, catalog.set_file("0.yaml", kEndpoint)});
    graph.on({2, {InSync{}}});
    graph.on({3, catalog.set_file("f.yaml", text)});
    for (const auto& object : catalog.list()) {
        if ((object.state == ObjectState::Valid) != object.reason.empty()) {
            std::abort();
        }
        (void)yaml_to_json(object.yaml);
    }
    graph.on({4, catalog.remove_file("f.yaml")});
    if (graph.published().size() != 1) {
        std::abort();
    }
    return 0;
}
