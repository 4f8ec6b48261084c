// Ports with real peers: testpmd over virtio-user as the guest, and hypervisors that misbehave.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test/vhost/echo_worker.h"
#include "test/vhost/guest_process.h"
#include "vhost/port.h"

namespace vr::vhost::guest_test {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

/// Waits for something that happens in another process; false when it does not within kPatience.
bool eventually(const std::function<bool()>& happened) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!happened()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/// A port, its events and its traffic.
struct Side {
    std::array<std::atomic<int>, 3> events{};
    std::shared_ptr<EchoCount> count;
    std::unique_ptr<Port> port;

    [[nodiscard]] int seen(Event event) const { return events[static_cast<std::size_t>(event)]; }
};

class GuestTest : public testing::Test {
  protected:
    /// The EAL starts once in a process: what it made serves all suites until the end.
    static void SetUpTestSuite() {
        if (shared_pool != nullptr) {
            return;
        }
        std::vector<std::string> arguments{
            "vhost_guest_tests",
            "--no-huge",
            "--no-shconf",
            "--no-pci",
            "--no-telemetry",
            "-m",
            "128",
            "--lcores=0@" + allowed_processors(),
            "--log-level=lib.vhost.*:error",
        };
        std::vector<char*> raw;
        raw.reserve(arguments.size());
        for (std::string& argument : arguments) {
            raw.push_back(argument.data());
        }
        ASSERT_GE(rte_eal_init(static_cast<int>(raw.size()), raw.data()), 0);
        shared_pool = rte_pktmbuf_pool_create("packets", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
        ASSERT_NE(shared_pool, nullptr);
    }

    void SetUp() override {
        std::string name = testing::TempDir() + "guest.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory_ = name;
        worker_ = std::make_unique<EchoWorker>(shared_pool);
    }

    void TearDown() override {
        worker_.reset();
        EXPECT_EQ(rte_mempool_in_use_count(shared_pool), 0U) << "packets were lost";
        std::filesystem::remove_all(directory_);
    }

    [[nodiscard]] std::string path(const std::string& name) const {
        return directory_ + "/" + name;
    }

    [[nodiscard]] Settings settings(const std::string& name, VhostMode mode) const {
        return {
            .socket_path = path(name),
            .mode = mode,
            .access = {},
            .queue_pairs = 1,
            .mtu = 1500,
            .mac = {},
            .pool = shared_pool,
        };
    }

    void open(Side& side, const Settings& wanted) {
        auto port = Port::open(wanted, *worker_, [&side](Event event) {
            ++side.events[static_cast<std::size_t>(event)];
        });
        ASSERT_TRUE(port) << port.error().text;
        side.port = std::move(*port);
        side.count = worker_->serve(side.port->io());
    }

    void close(Side& side) {
        worker_->drop(side.port.get());
        side.port.reset();
    }

    [[nodiscard]] GuestSettings guest(
        const std::string& name,
        GuestRole role = GuestRole::Connects,
        unsigned queue_pairs = 1) const {
        return {
            .socket_path = path(name),
            .role = role,
            .queue_pairs = queue_pairs,
            .log_path = path(name + ".log"),
        };
    }

    /// Waits until `more` further frames have come back.
    static bool echoes(const Side& side, std::uint64_t more = 2000) {
        const std::uint64_t start = side.count->returned;
        return eventually([&] { return side.count->returned >= start + more; });
    }

    /// A raw connection to `name`, for peers that do not speak as they should.
    [[nodiscard]] int connect_raw(const std::string& name) const {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            ADD_FAILURE() << "no socket";
            return fd;
        }
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path(name).c_str(), kMaxSocketPath);
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
        return fd;
    }

    /// Blocks until the port's side closes `fd`.
    static bool is_hung_up(int fd) {
        char byte = 0;
        const ssize_t rc = ::read(fd, &byte, 1);
        ::close(fd);
        return rc <= 0;
    }

    static inline rte_mempool* shared_pool = nullptr;
    std::string directory_;
    std::unique_ptr<EchoWorker> worker_;
};

/// Those that need testpmd.
class EchoTest : public GuestTest {
  protected:
    void SetUp() override {
        if (!GuestProcess::is_available()) {
            GTEST_SKIP() << "dpdk-testpmd is not installed";
        }
        GuestTest::SetUp();
    }

