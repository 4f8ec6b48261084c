// A batch that a host applies in slices: the end is that of one go, whatever happens between two of them.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "policy/policyd/receiver.h"
#include "test/policyd/stream.h"

namespace vr::policyd::slices_test {
namespace {

using How = policy::SetUpdate::How;

/// Is over as soon as it has begun.
policy::Slice one_step() {
    return policy::Slice{std::chrono::microseconds{0}};
}

policy::Key key(std::string_view name) {
    return {policy::Kind::NetworkPolicy, "n", std::string(name)};
}

Chunk written(std::string_view name, std::string_view spec) {
    return object_update(
        key(name), document("NetworkPolicy", fmt::format("name: {}, namespace: n", name), spec));
}

policy::PortMember member(unsigned i) {
    return {L4Port{}, parse_prefix(fmt::format("10.0.{}.{}/32", i >> 8U, i & 0xffU)).value()};
}

Chunk set(
    std::string_view name, How how, const std::vector<unsigned>& added, unsigned removed = 0) {
    policy::SetUpdate update{{std::string(name), "", 0}, how, {}, {}};
    for (const unsigned i : added) {
        update.added.push_back(member(i));
    }
    if (removed != 0) {
        update.removed.push_back(member(removed));
    }
    return set_update(update);
}

Chunk own(std::string_view block) {
    return own_blocks({parse_prefix(block).value()});
}

/// A host that is told frames.
struct Host {
    explicit Host(policy::Slice (*length)()) : slice(length) { connect(); }

    void connect() {
        (void)receiver.hello();
        pb::FromServer message;
        message.mutable_welcome()->set_protocol(kProtocol);
        message.mutable_welcome()->set_epoch("e");
        message.mutable_welcome()->set_sequence(received = 0);
        ASSERT_TRUE(receiver.on(message));
    }

    void deliver(const std::vector<Chunk>& chunks, bool more = false) {
        ASSERT_TRUE(receiver.on(read_frame(bytes_of({++received, chunks, more}))));
    }

    /// Calls `between` after each slice but the last.
    policy::Batch finish(const std::function<void()>& between = [] {}) {
        while (receiver.is_applying()) {
            if (auto batch = receiver.go_on(slice())) {
                return *std::move(batch);
            }
            ++slices;
            between();
        }
        ADD_FAILURE() << "nothing to apply";
        return {};
    }

