// SPDX-License-Identifier: Apache-2.0
#include "ctl/ipam_commands.h"

#include <algorithm>

#include "ctl/command_parts.h"

namespace vr::ctl {

namespace {

constexpr ArgumentType kGrace{
    .placeholder = "SECONDS",
    .expects = "a number of seconds (0-604800)",
    .accepts = is_number<0, 604800>};
constexpr ArgumentType kWait{
    .placeholder = "SECONDS",
    .expects = "a number of seconds (1-3600)",
    .accepts = is_number<1, 3600>};
constexpr ArgumentType kCount{
    .placeholder = "NUMBER", .expects = "a number from 0 to 256", .accepts = is_number<0, 256>};

constexpr Column kBlockColumns[] = {
    field("BLOCK", "cidr"),
    field("POOL", "pool"),
    field("AFFINITY", "affinity"),
    field("CLAIM", "claim"),
    field("SIZE", "size"),
    field("USED", "used"),
    field("BORROWED", "borrowed"),
};
constexpr Column kAddressColumns[] = {
    field("ADDRESS", "address"),
    field("BLOCK", "block"),
    field("HANDLE", "handle"),
    field("NODE", "node"),
    field("USERS", "users"),
};
constexpr Column kFindingColumns[] = {
    field("TROUBLE", "trouble"),
    field("SUBJECT", "subject"),
    field("DETAIL", "detail"),
};
constexpr Column kMendedColumns[] = {
    field("MENDED", "mended"),
    field("TROUBLE", "trouble"),
    field("SUBJECT", "subject"),
    field("DETAIL", "detail"),
};
constexpr Column kAssignedColumns[] = {
    field("ADDRESS", "address"),
    field("BLOCK", "block"),
    field("ORIGIN", "origin"),
};
constexpr Column kReleasedColumns[] = {
    field("ADDRESS", "address"),
};

Result<pb::Request> show_request(const Values& values) {
    pb::Request request;
    request.mutable_show_ipam()->set_host(values.text("host"));
    return request;
}

Result<pb::Request> addresses_request(const Values& values) {
    pb::Request request;
    request.mutable_show_ipam_addresses()->set_prefix(values.text("prefix"));
    return request;
}

Result<pb::Request> check_request(const Values& values) {
    pb::Request request;
    auto& check = *request.mutable_check_ipam();
    if (values.has("grace")) {
        check.set_grace_seconds(values.number("grace"));
    }
    return request;
}

Result<pb::Request> collect_request(const Values& values) {
    pb::Request request;
    auto& collect = *request.mutable_collect_ipam();
    collect.set_act(values.has("yes"));
    if (values.has("grace")) {
        collect.set_grace_seconds(values.number("grace"));
    }
    if (values.has("wait")) {
        collect.set_wait_seconds(values.number("wait"));
    }
    return request;
}

Result<pb::Request> allocate_request(const Values& values) {
    pb::Request request;
    auto& allocate = *request.mutable_allocate_ipam();
    allocate.set_handle(values.text("handle"));
    allocate.set_count4(values.number("ipv4"));
    allocate.set_count6(values.number("ipv6"));
    allocate.set_address(values.text("address"));
    if (allocate.count4() + allocate.count6() == 0 && allocate.address().empty()) {
        return fail("say what is wanted: --ipv4, --ipv6 or --address");
    }
    if (allocate.count4() + allocate.count6() > 0 && !allocate.address().empty()) {
        return fail("--address excludes --ipv4 and --ipv6");
    }
    for (const std::string& pool : values.list("pool")) {
        allocate.add_pools(pool);
    }
    for (const std::string& attribute : values.list("attribute")) {
        const std::size_t sign = attribute.find('=');
        (*allocate.mutable_attributes())[attribute.substr(0, sign)] = attribute.substr(sign + 1);
    }
    return request;
}

Result<pb::Request> release_request(const Values& values) {
    pb::Request request;
    auto& release = *request.mutable_release_ipam();
    release.set_handle(values.text("handle"));
    for (const std::string& address : values.list("address")) {
        release.add_addresses(address);
    }
    if (release.handle().empty() && release.addresses().empty()) {
        return fail("say what to release: --handle, --address or both");
    }
    return request;
}

/// Something is not as it should be, and still so.
Exit findings_exit(const pb::Response& frame) {
    const bool all_mended = std::ranges::all_of(
        frame.ipam_findings().rows(),
        [](const auto& finding) { return finding.mended() == pb::IpamFinding::MENDED_DONE; });
    return all_mended ? Exit::Ok : Exit::Refused;
}

}  // namespace

std::vector<Command> ipam_rows() {
    const auto age = option(
        "grace", "--grace", kGrace, "an allocation so young has not leaked yet (default 900)");
    return {
        {.words = "ipam show",
         .help = "Blocks of addresses in etcd: whose they are, and how full",
         .arguments = {option("host", "--host", kName, "only those of this host")},
         .request = show_request,
         .columns = kBlockColumns},
        {.words = "ipam addresses",
         .help = "Addresses that are assigned, and who has them",
         .arguments = {positional("prefix", kPrefixOrAddress, "only those inside")},
         .request = addresses_request,
         .columns = kAddressColumns},
        {.words = "ipam check",
         .help = "What is wrong with blocks and addresses: leaks, doubles, leftovers",
         .arguments = {age},
         .request = check_request,
         .columns = kFindingColumns,
         .exit = findings_exit},
        {.words = "ipam gc",
         .help = "Mend what 'ipam check' finds; without --yes tell only what would be done",
         .arguments =
             {flag("yes", "--yes", "do it: released addresses are used again"),
              age,
              option("wait", "--wait", kWait, "between two looks (default 3)")},
         .request = collect_request,
         .columns = kMendedColumns,
         .exit = findings_exit,
         .lasts = true},
        {.words = "ipam allocate",
         .help = "Addresses for a workload of this host",
         .arguments =
             {required(option("handle", "--handle", kName, "by which they are released")),
              option("ipv4", "--ipv4", kCount, "how many of IPv4"),
              option("ipv6", "--ipv6", kCount, "how many of IPv6"),
              option("address", "--address", kAddress, "this one instead"),
              several(option("pool", "--pool", kName, "only from this IPPool")),
              several(option("attribute", "--attribute", kLabel, "kept with it, such as pod=web"))},
         .request = allocate_request,
         .example = "vrouterctl ipam allocate --handle net.1234 --ipv4 1 --ipv6 1",
         .columns = kAssignedColumns},
        {.words = "ipam release",
         .help = "Give addresses back",
         .arguments =
             {option("handle", "--handle", kName, "all of it, or whose --address must be"),
              several(option("address", "--address", kAddress, "only this one"))},
         .request = release_request,
         .example = "vrouterctl ipam release --handle net.1234",
         .columns = kReleasedColumns},
    };
}

}  // namespace vr::ctl