    void TearDown() override {
        if (!IsSkipped()) {
            GuestTest::TearDown();
        }
    }
};

TEST_F(GuestTest, APortWithoutGuestMovesNothing) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const PortIo io = side.port->io();
    std::array<rte_mbuf*, 4> packets{};
    EXPECT_EQ(io.rx(io.self, 0, packets.data(), 4), 0);
    EXPECT_EQ(io.tx(io.self, 0, packets.data(), 4), 0);
    EXPECT_FALSE(side.port->status().link_up);
    close(side);
}

TEST_F(GuestTest, AServerPortTakesItsSocketAway) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    EXPECT_TRUE(std::filesystem::is_socket(path("a")));
    close(side);
    EXPECT_FALSE(std::filesystem::exists(path("a")));
}

TEST_F(GuestTest, AClientPortWaitsForItsHypervisor) {
    Side side;
    open(side, settings("a", VhostMode::Client));
    EXPECT_FALSE(side.port->status().link_up);
    close(side);
}

TEST_F(GuestTest, ASocketServesOnePort) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const auto second = Port::open(settings("a", VhostMode::Server), *worker_, {});
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().text.find("another port"), std::string::npos);
    close(side);
}

TEST_F(GuestTest, AnMtuBeyondThePoolIsRefused) {
    Settings wanted = settings("a", VhostMode::Server);
    wanted.mtu = 9000;
    const auto port = Port::open(wanted, *worker_, {});
    ASSERT_FALSE(port);
    EXPECT_NE(port.error().text.find("9014 bytes"), std::string::npos) << port.error().text;
}

TEST_F(GuestTest, AHypervisorThatStopsWithinAMessageIsHungUp) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const int fd = connect_raw("a");
    // A header (request 1, version 1) that promises 8 bytes, which never come.
    const std::array<std::uint32_t, 3> header{1, 1, 8};
    ASSERT_EQ(::write(fd, header.data(), sizeof(header)), static_cast<ssize_t>(sizeof(header)));
    EXPECT_TRUE(is_hung_up(fd));
    close(side);
}

TEST_F(GuestTest, AHypervisorThatSendsGarbageIsHungUp) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const int fd = connect_raw("a");
    const std::string garbage(4096, '\xa5');
    ASSERT_EQ(::write(fd, garbage.data(), garbage.size()), static_cast<ssize_t>(garbage.size()));
    EXPECT_TRUE(is_hung_up(fd));
    EXPECT_TRUE(eventually([&] { return !side.port->device().connected; }));
    close(side);
}

TEST_F(GuestTest, ASilentHypervisorDoesNotHoldUpRemoval) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const int fd = connect_raw("a");
    ASSERT_TRUE(eventually([&] { return side.port->device().connected; }));
    close(side);
    EXPECT_TRUE(is_hung_up(fd));
}

TEST_F(EchoTest, AServerPortMovesPackets) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const GuestProcess process(guest("a"));
    EXPECT_TRUE(echoes(side));
    EXPECT_EQ(side.count->spoiled, 0U);
    EXPECT_EQ(side.seen(Event::Connected), 1);
    EXPECT_TRUE(side.port->status().link_up);
    close(side);
}

TEST_F(EchoTest, AClientPortMovesPackets) {
    Side side;
    open(side, settings("a", VhostMode::Client));
    const GuestProcess process(guest("a", GuestRole::Listens));
    EXPECT_TRUE(echoes(side));
    EXPECT_EQ(side.count->spoiled, 0U);
    close(side);
}

TEST_F(EchoTest, NoOffloadIsNegotiated) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const GuestProcess process(guest("a"));
    ASSERT_TRUE(eventually([&] { return side.port->device().running; }));
    EXPECT_EQ(side.port->device().negotiated.features & withheld_features(), 0U);
    close(side);
}

TEST_F(EchoTest, AKilledGuestIsNoticedAndTheNextOneServed) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    GuestProcess first(guest("a"));
    ASSERT_TRUE(echoes(side));
    first.kill();
    ASSERT_TRUE(eventually(
        [&] { return side.seen(Event::Disconnected) == 1 && !side.port->device().connected; }));
    const GuestProcess second(guest("a"));
    EXPECT_TRUE(echoes(side));
    EXPECT_EQ(side.count->spoiled, 0U);
    close(side);
}

