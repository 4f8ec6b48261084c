// The stream without sockets, for tests: documents, a cluster that is fed them, hosts on the far side of
// real frames, and what their machines were told.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <policyd.pb.h>

#include "policy/catalog.h"
#include "policy/graph.h"
#include "policy/policyd/cluster.h"
#include "policy/policyd/feed.h"
#include "policy/policyd/receiver.h"
#include "policy/policyd/wire.h"
#include "test/policy/cluster.h"

namespace vr::policyd {

inline std::string document(
    std::string_view kind, std::string_view metadata, std::string_view spec) {
    return fmt::format(
        "apiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec: {{{}}}\n",
        kind,
        metadata,
        spec);
}

/// A directory of one document a file, as the source of a cluster.
class Documents {
  public:
    /// The events of writing `text` to `file`, or of removing it when there is none.
    policy::Batch set(const std::string& file, const std::optional<std::string>& text) {
        return {++revision_, text ? catalog_.set_file(file, *text) : catalog_.remove_file(file)};
    }

  private:
    policy::Catalog catalog_;
    std::uint64_t revision_ = 0;
};

inline std::string bytes_of(const Parcel& parcel) {
    const Envelope envelope = batch_frame(parcel.chunks, parcel.sequence, parcel.more);
    std::string bytes = envelope.head;
    for (const auto& chunk : parcel.chunks) {
        bytes += *chunk;
    }
    return bytes + envelope.tail;
}

/// The one message that `bytes` frame.
inline pb::FromServer read_frame(const std::string& bytes) {
    FrameDecoder decoder;
    decoder.feed(Bytes{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    const auto content = decoder.next();
    EXPECT_TRUE(content && *content);
    auto message = parse_from_server(**content);
    EXPECT_TRUE(message) << (message ? "" : message.error().text);
    return *std::move(message);
}

/// A vrouterd as far as policy goes.
class StreamedHost {
  public:
    explicit StreamedHost(const std::string& node)
        : name(node), receiver(node), graph(node, sink, policy::MembersFrom::Stream) {}

    void connect(Feed& feed, const std::string& epoch) {
        pb::FromServer message;
        *message.mutable_welcome() = greet(feed, receiver.hello(), epoch);
        deliver(read_frame(frame(message)));
    }

    void deliver(const pb::FromServer& message) {
        const auto taken = receiver.on(message);
        ASSERT_TRUE(taken) << taken.error().text;
        apply();
    }

    void apply() {
        while (receiver.is_applying()) {
            if (const auto batch = receiver.go_on(slice())) {
                take(*batch);
            }
        }
    }

    void take(const policy::Batch& batch) {
        graph.on(batch);
        for (const auto& [host, owned] : batch.blocks) {
            EXPECT_EQ(host, name);
            EXPECT_NE(blocks, owned) << "news that is none";
            blocks = owned;
        }
        ++batches;
        EXPECT_FALSE(graph.lacks_sets());
    }

    /// Takes everything that is news, in parcels of about `most` bytes.
    void drain(Feed& feed, std::size_t most = Feed::kParcelBytes) {
        while (feed.has_news()) {
            deliver(read_frame(bytes_of(feed.take(most))));
        }
        feed.acknowledge(receiver.applied());
    }

    std::string name;
    policy::RememberingSink sink;
    Receiver receiver;
    policy::Graph graph;
    std::set<IpPrefix> blocks;
    int batches = 0;
    /// Of a batch that is applied.
    policy::Slice (*slice)() = [] { return policy::Slice(); };
};

/// What a machine was told, with numbers of groups that depend on their members alone.
class Comparable {
  public:
    explicit Comparable(const policy::RememberingSink& sink) : sink_(&sink) {}

    friend bool operator==(const Comparable& a, const Comparable& b) {
        if (a.sink_->workloads.size() != b.sink_->workloads.size() ||
            a.sink_->hosts.size() != b.sink_->hosts.size() || a.sink_->rules != b.sink_->rules) {
            return false;
        }
        std::map<std::set<IpPrefix>, GroupId> numbers;
        for (const auto& [name, one] : a.sink_->workloads) {
            const auto other = b.sink_->workloads.find(name);
            if (other == b.sink_->workloads.end() || !same(one, other->second)) {
                return false;
            }
            for (const auto program :
                 {&Workload::ingress,
                  &Workload::egress,
                  &Workload::staged_ingress,
                  &Workload::staged_egress}) {
                if (!same(a, one.*program, b, other->second.*program, numbers)) {
                    return false;
                }
            }
        }
        for (const auto& [name, one] : a.sink_->hosts) {
            const auto other = b.sink_->hosts.find(name);
            if (other == b.sink_->hosts.end() ||
                one.interface_name != other->second.interface_name ||
                one.addresses != other->second.addresses) {
                return false;
            }
            for (std::size_t hook = 0; hook < one.programs.size(); ++hook) {
                if (!same(a, one.programs[hook], b, other->second.programs[hook], numbers) ||
                    !same(a, one.staged[hook], b, other->second.staged[hook], numbers)) {
                    return false;
                }
            }
        }
        return true;
    }

  private:
    static bool same(const Workload& a, const Workload& b) {
        return a.interface_name == b.interface_name && a.active == b.active && a.mac == b.mac &&
               a.addresses4 == b.addresses4 && a.addresses6 == b.addresses6 &&
               a.floating == b.floating && a.attachment == b.attachment &&
               a.migration == b.migration;
    }

    using ProgramPtr = std::shared_ptr<const acl::Program>;

    static bool same(
        const Comparable& a,
        const ProgramPtr& left,
        const Comparable& b,
        const ProgramPtr& right,
        std::map<std::set<IpPrefix>, GroupId>& numbers) {
        return (left == nullptr) == (right == nullptr) &&
               (left == nullptr || a.renumbered(*left, numbers) == b.renumbered(*right, numbers));
    }

    acl::Program renumbered(
        acl::Program program, std::map<std::set<IpPrefix>, GroupId>& numbers) const {
        const auto renumber = [&](std::optional<GroupId>& group) {
            if (!group) {
                return;
            }
            const auto known = sink_->members.find(*group);
            const auto members =
                known == sink_->members.end() ? std::set<IpPrefix>{} : known->second;
            const GroupId next{static_cast<std::uint32_t>(numbers.size() + 1)};
            group = numbers.try_emplace(members, next).first->second;
        };
        for (auto& rule : program.rules) {
            for (auto* side : {&rule.match.source, &rule.match.destination}) {
                renumber(side->group);
                renumber(side->not_group);
            }
        }
        return program;
    }

    const policy::RememberingSink* sink_;
};

}  // namespace vr::policyd
