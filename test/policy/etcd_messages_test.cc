// What etcd 3.4's gateway says, byte for byte, and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "policy/etcd/backoff.h"
#include "policy/etcd/messages.h"

namespace vr::policy::etcd::etcd_messages_test {
namespace {

TEST(EtcdMessages, TheEndOfAPrefixIsTheNextOne) {
    EXPECT_EQ(prefix_end("/calico/"), "/calico0");
    EXPECT_EQ(prefix_end("a\xff\xff"), "b");
    EXPECT_EQ(prefix_end("\xff"), std::string(1, '\0'));
}

TEST(EtcdMessages, EncodesARange) {
    EXPECT_EQ(
        encode(RangeRequest{"foo", "fop", 7, 100}),
        R"({"key":"Zm9v","range_end":"Zm9w","revision":"7","limit":"100"})");
}

TEST(EtcdMessages, DecodesARange) {
    const auto reply = decode_range(
        R"({"header":{"cluster_id":"14841639068965178418","member_id":"1","revision":"5",)"
        R"("raft_term":"2"},"kvs":[{"key":"Zm9v","create_revision":"3","mod_revision":"4",)"
        R"("version":"2","value":"YmFy"}],"more":true,"count":"9"})");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header, (Header{14841639068965178418U, 5}));
    EXPECT_EQ(reply->items, (std::vector<KeyValue>{{"foo", "bar", 4, 3}}));
    EXPECT_TRUE(reply->more);
}

TEST(EtcdMessages, EncodesCompareAndSwap) {
    EXPECT_EQ(
        encode_transaction({{"a", "1", 0}, {"b", std::nullopt, 7}}),
        R"({"compare":[{"key":"YQ==","target":"VERSION","result":"EQUAL","version":"0"},)"
        R"({"key":"Yg==","target":"MOD","result":"EQUAL","mod_revision":"7"}],)"
        R"("success":[{"request_put":{"key":"YQ==","value":"MQ=="}},)"
        R"({"request_delete_range":{"key":"Yg=="}}]})");
}

TEST(EtcdMessages, ATransactionThatFailedDoesNotSaySo) {
    const auto reply = decode_transaction(R"({"header":{"cluster_id":"1","revision":"5"}})");
    ASSERT_TRUE(reply);
    EXPECT_FALSE(reply->succeeded);
}

TEST(EtcdMessages, DecodesEventsOfAWatch) {
    const auto reply = decode_watch(
        R"({"result":{"header":{"cluster_id":"1","revision":"8"},"events":[)"
        R"({"kv":{"key":"YQ==","create_revision":"7","mod_revision":"7","value":"MQ=="}},)"
        R"({"type":"DELETE","kv":{"key":"Yg==","mod_revision":"8"}}]}})");
    ASSERT_TRUE(reply);
    EXPECT_EQ(
        reply->events,
        (std::vector<WatchEvent>{{false, {"a", "1", 7, 7}}, {true, {"b", "", 8, 0}}}));
}

TEST(EtcdMessages, DecodesACancelledWatch) {
    const auto reply =
        decode_watch(R"({"result":{"header":{"cluster_id":"1","revision":"8"},"canceled":true,)"
                     R"("compact_revision":"6"}})");
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->canceled);
    EXPECT_EQ(reply->compact_revision, 6);
}

TEST(EtcdMessages, AnErrorEndsAWatch) {
    const auto reply =
        decode_watch(R"({"error":{"grpc_code":14,"http_code":503,"message":"no leader"}})");
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->canceled);
    EXPECT_EQ(reply->cancel_reason, "no leader");
}

TEST(EtcdMessages, ATokenMayNotBreakTheHeaderLine) {
    EXPECT_TRUE(decode_authenticate(R"({"token":"abc.12"})"));
    EXPECT_FALSE(decode_authenticate(R"({"token":"abc\r\nX: y"})"));
    EXPECT_FALSE(decode_authenticate(R"({})"));
}

TEST(EtcdMessages, ALeaseThatIsGoneHasNoTimeLeft) {
    EXPECT_EQ(decode_keep_alive(R"({"result":{"ID":"7","TTL":"90"}})").value_or(-1), 90);
    EXPECT_EQ(decode_keep_alive(R"({"result":{"ID":"7"}})").value_or(-1), 0);
}

TEST(EtcdMessages, ARefusalHasACode) {
    const auto refusal =
        decode_refusal(400, R"({"error":"compacted","message":"compacted","code":11})");
    EXPECT_EQ(refusal.code, Refusal::kOutOfRange);
    EXPECT_EQ(decode_refusal(502, "<html>").text, "HTTP status 502");
}

class Malformed : public testing::TestWithParam<const char*> {};

TEST_P(Malformed, IsRefused) {
    EXPECT_FALSE(decode_range(GetParam())) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Malformed,
    testing::Values(
        "",
        "[]",
        "{}",
        R"({"header":7})",
        R"({"header":{"revision":"x"}})",
        R"({"header":{"revision":"-1"}})",
        R"({"header":{"revision":"99999999999999999999"}})",
        R"({"header":{},"kvs":{}})",
        R"({"header":{},"kvs":[7]})",
        R"({"header":{},"kvs":[{"key":"Zm9"}]})",
        R"({"header":{},"kvs":[{"key":"Zm 9v"}]})",
        R"({"header":{},"kvs":[{"key":"Z?=="}]})",
        R"({"header":{},"kvs":[{"key":7}]})",
        R"({"header":{},"more":"yes"})"));

TEST(EtcdBackoff, TriesAllEndpointsBeforeItWaits) {
    Backoff backoff(2);
    EXPECT_LE(backoff.failed(0.99), Backoff::kNext);
    EXPECT_FALSE(backoff.tried_all());
    EXPECT_GE(backoff.failed(0), Backoff::kRound);
    EXPECT_TRUE(backoff.tried_all());
}

TEST(EtcdBackoff, NeverWaitsLongerThanItsMost) {
    Backoff backoff(1);
    for (int i = 0; i < 100; ++i) {
        EXPECT_LE(backoff.failed(0.99), Backoff::kMost);
    }
    EXPECT_GE(backoff.failed(0), Backoff::kMost / 2);
    backoff.succeeded();
    EXPECT_LE(backoff.failed(0.99), 2 * Backoff::kRound);
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_messages_test
