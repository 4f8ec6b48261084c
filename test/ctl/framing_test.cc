// SPDX-License-Identifier: Apache-2.0
#include "ctl/framing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <vrouter.pb.h>

namespace vr::ctl::framing_test {
namespace {

Bytes bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

pb::Request show_port(const std::string& name) {
    pb::Request request;
    request.mutable_show_ports()->set_port(name);
    return request;
}

/// Every message that `decoder` has ready, as the port that it asks for.
std::vector<std::string> drain(FrameDecoder& decoder) {
    std::vector<std::string> names;
    while (true) {
        const auto content = decoder.next();
        if (!content || !*content) {
            return names;
        }
        names.push_back(parse_request(**content)->show_ports().port());
    }
}

TEST(Framing, RoundTripsAMessage) {
    FrameDecoder decoder;
    decoder.feed(bytes_of(*frame(show_port("eth0"))));
    EXPECT_EQ(drain(decoder), std::vector<std::string>{"eth0"});
}

TEST(Framing, KeepsMessagesWholeInAnySplit) {
    std::string stream;
    std::vector<std::string> wanted;
    for (std::size_t i = 0; i < 50; ++i) {
        wanted.emplace_back(i * 7, 'x');
        stream += *frame(show_port(wanted.back()));
    }
    std::mt19937 random{1};
    for (int round = 0; round < 200; ++round) {
        FrameDecoder decoder;
        std::vector<std::string> got;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t n = std::min<std::size_t>(random() % 40 + 1, stream.size() - at);
            decoder.feed(bytes_of(stream).subspan(at, n));
            std::ranges::move(drain(decoder), std::back_inserter(got));
            at += n;
        }
        ASSERT_EQ(got, wanted);
    }
}

TEST(Framing, WaitsForTheRestOfAMessage) {
    const std::string whole = *frame(show_port("eth0"));
    for (std::size_t n = 0; n < whole.size(); ++n) {
        FrameDecoder decoder;
        decoder.feed(bytes_of(whole).first(n));
        const auto content = decoder.next();
        ASSERT_TRUE(content);
        EXPECT_FALSE(*content) << n << " bytes";
    }
}

TEST(Framing, RefusesALengthBeyondTheLimit) {
    FrameDecoder decoder;
    decoder.feed(bytes_of("GET / HTTP/1.1\r\n"));
    EXPECT_FALSE(decoder.next());
}

TEST(Framing, RefusesToMakeAFrameBeyondTheLimit) {
    EXPECT_FALSE(frame(show_port(std::string(kMaxFrame + 1, 'x'))));
}

TEST(Framing, AcceptsAnEmptyMessage) {
    FrameDecoder decoder;
    decoder.feed(bytes_of(std::string(4, '\0')));
    const auto content = decoder.next();
    ASSERT_TRUE(content && *content);
    EXPECT_EQ(parse_request(**content)->command_case(), pb::Request::COMMAND_NOT_SET);
}

TEST(Framing, RefusesContentThatIsNoMessage) {
    EXPECT_FALSE(parse_request(bytes_of("\xff\xff\xff")));
    EXPECT_FALSE(parse_response(bytes_of("\xff\xff\xff")));
}

}  // namespace
}  // namespace vr::ctl::framing_test
