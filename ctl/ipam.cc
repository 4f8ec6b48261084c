// ipam show, addresses, check, gc, allocate, release: blocks of addresses in the datastore.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "ctl/handlers.h"
#include "policy/ipam/allocate.h"
#include "policy/ipam/collect.h"
#include "policy/ipam/record.h"
#include "policy/ipam/release.h"
#include "policy/ipam/survey.h"

namespace vr::ctl {

namespace {

namespace ipam = policy::ipam;

using std::chrono::system_clock;

Failure refused(const Error& error) {
    return {.code = pb::Error::CODE_REFUSED, .text = error.text};
}

/// What `work` makes of the datastore, on the thread of IPAM, is the answer.
Answer answered_by(
    const ipam::Run& run,
    std::function<Now(ipam::Records& records, const std::function<bool()>& pause)> work) {
    return Later{[run, work = std::move(work)](auto reply) mutable {
        run([work = std::move(work), reply = std::move(reply)](
                ipam::Records& records, const std::function<bool()>& pause) mutable -> ipam::Then {
            return [reply = std::move(reply), answer = work(records, pause)]() mutable {
                reply(std::move(answer));
            };
        });
    }};
}

// --- looking ----------------------------------------------------------------------------------

pb::IpamBlock::Claim claim_of(const std::optional<ipam::AffinityState>& state) {
    return !state ? pb::IpamBlock::CLAIM_NONE
                  : static_cast<pb::IpamBlock::Claim>(
                        pb::IpamBlock::CLAIM_CONFIRMED + static_cast<int>(*state));
}

pb::IpamBlock block_row(const ipam::Survey& survey, const ipam::Block& block) {
    pb::IpamBlock row;
    row.set_cidr(to_string(block.cidr()));
    if (const ipam::Pool* pool = survey.pool_of(block.cidr())) {
        row.set_pool(pool->name);
    }
    row.set_affinity(block.affinity());
    row.set_claim(claim_of(survey.claim(block.host(), block.cidr())));
    row.set_size(static_cast<std::uint32_t>(block.size()));
    row.set_used(static_cast<std::uint32_t>(block.used()));
    const auto allocations = block.allocations();
    const auto borrowed = std::ranges::count_if(allocations, [&](const ipam::Allocation& each) {
        const auto node = each.attributes.find(std::string(ipam::kNodeAttribute));
        return !block.host().empty() && node != each.attributes.end() &&
               node->second != block.host();
    });
    row.set_borrowed(static_cast<std::uint32_t>(borrowed));
    return row;
}

void fill_address(const ipam::Allocation& allocation, pb::IpamAddress& row) {
    row.set_address(to_string(allocation.address));
    row.set_handle(allocation.handle);
    row.set_sequence(allocation.sequence);
    for (const auto& [key, value] : allocation.attributes) {
        (*row.mutable_attributes())[key] = value;
    }
    if (const auto node = allocation.attributes.find(std::string(ipam::kNodeAttribute));
        node != allocation.attributes.end()) {
        row.set_node(node->second);
    }
}

Now show(ipam::Records& records, const std::string& host) {
    const auto survey = ipam::survey(records);
    if (!survey) {
        return refused(survey.error());
    }
    std::vector<pb::IpamBlock> rows;
    for (const auto& [cidr, stored] : survey->blocks()) {
        if (host.empty() || stored.block.host() == host) {
            rows.push_back(block_row(*survey, stored.block));
        }
    }
    return listing<&pb::Response::mutable_ipam_blocks>(
        std::move(rows), [](const pb::IpamBlock& made, pb::IpamBlock& row) { row = made; });
}

Now show_addresses(ipam::Records& records, const std::optional<IpPrefix>& inside) {
    const auto survey = ipam::survey(records);
    if (!survey) {
        return refused(survey.error());
    }
    std::vector<pb::IpamAddress> rows;
    for (const auto& [cidr, stored] : survey->blocks()) {
        for (const ipam::Allocation& allocation : stored.block.allocations()) {
            if (inside && !contains(*inside, allocation.address)) {
                continue;
            }
            pb::IpamAddress row;
            fill_address(allocation, row);
            row.set_block(to_string(cidr));
            for (std::string& user : survey->users_of(allocation.address)) {
                row.add_users(std::move(user));
            }
            rows.push_back(std::move(row));
        }
    }
    return listing<&pb::Response::mutable_ipam_addresses>(
        std::move(rows), [](const pb::IpamAddress& made, pb::IpamAddress& row) { row = made; });
}

// --- checking and mending ---------------------------------------------------------------------

pb::IpamFinding finding_row(const ipam::Finding& finding) {
    pb::IpamFinding row;
    row.set_trouble(static_cast<pb::IpamFinding::Trouble>(static_cast<int>(finding.trouble) + 1));
    row.set_subject(finding.subject);
    row.set_detail(finding.detail);
    return row;
}

Now findings(std::vector<pb::IpamFinding> rows) {
    return listing<&pb::Response::mutable_ipam_findings>(
        std::move(rows), [](const pb::IpamFinding& made, pb::IpamFinding& row) { row = made; });
}

/// How old an allocation must be to have leaked, by a request to check or to mend.
std::chrono::seconds grace_of(const auto& request) {
    return request.has_grace_seconds() ? std::chrono::seconds{request.grace_seconds()}
                                       : ipam::kGrace;
}

Now check(ipam::Records& records, std::chrono::seconds grace) {
    const auto survey = ipam::survey(records);
    if (!survey) {
        return refused(survey.error());
    }
    std::vector<pb::IpamFinding> rows;
    for (const ipam::Finding& finding : survey->findings(system_clock::now(), grace)) {
        rows.push_back(finding_row(finding));
    }
    return findings(std::move(rows));
}

using Reply = std::move_only_function<void(Now answer)>;

/// Seconds between two looks, at most.
constexpr std::uint32_t kMaxWait = 3600;

Now collected(ipam::Collector& collector) {
    std::vector<pb::IpamFinding> rows;
    for (const auto& [finding, mended] : collector.take()) {
        rows.push_back(finding_row(finding));
        rows.back().set_mended(static_cast<pb::IpamFinding::Mended>(static_cast<int>(mended) + 1));
    }
    return findings(std::move(rows));
}

/// Step by step: other work has its turn in between.
void collect(const ipam::Run& run, std::shared_ptr<ipam::Collector> collector, Reply reply) {
    run([run, collector = std::move(collector), reply = std::move(reply)](
            ipam::Records& records, const std::function<bool()>& pause) mutable -> ipam::Then {
        auto more = collector->step(records, pause);
        return [run = std::move(run),
                collector = std::move(collector),
                more = std::move(more),
                reply = std::move(reply)]() mutable {
            if (!more) {
                reply(refused(more.error()));
            } else if (*more) {
                collect(run, std::move(collector), std::move(reply));
            } else {
                reply(collected(*collector));
            }
        };
    });
}

Answer collect(const ipam::Run& run, const pb::CollectIpam& request) {
    ipam::Collection collection{.act = request.act(), .grace = grace_of(request)};
    if (request.has_wait_seconds()) {
        collection.pauses = std::clamp(request.wait_seconds(), 1U, kMaxWait);
    }
    auto collector = std::make_shared<ipam::Collector>(collection, system_clock::now());
    return Later{[run, collector = std::move(collector)](Reply reply) {
        collect(run, collector, std::move(reply));
    }};
}

// --- addresses for workloads ------------------------------------------------------------------

Answer allocate(const ipam::Run& run, const std::string& host, const pb::AllocateIpam& asked) {
    ipam::Request request{.host = host, .handle = asked.handle()};
    request.count4 = asked.count4();
    request.count6 = asked.count6();
    request.pools.assign(asked.pools().begin(), asked.pools().end());
    request.attributes.insert(asked.attributes().begin(), asked.attributes().end());
    if (!asked.address().empty()) {
        request.address = parse_ip(asked.address());
        if (!request.address) {
            return Failure{.text = "'" + asked.address() + "' is no address"};
        }
    }
    return answered_by(run, [request](ipam::Records& records, const auto& /*pause*/) -> Now {
        const auto assigned = ipam::allocate(records, request, system_clock::now());
        if (!assigned) {
            return refused(assigned.error());
        }
        pb::Response response;
        auto& list = *response.mutable_ipam_addresses();
        for (const ipam::Assigned& each : *assigned) {
            auto& row = *list.add_rows();
            row.set_address(to_string(each.address));
            row.set_block(to_string(each.block));
            row.set_handle(request.handle);
            row.set_node(request.host);
            row.set_origin(static_cast<pb::IpamAddress::Origin>(static_cast<int>(each.origin) + 1));
        }
        return response;
    });
}

Answer release(const ipam::Run& run, const pb::ReleaseIpam& asked) {
    ipam::Release request{.handle = asked.handle()};
    for (const std::string& text : asked.addresses()) {
        const auto address = parse_ip(text);
        if (!address) {
            return Failure{.text = "'" + text + "' is no address"};
        }
        request.addresses.push_back(*address);
    }
    if (asked.sequence() != 0) {
        request.sequence = asked.sequence();
    }
    return answered_by(run, [request](ipam::Records& records, const auto& /*pause*/) -> Now {
        const auto released = ipam::release(records, request);
        if (!released) {
            return refused(released.error());
        }
        pb::Response response;
        auto& list = *response.mutable_ipam_addresses();
        for (const IpAddr& address : *released) {
            list.add_rows()->set_address(to_string(address));
        }
        return response;
    });
}

Answer answer(const ipam::Run& run, const std::string& host, const pb::Request& request) {
    switch (request.command_case()) {
        case pb::Request::kShowIpam:
            return answered_by(
                run, [only = request.show_ipam().host()](auto& records, const auto& /*pause*/) {
                    return show(records, only);
                });
        case pb::Request::kShowIpamAddresses: {
            const std::string& text = request.show_ipam_addresses().prefix();
            const auto inside = parse_prefix(text);
            if (!inside && !text.empty()) {
                return Failure{.text = "'" + text + "' is no prefix"};
            }
            return answered_by(run, [inside](auto& records, const auto& /*pause*/) {
                return show_addresses(records, inside);
            });
        }
        case pb::Request::kCheckIpam:
            return answered_by(
                run,
                [grace = grace_of(request.check_ipam())](auto& records, const auto& /*pause*/) {
                    return check(records, grace);
                });
        case pb::Request::kCollectIpam:
            return collect(run, request.collect_ipam());
        case pb::Request::kAllocateIpam:
            return allocate(run, host, request.allocate_ipam());
        default:
            return release(run, request.release_ipam());
    }
}

}  // namespace

void serve_ipam(Dispatch& dispatch, std::string host, ipam::Run run) {
    for (const auto command :
         {pb::Request::kShowIpam,
          pb::Request::kShowIpamAddresses,
          pb::Request::kCheckIpam,
          pb::Request::kCollectIpam,
          pb::Request::kAllocateIpam,
          pb::Request::kReleaseIpam}) {
        dispatch.on(command, [run, host](const pb::Request& request) -> Answer {
            if (!run) {
                return Failure{
                    .code = pb::Error::CODE_REFUSED,
                    .text =
                        "this router has no blocks of addresses: they are kept in etcd, and "
                        "its config names another datastore, or none"};
            }
            return answer(run, host, request);
        });
    }
}

}  // namespace vr::ctl