    Receiver receiver{"h"};
    policy::Slice (*slice)();
    std::uint64_t received = 0;
    int slices = 0;
};

const std::vector<Chunk> kFirst{
    written("stays", "selector: all()"),
    written("changes", "selector: all()"),
    written("goes", "selector: all()"),
    set("a", How::Replace, {1, 2, 3}),
    set("a", How::Change, {4, 5}),
    set("b", How::Replace, {1}),
    set("gone", How::Replace, {1, 2, 3}),
    own("10.0.0.0/26"),
    in_sync()};

/// Without `goes`, `gone` and blocks.
const std::vector<Chunk> kSecond{
    written("stays", "selector: all()"),
    written("changes", "selector: 'of the future('"),
    written("comes", "selector: all()"),
    set("a", How::Replace, {3, 4, 5}),
    set("a", How::Change, {6}),
    set("a", How::Change, {7}, 3),
    set("b", How::Replace, {1}),
    set("comes", How::Replace, {}),
    in_sync()};

const std::vector<Chunk> kDelta{
    object_remove(key("comes")),
    set("a", How::Change, {8}, 4),
    set("b", How::Replace, {9}),
    set("comes", How::Forget, {}),
    own("10.0.0.64/26")};

std::vector<std::string> events(const policy::Batch& batch) {
    std::vector<std::string> all;
    for (const auto& event : batch.events) {
        if (const auto* upsert = std::get_if<policy::Upsert>(&event)) {
            all.push_back(to_string(upsert->resource->key));
        } else if (const auto* gone = std::get_if<policy::Delete>(&event)) {
            all.push_back("without " + to_string(gone->key));
        } else {
            all.emplace_back("in sync");
        }
    }
    return all;
}

void expect_same(const policy::Batch& a, const policy::Batch& b) {
    EXPECT_EQ(a.revision, b.revision);
    EXPECT_EQ(events(a), events(b));
    EXPECT_EQ(a.blocks, b.blocks);
    EXPECT_TRUE(a.sets == b.sets);
}

TEST(Slices, EndWhereOneGoEnds) {
    Host whole([] { return policy::Slice(); });
    Host sliced(one_step);
    const auto both = [&](const std::vector<Chunk>& chunks) {
        whole.deliver(chunks);
        sliced.deliver(chunks);
        expect_same(whole.finish(), sliced.finish());
        EXPECT_EQ(whole.receiver.complaints(), sliced.receiver.complaints());
        EXPECT_EQ(whole.receiver.applied(), sliced.receiver.applied());
        EXPECT_EQ(whole.receiver.last_good()(), sliced.receiver.last_good()());
    };
    both(kFirst);
    whole.connect();
    sliced.connect();
    both(kSecond);
    both(kDelta);
    EXPECT_EQ(whole.slices, 0);
    EXPECT_GT(sliced.slices, static_cast<int>(kFirst.size() + kSecond.size() + kDelta.size()) - 6)
        << "one for each update";
}

TEST(Slices, PartsOfASetAreToldAsOne) {
    Host host(one_step);
    host.deliver({set("a", How::Replace, {1, 2})}, true);
    host.deliver({set("a", How::Change, {3})}, true);
    host.deliver({set("a", How::Change, {4}, 1), in_sync()});
    const auto batch = host.finish();
    ASSERT_EQ(batch.sets.size(), 2U);
    EXPECT_EQ(batch.sets[0].how, How::Replace);
    EXPECT_EQ(batch.sets[0].added.size(), 3U);
    EXPECT_EQ(batch.sets[1].how, How::Change);
}

TEST(Slices, NothingCountsAsAppliedBeforeTheLast) {
    Host host(one_step);
    host.deliver(kFirst);
    (void)host.finish([&] {
        EXPECT_TRUE(host.receiver.is_applying());
        EXPECT_FALSE(host.receiver.is_in_sync());
        EXPECT_EQ(host.receiver.applied(), 0U);
    });
    EXPECT_FALSE(host.receiver.is_applying());
    EXPECT_TRUE(host.receiver.is_in_sync());
    EXPECT_EQ(host.receiver.applied(), 1U);
}

TEST(Slices, WhatIsListedAndCountedBetweenThemFitsTogether) {
    Host host(one_step);
    host.deliver(kFirst);
    (void)host.finish();
    host.connect();
    host.deliver(kSecond);
    const auto check = [&] {
        const auto listed = host.receiver.list({policy::Kind{}, {}, {}}, SIZE_MAX);
        EXPECT_EQ(host.receiver.counts().at(policy::Kind::NetworkPolicy).objects, listed.size());
        EXPECT_GE(listed.size(), 3U) << "what a snapshot lacks goes last";
    };
    (void)host.finish(check);
    check();
}

TEST(Slices, NoStateIsSavedBetweenThem) {
    Host host(one_step);
    host.deliver(kFirst);
    (void)host.finish();
    const std::string before = host.receiver.last_good()();
    host.deliver(kDelta);
    (void)host.finish([&] { EXPECT_FALSE(host.receiver.last_good()); });
    EXPECT_NE(host.receiver.last_good()(), before);
}

class HeldState : public testing::TestWithParam<int> {};

/// Also when it is written between two slices: what is freed, and what is changed in place, is not read then.
TEST_P(HeldState, StaysAsItWas) {
    Host other([] { return policy::Slice(); });
    Host host(one_step);
    for (Host* one : {&other, &host}) {
        one->deliver(kFirst);
        (void)one->finish();
    }
    const std::string file = host.receiver.last_good()();
    const auto held = host.receiver.last_good();
    for (Host* one : {&other, &host}) {
        one->connect();
        one->deliver(kSecond);
    }
    std::string written;
    (void)host.finish([&] {
        if (host.slices == GetParam()) {
            written = held();
        }
    });
    EXPECT_EQ(written.empty() ? held() : written, file);
    (void)other.finish();
    EXPECT_EQ(host.receiver.last_good()(), other.receiver.last_good()());
}

INSTANTIATE_TEST_SUITE_P(WrittenAfterSlice, HeldState, testing::Range(0, 24));

TEST(Slices, AFileIsTakenInThemToo) {
    Host before(one_step);
    before.deliver(kFirst);
    (void)before.finish();
    const std::string file = before.receiver.last_good()();
    Receiver later("h");
    ASSERT_TRUE(later.restore(file));
    int slices = 0;
    for (; !later.go_on(one_step()); ++slices) {
        EXPECT_FALSE(later.is_in_sync());
    }
    EXPECT_GT(slices, 6);
    EXPECT_EQ(later.last_good()(), file);
}

}  // namespace
}  // namespace vr::policyd::slices_test