TEST_F(EchoTest, AClientPortReconnectsToARestartedGuest) {
    Side side;
    open(side, settings("a", VhostMode::Client));
    GuestProcess first(guest("a", GuestRole::Listens));
    ASSERT_TRUE(echoes(side));
    first.kill();
    ASSERT_TRUE(eventually([&] { return side.seen(Event::Disconnected) == 1; }));
    std::filesystem::remove(path("a"));
    const GuestProcess second(guest("a", GuestRole::Listens));
    EXPECT_TRUE(echoes(side));
    close(side);
}

TEST_F(EchoTest, AnotherGuestGoesOnWhenOneIsKilled) {
    Side victim;
    Side other;
    open(victim, settings("a", VhostMode::Server));
    open(other, settings("b", VhostMode::Server));
    GuestProcess first(guest("a"));
    const GuestProcess second(guest("b"));
    ASSERT_TRUE(echoes(victim));
    ASSERT_TRUE(echoes(other));
    first.kill();
    ASSERT_TRUE(eventually([&] { return victim.seen(Event::Disconnected) == 1; }));
    EXPECT_TRUE(echoes(other));
    EXPECT_EQ(other.seen(Event::Disconnected), 0);
    EXPECT_EQ(other.count->spoiled, 0U);
    close(victim);
    close(other);
}

TEST_F(EchoTest, APortGoesWhileItsGuestRunsAndOthersGoOn) {
    Side gone;
    Side other;
    open(gone, settings("a", VhostMode::Server));
    open(other, settings("b", VhostMode::Server));
    const GuestProcess first(guest("a"));
    const GuestProcess second(guest("b"));
    ASSERT_TRUE(echoes(gone));
    ASSERT_TRUE(echoes(other));
    close(gone);
    EXPECT_EQ(gone.seen(Event::Disconnected), 0);
    EXPECT_TRUE(echoes(other));
    close(other);
}

TEST_F(EchoTest, ARestartedRouterFindsARunningGuest) {
    // The guest listens, so it outlives the port, as a guest outlives the router.
    const GuestProcess process(guest("a", GuestRole::Listens));
    Side before;
    open(before, settings("a", VhostMode::Client));
    ASSERT_TRUE(echoes(before));
    close(before);
    Side after;
    open(after, settings("a", VhostMode::Client));
    EXPECT_TRUE(echoes(after));
    close(after);
}

TEST_F(EchoTest, ASecondHypervisorIsTurnedAway) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const GuestProcess process(guest("a"));
    ASSERT_TRUE(echoes(side));
    EXPECT_TRUE(is_hung_up(connect_raw("a")));
    EXPECT_TRUE(echoes(side));
    EXPECT_EQ(side.seen(Event::Disconnected), 0);
    close(side);
}

TEST_F(EchoTest, AMultiqueueGuestUsesAllItsQueues) {
    Side side;
    Settings wanted = settings("a", VhostMode::Server);
    wanted.queue_pairs = 2;
    open(side, wanted);
    const GuestProcess process(guest("a", GuestRole::Connects, 2));
    // The rings of the second pair come one after the other.
    ASSERT_TRUE(eventually([&] { return side.port->device().tx_pairs == 2; }));
    EXPECT_TRUE(eventually([&] { return side.port->device().rx_pairs == 2; }));
    EXPECT_TRUE(echoes(side));
    close(side);
}

TEST_F(EchoTest, SurplusQueuesOfAGuestAreFolded) {
    Side side;
    open(side, settings("a", VhostMode::Server));
    const GuestProcess process(guest("a", GuestRole::Connects, 2));
    ASSERT_TRUE(eventually([&] { return side.port->device().rx_pairs == 2; }));
    // Send to the second pair, which the guest answers on its own second ring.
    const PortIo one = side.port->io();
    worker_->drop(one.self);
    PortIo two = one;
    two.tx = [](void* self, std::uint16_t, rte_mbuf** packets, std::uint16_t count) noexcept {
        const PortIo io = static_cast<Port*>(self)->io();
        return io.tx(self, 1, packets, count);
    };
    side.count = worker_->serve(two);
    EXPECT_TRUE(echoes(side));
    close(side);
}

}  // namespace
}  // namespace vr::vhost::guest_test
