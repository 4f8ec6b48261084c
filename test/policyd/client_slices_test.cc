// A host that applies what it is told in turns of its loop, one update in each, and what happens meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "policy/policyd/client.h"
#include "policy/policyd/link.h"
#include "policy/sealed_file.h"
#include "test/policyd/certificates.h"
#include "test/policyd/stream.h"

namespace vr::policyd::client_slices_test {
namespace {

using boost::asio::ip::tcp;
using testing::ElementsAre;

constexpr std::size_t kObjects = 5;

std::vector<Chunk> policies(std::string_view order) {
    std::vector<Chunk> chunks;
    for (std::size_t i = 0; i < kObjects; ++i) {
        const std::string name = fmt::format("p{}", i);
        chunks.push_back(object_update(
            {policy::Kind::GlobalNetworkPolicy, {}, name},
            document("GlobalNetworkPolicy", "name: " + name, fmt::format("order: {}", order))));
    }
    return chunks;
}

/// Says what the test tells it to, to one caller after the other.
struct Scripted {
    Scripted(boost::asio::io_context& io, const Credentials& credentials)
        : acceptor(io), context(tls_context(credentials, Side::Server).value()) {
        listen(0);
    }

    Scripted(const Scripted&) = delete;
    Scripted& operator=(const Scripted&) = delete;
    Scripted(Scripted&&) = delete;
    Scripted& operator=(Scripted&&) = delete;

    ~Scripted() {
        if (link) {
            link->close();
        }
    }

    void listen(std::uint16_t port) {
        acceptor = tcp::acceptor(
            acceptor.get_executor(), {boost::asio::ip::make_address("127.0.0.1"), port});
        accept();
    }

    void accept() {
        acceptor.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            if (error) {
                return;
            }
            link = std::make_shared<Link>(std::move(socket), context, kMostFromHost);
            link->start(
                boost::asio::ssl::stream_base::server,
                {.on_secured = [] {},
                 .on_frame = [this](Bytes content) { on_frame(content); },
                 .on_sent = [] {},
                 .on_end = [](const std::string&) {}});
            accept();
        });
    }

    void on_frame(Bytes content) {
        const auto message = parse_from_host(content);
        ASSERT_TRUE(message);
        if (message->has_hello()) {
            hellos.push_back(message->hello().sequence());
            sequence = message->hello().sequence();
            pb::FromServer welcome;
            welcome.mutable_welcome()->set_protocol(kProtocol);
            welcome.mutable_welcome()->set_epoch("e");
            welcome.mutable_welcome()->set_sequence(sequence);
            welcome.mutable_welcome()->set_resumed(message->hello().epoch() == "e");
            link->send(frame(welcome));
        } else if (message->has_acknowledge()) {
            acknowledged.push_back(message->acknowledge().sequence());
        }
    }

    void tell(std::vector<Chunk> chunks) {
        chunks.push_back(in_sync());
        link->send(bytes_of({++sequence, std::move(chunks), false}));
    }

    tcp::acceptor acceptor;
    std::shared_ptr<boost::asio::ssl::context> context;
    std::shared_ptr<Link> link;
    std::uint64_t sequence = 0;
    std::vector<std::uint64_t> hellos;
    std::vector<std::uint64_t> acknowledged;
};

class ClientSlices : public testing::Test {
  protected:
    ClientSettings settings(std::uint16_t port) {
        return {
            .host = "a",
            .servers = {{"127.0.0.1", port}},
            .credentials = authority.issue("a"),
            .state_file = state_file,
            .when_room =
                [this](std::function<void()> then) {
                    if (room) {
                        then();
                    } else {
                        for_room.push_back(std::move(then));
                    }
                },
            .slice = std::chrono::microseconds{0}};
    }

    policy::Listener listener() {
        return [this](const policy::Batch& batch) {
            told.push_back(batch.revision);
            objects += batch.events.size();
        };
    }

    /// Runs the loop, one handler after the other, until `done`; the deadline is for a test that fails.
    [[nodiscard]] bool until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < end) {
            io.run_one_for(std::chrono::milliseconds(50));
        }
        return done();
    }

    /// Starts, and is told the policies; the first of them are applied, and others not.
    void begin() {
        ASSERT_TRUE(client.start());
        ASSERT_TRUE(until([&] { return !server.hellos.empty(); }));
        server.tell(policies("1"));
        ASSERT_TRUE(until([&] { return count() == 2; }));
        ASSERT_TRUE(told.empty());
    }

    [[nodiscard]] std::size_t count() const {
        return client.list({policy::Kind{}, {}, {}}, 99).size();
    }

    TemporaryDirectory directory;
    boost::asio::io_context io;
    Authority authority{directory.path, "authority"};
    Scripted server{io, authority.issue("policyd")};
    std::string state_file = directory.path / "state";
    bool room = true;
    std::vector<std::function<void()>> for_room;
    std::vector<std::uint64_t> told;
    std::size_t objects = 0;
    Client client{io, settings(server.acceptor.local_endpoint().port()), listener()};
};

