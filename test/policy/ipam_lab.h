// What the tests of IPAM have in common: a datastore in memory with pools, nodes and endpoints.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "policy/ipam/allocate.h"
#include "policy/ipam/block.h"
#include "test/policy/memory_records.h"

namespace vr::policy::ipam {

inline const Time kNow{std::chrono::seconds{1763795417}};

struct IpamLab {
    MemoryRecords records;

    static std::string object(
        const std::string& kind,
        const std::string& name,
        const std::string& spec,
        const std::string& metadata = {}) {
        return R"({"apiVersion":"projectcalico.org/v3","kind":")" + kind +
               R"(","metadata":{"name":")" + name + "\"" + metadata + R"(},"spec":{)" + spec + "}}";
    }

    void pool(const std::string& name, const std::string& cidr, const std::string& more = {}) {
        records.put(
            Key{Kind::IPPool, {}, name},
            object("IPPool", name, R"("cidr":")" + cidr + "\"" + more));
    }

    void node(
        const std::string& name, const std::string& labels = {}, const std::string& spec = {}) {
        records.put(
            Key{Kind::Node, {}, name}, object("Node", name, spec, R"(,"labels":{)" + labels + "}"));
    }

    void endpoint(const std::string& name, const std::string& networks) {
        records.put(
            Key{Kind::WorkloadEndpoint, "prod", name},
            object(
                "WorkloadEndpoint",
                name,
                R"("node":"h1","interfaceName":"eth0","ipNetworks":[)" + networks + "]",
                R"(,"namespace":"prod")"));
    }

    void config(const std::string& value) { records.put(ConfigId{}, value); }

    Result<std::vector<Assigned>> get(
        const std::string& host, std::size_t count = 1, const std::string& handle = "c1") {
        Request request{.host = host, .handle = handle};
        request.count4 = count;
        return allocate(records, request, kNow);
    }

    Block block(const std::string& cidr) {
        return *Block::decode(records.value(BlockId{*parse_prefix(cidr)}));
    }

    std::string claim(const std::string& host, const std::string& cidr) {
        return records.value(AffinityId{host, *parse_prefix(cidr)});
    }

    std::string handle(const std::string& id) { return records.value(HandleId{id}); }

    /// A block as some other program left it.
    void store(const Block& block) { records.put(BlockId{block.cidr()}, block.encode()); }

    void set_claim(
        const std::string& host,
        const std::string& cidr,
        AffinityState state = AffinityState::Confirmed) {
        records.put(AffinityId{host, *parse_prefix(cidr)}, encode_affinity(state));
    }
};

inline const std::string kConfirmed = encode_affinity(AffinityState::Confirmed);

}  // namespace vr::policy::ipam
