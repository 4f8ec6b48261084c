// What the commands of IPAM answer, over a datastore in memory.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "ctl/handlers.h"
#include "policy/ipam/survey.h"
#include "test/policy/ipam_lab.h"

namespace vr::ctl::ipam_test {
namespace {

namespace ipam = policy::ipam;

class IpamHandler : public testing::Test, protected ipam::IpamLab {
  protected:
    IpamHandler() {
        node("h1");
        pool("p", "10.0.0.0/26");
        serve_ipam(
            dispatch, "h1", [this](ipam::Work work) { work(records, [] { return true; })(); });
    }

    pb::Response ask(const pb::Request& request) {
        Slices slices;
        dispatch.answer(request, [&](Slices given) { slices = std::move(given); });
        pb::Response frame;
        EXPECT_FALSE(slices(frame));
        return frame;
    }

    pb::IpamAddressList allocate(std::uint32_t count) {
        pb::Request request;
        request.mutable_allocate_ipam()->set_handle("c1");
        request.mutable_allocate_ipam()->set_count4(count);
        (*request.mutable_allocate_ipam()->mutable_attributes())["pod"] = "web";
        return ask(request).ipam_addresses();
    }

    Dispatch dispatch;
};

TEST_F(IpamHandler, AllocatesShowsAndReleases) {
    const auto assigned = allocate(2);
    ASSERT_EQ(assigned.rows_size(), 2);
    EXPECT_EQ(assigned.rows(0).address(), "10.0.0.0");
    EXPECT_EQ(assigned.rows(0).origin(), pb::IpamAddress::ORIGIN_CLAIMED);

    pb::Request show;
    show.mutable_show_ipam()->set_host("h1");
    const auto block = ask(show).ipam_blocks().rows(0);
    EXPECT_EQ(block.cidr(), "10.0.0.0/26");
    EXPECT_EQ(block.pool(), "p");
    EXPECT_EQ(block.affinity(), "host:h1");
    EXPECT_EQ(block.claim(), pb::IpamBlock::CLAIM_CONFIRMED);
    EXPECT_EQ(block.used(), 2U);
    EXPECT_EQ(block.size(), 64U);

    pb::Request addresses;
    addresses.mutable_show_ipam_addresses()->set_prefix("10.0.0.1");
    const auto rows = ask(addresses).ipam_addresses();
    ASSERT_EQ(rows.rows_size(), 1);
    EXPECT_EQ(rows.rows(0).handle(), "c1");
    EXPECT_EQ(rows.rows(0).node(), "h1");
    EXPECT_EQ(rows.rows(0).attributes().at("pod"), "web");

    pb::Request release;
    release.mutable_release_ipam()->set_handle("c1");
    EXPECT_EQ(ask(release).ipam_addresses().rows_size(), 2);
    EXPECT_EQ(ask(release).ipam_addresses().rows_size(), 0);
}

TEST_F(IpamHandler, OtherHostsBlocksAreNotThisOnes) {
    EXPECT_EQ(allocate(1).rows_size(), 1);
    pb::Request show;
    show.mutable_show_ipam()->set_host("h2");
    EXPECT_EQ(ask(show).ipam_blocks().rows_size(), 0);
}

TEST_F(IpamHandler, ChecksAndMends) {
    EXPECT_EQ(allocate(1).rows_size(), 1);
    pb::Request check;
    check.mutable_check_ipam()->set_grace_seconds(0);
    const auto found = ask(check).ipam_findings();
    ASSERT_EQ(found.rows_size(), 1);
    EXPECT_EQ(found.rows(0).trouble(), pb::IpamFinding::TROUBLE_LEAKED_ADDRESS);
    EXPECT_EQ(found.rows(0).mended(), pb::IpamFinding::MENDED_UNSPECIFIED);

    pb::Request collect;
    collect.mutable_collect_ipam()->set_grace_seconds(0);
    EXPECT_EQ(ask(collect).ipam_findings().rows(0).mended(), pb::IpamFinding::MENDED_WOULD);
    collect.mutable_collect_ipam()->set_act(true);
    EXPECT_EQ(ask(collect).ipam_findings().rows(0).mended(), pb::IpamFinding::MENDED_DONE);
    EXPECT_EQ(ask(check).ipam_findings().rows_size(), 0);
}

TEST_F(IpamHandler, WhatIsYoungHasNotLeakedUnlessThatIsSaid) {
    EXPECT_EQ(allocate(1).rows_size(), 1);
    pb::Request check;
    check.mutable_check_ipam();
    EXPECT_EQ(ask(check).ipam_findings().rows_size(), 0);
    pb::Request collect;
    collect.mutable_collect_ipam()->set_act(true);
    EXPECT_EQ(ask(collect).ipam_findings().rows_size(), 0);
}

TEST_F(IpamHandler, EveryNameOfATroubleIsThatOfTheAnswer) {
    for (int i = 0; i <= static_cast<int>(ipam::Trouble::OverlappingPool); ++i) {
        std::string name = pb::IpamFinding::Trouble_Name(i + 1);
        std::string wanted = "TROUBLE_";
        for (const char c : to_string(static_cast<ipam::Trouble>(i))) {
            wanted += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        }
        EXPECT_EQ(name, wanted);
    }
}

TEST_F(IpamHandler, WhatIsWrongIsSaid) {
    pb::Request request;
    request.mutable_allocate_ipam()->set_handle("c1");
    request.mutable_allocate_ipam()->set_count6(1);
    EXPECT_EQ(ask(request).error().code(), pb::Error::CODE_REFUSED);
    request.mutable_allocate_ipam()->set_address("x");
    EXPECT_EQ(ask(request).error().code(), pb::Error::CODE_INVALID);
    pb::Request release;
    release.mutable_release_ipam()->add_addresses("x");
    EXPECT_EQ(ask(release).error().code(), pb::Error::CODE_INVALID);
    pb::Request show;
    show.mutable_show_ipam_addresses()->set_prefix("x");
    EXPECT_EQ(ask(show).error().code(), pb::Error::CODE_INVALID);
}

TEST(IpamHandlerWithoutEtcd, SaysSo) {
    Dispatch dispatch;
    serve_ipam(dispatch, "h1", nullptr);
    pb::Request request;
    request.mutable_show_ipam();
    pb::Response frame;
    dispatch.answer(request, [&](Slices given) { (void)given(frame); });
    EXPECT_EQ(frame.error().code(), pb::Error::CODE_REFUSED);
    EXPECT_NE(frame.error().text().find("etcd"), std::string::npos);
}

}  // namespace
}  // namespace vr::ctl::ipam_test