TEST_F(ClientSlices, OneBatchAfterTheOtherIsToldAndAcknowledged) {
    begin();
    server.tell(policies("2"));
    server.tell(policies("3"));
    EXPECT_FALSE(client.status().in_force);
    ASSERT_TRUE(until([&] { return server.acknowledged.size() == 3; }));
    EXPECT_THAT(told, ElementsAre(1, 2, 3));
    EXPECT_THAT(server.acknowledged, ElementsAre(1, 2, 3));
    EXPECT_EQ(objects, 3 * kObjects + 1) << "and in sync";
}

TEST_F(ClientSlices, ABatchIsFinishedThoughTheConnectionEnds) {
    begin();
    server.link->close();
    ASSERT_TRUE(until([&] { return server.hellos.size() == 2; }));
    EXPECT_THAT(told, ElementsAre(1)) << "before the next server is asked";
    EXPECT_EQ(objects, kObjects + 1);
    EXPECT_EQ(server.hellos.back(), 1U) << "it goes on from there";
    EXPECT_TRUE(server.acknowledged.empty());
    server.tell(policies("2"));
    ASSERT_TRUE(until([&] { return server.acknowledged.size() == 1; }));
    EXPECT_THAT(server.acknowledged, ElementsAre(2));
}

TEST_F(ClientSlices, StopTellsAndSavesWhatHasBegun) {
    begin();
    client.stop();
    EXPECT_THAT(told, ElementsAre(1));
    Receiver later("a");
    ASSERT_TRUE(later.restore(policy::read_whole(state_file).value().value()));
    ASSERT_TRUE(later.go_on(policy::Slice()));
    EXPECT_EQ(later.catalog().files().size(), kObjects);
    ASSERT_TRUE(client.start());
    ASSERT_TRUE(until([&] { return server.hellos.size() == 2; }));
    EXPECT_THAT(told, ElementsAre(1)) << "once";
}

TEST_F(ClientSlices, MoreIsReadOnceThereIsRoom) {
    begin();
    room = false;
    server.tell(policies("2"));
    ASSERT_TRUE(until([&] { return !for_room.empty(); }));
    while (io.poll_one() > 0) {
    }
    EXPECT_THAT(told, ElementsAre(1));
    room = true;
    std::exchange(for_room, {}).front()();
    EXPECT_TRUE(until([&] { return told.size() == 2; }));
}

TEST_F(ClientSlices, NoServerIsCalledBeforeThereIsRoom) {
    begin();
    room = false;
    server.link->close();
    ASSERT_TRUE(until([&] { return !for_room.empty(); }));
    while (io.poll_one() > 0) {
    }
    EXPECT_EQ(server.hellos.size(), 1U);
    room = true;
    for (const auto& then : std::exchange(for_room, {})) {
        then();
    }
    EXPECT_TRUE(until([&] { return server.hellos.size() == 2; }));
}

/// Each turn takes one object; the server comes back after the first.
TEST_F(ClientSlices, AServerWaitsUntilTheLastGoodStateIsTaken) {
    begin();
    client.stop();
    server.link->close();
    const std::uint16_t port = server.acceptor.local_endpoint().port();
    server.acceptor.close();
    told.clear();
    Client next(io, settings(port), listener());
    ASSERT_TRUE(next.start());
    const auto known = [&] { return next.list({policy::Kind{}, {}, {}}, 99).size(); };
    ASSERT_TRUE(until([&] { return known() == 1; }));
    EXPECT_TRUE(told.empty());
    server.listen(port);
    ASSERT_TRUE(until([&] { return server.hellos.size() == 2; }));
    EXPECT_THAT(told, ElementsAre(1));
    server.tell(policies("2"));
    EXPECT_TRUE(until([&] { return server.acknowledged.size() == 1; }));
    EXPECT_THAT(told, ElementsAre(1, 2));
}

TEST_F(ClientSlices, SilenceWhileTheLinkIsHeldEndsNothing) {
    begin();
    ASSERT_TRUE(until([&] { return server.acknowledged.size() == 1; }));
    server.link->hold();
    for (int i = 0; i < 10 * Keepalive::kMostSilent; ++i) {
        server.link->tick(ping_frame<pb::FromServer>());
    }
    server.tell(policies("2"));
    ASSERT_TRUE(until([&] { return told.size() == 2; }));
    EXPECT_EQ(server.acknowledged.size(), 1U) << "it is not read yet";
    server.link->release();
    EXPECT_TRUE(until([&] { return server.acknowledged.size() == 2; }));
}

}  // namespace
}  // namespace vr::policyd::client_slices_test
