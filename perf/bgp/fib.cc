// bgp_fib: how soon packets follow what BGP peers say; prints one JSON object.
//
// usage: bgp_fib table --ip4 ROUTES --ip6 ROUTES [--prefix-length 64|128] [--event session|restart]
//        bgp_fib loss --ip4 ROUTES --event session|station
//        bgp_fib ways --ip4 ROUTES
//
// The parts of vrouterd that a route passes, joined as vrouter/daemon joins them, in one process: the speaker
// with TCP sessions to peers of perf/bgp, route table, machine, and a worker on its own core that polls a
// port in memory.  That port makes packets to prefixes of the peers every 50 us and sees where they go.
//   table: one peer tells a table; when do packets to its first and to its last prefix leave?  Then it resets its
//          session, or another speaker takes the place of ours (`vrouterctl bgp restart`): how long are turns?
//   loss:  four peers tell the same prefixes, so that each has four next hops; then the last peer resets
//          its session, or its station goes silent.  When does the last packet go to it, how many FIB
//          entries were written until then, and when is the last one written?
//   ways:  one peer tells routes, each with a next hop of its own, that a static route leads to; then that route
//          takes another gateway.  When does the last packet go to the old one, and how long are turns?  Then the
//          peer resets its session.
// To be run in a namespace of its own that has 10.99.0.1 and 10.99.1.1-4 (perf/bgp.py).
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "bgp/speaker.h"
#include "perf/bgp/session.h"
#include "test/dataplane/packet_builder.h"
#include "vrouter/control.h"
#include "vrouter/daemon/bgp_routes.h"
#include "vrouter/dataplane/packet_pool.h"
#include "vrouter/eal.h"
#include "vrouter/machine.h"
#include "vrouter/net/log.h"
#include "vrouter/slow_path.h"
#include "vrouter/turns.h"

namespace vr::perf {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Mac kRouterMac{{2, 0, 0, 0, 0, 1}};
constexpr Mac kSenderMac{{2, 0, 0, 0, 0, 0x99}};
constexpr Ip4 kRouter{0x0a630001};      // 10.99.0.1
constexpr Ip4 kFirstPeer{0x0a630101};   // 10.99.1.1
constexpr Ip4 kFirstRoute{0x14000000};  // 20.0.0.0
constexpr std::uint64_t kNetwork6 = 0xfd99'0000'0000'0000U;
constexpr std::uint64_t kFirstRoute6High = 0x2001'0db8'0000'0000U;
constexpr Ip4 kFirstFarHop{0x0a620000};  // 10.98.0.0: next hops that a static route leads to
constexpr std::uint32_t kPeerAsn = 65001;
constexpr unsigned kGroup = 20;  ///< prefixes of one attribute set
constexpr unsigned kLossPeers = 4;
constexpr std::size_t kProbes = 4096;  ///< distinct packets while a next hop is lost
constexpr std::chrono::microseconds kInterval{50};

Mac station_mac(unsigned peer) {
    return Mac{{2, 0, 0, 1, 0, static_cast<std::uint8_t>(peer)}};
}

Ip4 peer_address(unsigned peer) {
    return Ip4{kFirstPeer.value() + peer};
}

/// The `number`-th /64 of the peers' routes, or host of the first.
Ip6 route6(unsigned number, unsigned length) {
    return length == 64 ? Ip6{kFirstRoute6High + number, 0} : Ip6{kFirstRoute6High, number};
}

Ip6 peer_address6(unsigned peer) {
    return Ip6{kNetwork6, 0x101 + peer};
}

std::int64_t now() {
    return Clock::now().time_since_epoch().count();
}

double since(std::int64_t begin, std::int64_t end) {
    return static_cast<double>(end - begin) / 1e9;
}

template <Family F>
test::Frame probe_to(typename F::Addr destination, std::uint16_t number) {
    const test::Envelope<F> envelope{
        .link_source = kSenderMac,
        .link_destination = kRouterMac,
        .source = test::host<F>(0x0a630201),
        .destination = destination};
    return test::frame_of(envelope, test::udp_header(number, 9));
}

/// The fabric: makes the probes one after the other, notes what comes out to whom.
class Fabric final : public Port {
  public:
    explicit Fabric(rte_mempool* pool) : pool_(pool) {}

    [[nodiscard]] PortIo io() noexcept override { return {.self = this, .rx = rx, .tx = tx}; }

    [[nodiscard]] PortStatus status() const override { return {true, "fabric", ""}; }

    [[nodiscard]] Mac mac() const override { return kRouterMac; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    /// From now on these are sent, `burst` at a time; they are kept by the caller.
    void send(const std::vector<test::Frame>& frames, unsigned burst) {
        burst_ = burst;
        frames_.store(&frames, std::memory_order_release);
    }

    /// When the last packet went to the station of `peer`; 0: none did.
    [[nodiscard]] std::int64_t last_to(unsigned peer) const { return last_to_[peer].load(); }

    /// Packets made that did not come out again so far.
    [[nodiscard]] std::uint64_t missing() const { return made_.load() - taken_.load(); }

    /// When the first packet of that number went out.
    [[nodiscard]] std::int64_t first_of(std::uint16_t number) const {
        return first_of_[number].load();
    }

  private:
    static std::uint16_t rx(void* self, std::uint16_t, rte_mbuf** out, std::uint16_t) noexcept {
        return static_cast<Fabric*>(self)->make(out);
    }

    static std::uint16_t tx(
        void* self, std::uint16_t, rte_mbuf** packets, std::uint16_t count) noexcept {
        static_cast<Fabric*>(self)->take(packets, count);
        rte_pktmbuf_free_bulk(packets, count);
        return count;
    }

    std::uint16_t make(rte_mbuf** out) noexcept {
        const auto* frames = frames_.load(std::memory_order_acquire);
        const std::int64_t time = now();
        if (frames == nullptr || time - sent_at_ < std::chrono::nanoseconds{kInterval}.count()) {
            return 0;
        }
        sent_at_ = time;
        std::uint16_t made = 0;
        while (made < burst_ && (out[made] = make_packet(pool_, (*frames)[next_])) != nullptr) {
            next_ = (next_ + 1) % frames->size();
            ++made;
        }
        made_.fetch_add(made, std::memory_order_relaxed);
        return made;
    }

    void take(rte_mbuf** packets, std::uint16_t count) noexcept {
        const std::int64_t time = now();
        for (std::uint16_t i = 0; i < count; ++i) {
            const auto* frame = rte_pktmbuf_mtod(packets[i], const std::uint8_t*);
            if (frame[3] != 1) {
                continue;  // not to a peer
            }
            taken_.fetch_add(1, std::memory_order_relaxed);
            last_to_[frame[5] % kLossPeers].store(time, std::memory_order_relaxed);
            const bool ip4 = frame[test::kIp] >> 4U == 4;
            const auto number =
                load_be<std::uint16_t>(frame + (ip4 ? test::kL4<V4> : test::kL4<V6>));
            auto& first = first_of_[number % first_of_.size()];
            if (first.load(std::memory_order_relaxed) == 0) {
                first.store(time, std::memory_order_relaxed);
            }
        }
    }

    rte_mempool* pool_;
    std::atomic<const std::vector<test::Frame>*> frames_{nullptr};
    unsigned burst_ = 1;
    std::size_t next_ = 0;
    std::int64_t sent_at_ = 0;
    std::array<std::atomic<std::int64_t>, kLossPeers> last_to_{};
    std::array<std::atomic<std::int64_t>, 4> first_of_{};
    std::atomic<std::uint64_t> made_{0};
    std::atomic<std::uint64_t> taken_{0};
};

/// The router, its control thread and its worker.
class Router {
  public:
    Router(Eal& eal, unsigned peers)
        : eal_(eal),
          machine_(*Machine::make({})),
          slow_path_(*machine_),
          control_(loop_, *machine_, slow_path_),
          routes_(
              loop_,
              machine_->routes(),
              [this](PortId id) { return machine_->port(id); },
              [this] { machine_->commit(); },
              [this](const std::vector<IpAddr>* some) {
                  some != nullptr ? speaker_->next_hops_changed(*some)
                                  : speaker_->next_hops_changed();
              }),
          peers_(peers) {
        machine_->shared().routes4.fetch();  // as vrouterd does
        open_fabric();
        for (unsigned peer = 0; peer < peers; ++peer) {
            set_station(peer, true);
        }
        machine_->commit();
        start_speaker();
    }

    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;
    Router(Router&&) = delete;
    Router& operator=(Router&&) = delete;

    ~Router() {
        loop_.stop();
        thread_.join();
        for (const auto& worker : machine_->workers()) {
            worker->stop();
        }
        eal_.join();
    }

    [[nodiscard]] bool start() {
        if (!eal_.launch(machine_->workers())) {
            return false;
        }
        thread_ = std::thread{[this] { run(loop_, times_); }};
        return true;
    }

    [[nodiscard]] Fabric& fabric() { return *fabric_; }

    /// Calls `ask` on the control thread and waits for its answer.
    template <typename Ask>
    auto on_control(Ask ask) {
        std::promise<decltype(ask(*this))> answer;
        boost::asio::post(loop_, [&] { answer.set_value(ask(*this)); });
        return answer.get_future().get();
    }

    /// Another speaker, of which nothing is known yet.
    void replace_speaker() {
        routes_.begin_restart();
        speaker_.reset();
        start_speaker();
    }

    /// Routes in the FIB.
    [[nodiscard]] std::size_t installed() {
        return machine_->shared().routes4.size() + machine_->shared().routes6.size();
    }

    [[nodiscard]] std::uint64_t fib_changes() { return machine_->routes().fib_changes(); }

    [[nodiscard]] LoopTimes& times() { return times_; }

    /// The station of a peer answers, or does not any more.
    void set_station(unsigned peer, bool there) {
        const auto time = Clock::now();
        for (const IpAddr& address : {IpAddr{peer_address(peer)}, IpAddr{peer_address6(peer)}}) {
            if (there) {
                slow_path_.add_permanent({port_, address}, station_mac(peer), time);
            } else {
                slow_path_.remove_neighbor({port_, address}, time);
            }
        }
    }

    /// All far next hops are behind that peer's station from now on.
    void lead_over(unsigned peer) {
        machine_->routes().set(
            *Prefix<V4>::make(kFirstFarHop, 16),
            RouteSource::Static,
            Gateways{{peer_address(peer)}, false});
        machine_->commit();
    }

    [[nodiscard]] double control_cpu() {
        clockid_t clock{};
        timespec time{};
        pthread_getcpuclockid(thread_.native_handle(), &clock);
        clock_gettime(clock, &time);
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    }

    void commit() { machine_->commit(); }

  private:
    void start_speaker() {
        speaker_ = std::make_unique<bgp::Speaker>(
            loop_,
            bgp::SpeakerConfig{.asn = Asn{65000}, .router_id = kRouter, .listen = {kRouter}},
            routes_,
            routes_);
        static_cast<void>(speaker_->start());
        for (unsigned peer = 0; peer < peers_; ++peer) {
            bgp::PeerConfig config;
            config.address = peer_address(peer);
            config.asn = Asn{kPeerAsn};
            config.passive = true;
            config.import = bgp::Filter{.kind = bgp::Filter::Kind::All, .rules = {}};
            static_cast<void>(speaker_->add_peer(config));
        }
    }

    void open_fabric() {
        auto fabric = std::make_unique<Fabric>(machine_->pool());
        fabric_ = fabric.get();
        port_ = *machine_->add_port(
            {.name = "fabric",
             .kind = PortKind::Fabric,
             .port = std::move(fabric),
             .mac = kRouterMac});
        PortFacts facts;
        facts.id = port_;
        facts.role = PortRole::Fabric;
        facts.mac = kRouterMac;
        slow_path_.set_port(facts);
        RouteTable& routes = machine_->routes();
        routes.set(
            *Prefix<V4>::make(kRouter, 16),
            RouteSource::Connected,
            Connected{port_, IpFamily::Ip4});
        routes.set(
            *Prefix<V6>::make(Ip6{kNetwork6, 0}, 64),
            RouteSource::Connected,
            Connected{port_, IpFamily::Ip6});
        // What has no route yet is dropped without a word to the control thread.
        routes.set(Prefix<V4>{}, RouteSource::Static, Discard{});
        routes.set(Prefix<V6>{}, RouteSource::Static, Discard{});
    }

    Eal& eal_;
    boost::asio::io_context loop_{1};
    std::unique_ptr<Machine> machine_;
    SlowPath slow_path_;
    Control control_;
    daemon::BgpRoutes routes_;
    unsigned peers_;
    std::unique_ptr<bgp::Speaker> speaker_;
    Fabric* fabric_ = nullptr;
    PortId port_;
    LoopTimes times_;  ///< control thread
    std::thread thread_;
};

/// The peers of the router, driven by the calling thread.
class Peers {
  public:
    Peers(unsigned count, bool ip6) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        for (unsigned i = 0; i < count; ++i) {
            sessions_.push_back(std::make_unique<Session>(
                Endpoint{peer_address(i), kRouter, kPeerAsn, ip6}, [](Bytes) {}));
        }
    }

    Peers(const Peers&) = delete;
    Peers& operator=(const Peers&) = delete;
    Peers(Peers&&) = delete;
    Peers& operator=(Peers&&) = delete;

    ~Peers() { close(epoll_); }

    [[nodiscard]] Session& operator[](unsigned peer) { return *sessions_[peer]; }

    void connect() {
        for (const auto& session : sessions_) {
            session->connect();
            watch(*session, EPOLL_CTL_ADD);
        }
    }

    void send(unsigned peer, Bytes octets) {
        sessions_[peer]->send(octets);
        watch(*sessions_[peer], EPOLL_CTL_MOD);
    }

    [[nodiscard]] bool all_established() const {
        return std::ranges::all_of(sessions_, [](const auto& session) {
            return session->state() == Session::State::Established;
        });
    }

    /// Serves the sessions until `done`, or no longer than `limit`.
    template <typename Done>
    bool until(Done done, std::chrono::milliseconds step, std::chrono::seconds limit) {
        const auto end = Clock::now() + limit;
        while (!done()) {
            if (Clock::now() > end) {
                return false;
            }
            turn(step);
        }
        return true;
    }

  private:
    void watch(Session& session, int operation) {
        epoll_event event{};
        event.events = EPOLLIN | (session.wants_to_write() ? EPOLLOUT : 0U);
        event.data.ptr = &session;
        epoll_ctl(epoll_, operation, session.descriptor(), &event);
    }

    void turn(std::chrono::milliseconds wait) {
        std::array<epoll_event, 16> events{};
        const int count = epoll_wait(
            epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(wait.count()));
        for (int i = 0; i < count; ++i) {
            auto& session = *static_cast<Session*>(events[static_cast<std::size_t>(i)].data.ptr);
            const bool wanted = session.wants_to_write();
            if (session.descriptor() >= 0 &&
                session.poll(events[static_cast<std::size_t>(i)].events) &&
                session.wants_to_write() != wanted) {
                watch(session, EPOLL_CTL_MOD);
            }
        }
    }

    int epoll_;
    std::vector<std::unique_ptr<Session>> sessions_;
};

struct Options {
    unsigned ip4 = 0;
    unsigned ip6 = 0;
    unsigned prefix_length = 64;  ///< of IPv6
    std::string event = "session";
};

/// What `peer` announces; the attributes of a prefix are the same from every peer, but for the next hop.
std::vector<std::uint8_t> table_of(const Options& options, unsigned peer) {
    Writer out;
    for (unsigned at = 0; at < options.ip4; at += kGroup) {
        encode_update(
            Announcement{
                .first = Ip4{kFirstRoute.value() + at},
                .count = std::min(kGroup, options.ip4 - at),
                .next_hop = peer_address(peer),
                .as_path = {kPeerAsn, 100000 + at / kGroup},
                .community = 0xfde90000U | (at / kGroup & 0xffffU)},
            out);
    }
    for (unsigned at = 0; at < options.ip6; at += kGroup) {
        encode_update(
            Announcement6{
                .first = route6(at, options.prefix_length),
                .length = options.prefix_length,
                .count = std::min(kGroup, options.ip6 - at),
                .next_hop = peer_address6(peer),
                .as_path = {kPeerAsn, 100000 + at / kGroup},
                .community = 0xfde90000U | (at / kGroup & 0xffffU)},
            out);
    }
    return out.release();
}

bool report(const std::string& json) {
    fmt::print("{{{}}}\n", json);
    return true;
}

/// By CPU time: other work on the machine would only add to the clock's.
std::string turns_json(Router& router) {
    return router.on_control([](Router& r) {
        const auto ms = [](Turns::Duration time) { return Seconds(time).count() * 1000; };
        const Turns& turns = r.times().cpu;
        return fmt::format(
            R"("turn_max_ms": {:.3f}, "turn_p999_ms": {:.3f}, "turns": {}, "slow_turns": {}, "turn_max_wall_ms": {:.3f})",
            ms(turns.longest()),
            ms(turns.quantile(0.999)),
            turns.count(),
            turns.slow(),
            ms(r.times().wall.longest()));
    });
}

void forget_turns(Router& router) {
    static_cast<void>(router.on_control([](Router& r) {
        r.times() = {};
        return true;
    }));
}

bool measure_table(Eal& eal, const Options& options) {
    Router router{eal, 1};
    Peers peers{1, options.ip6 != 0};
    const auto table = table_of(options, 0);
    const std::size_t wanted = router.installed() + options.ip4 + options.ip6;
    std::vector<test::Frame> probes;
    if (options.ip4 != 0) {
        probes.push_back(probe_to<V4>(kFirstRoute, 0));
        probes.push_back(probe_to<V4>(Ip4{kFirstRoute.value() + options.ip4 - 1}, 1));
    } else {
        probes.push_back(probe_to<V6>(route6(0, options.prefix_length), 0));
        probes.push_back(probe_to<V6>(route6(options.ip6 - 1, options.prefix_length), 1));
    }
    constexpr std::chrono::milliseconds kStep{5};
    constexpr std::chrono::seconds kLimit{120};
    constexpr unsigned kIdleSteps = 50;
    constexpr double kIdle = 2.5e-4;  // s of CPU time: half a slice of the speaker's
    if (!router.start()) {
        return false;
    }
    peers.connect();
    router.fabric().send(probes, 1);
    if (!peers.until([&] { return peers.all_established(); }, kStep, kLimit)) {
        return false;
    }
    const double cpu = router.control_cpu();
    forget_turns(router);
    const std::int64_t begin = now();
    peers.send(0, table);
    std::int64_t all_at = 0;
    const auto all = [&] {
        if (peers[0].all_sent() && all_at == 0 &&
            router.on_control([](Router& r) { return r.installed(); }) == wanted) {
            all_at = now();
        }
        return all_at != 0 && router.fabric().first_of(1) != 0;
    };
    if (!peers.until(all, kStep, kLimit)) {
        return false;
    }
    const double used = router.control_cpu() - cpu;
    const std::string load_turns = turns_json(router);
    // And what the loss of that peer costs the control thread.
    forget_turns(router);
    const std::int64_t lost = now();
    const bool restarts = options.event == "restart";
    if (restarts) {
        static_cast<void>(router.on_control([](Router& r) {
            r.replace_speaker();
            return true;
        }));
    } else {
        peers[0].reset();
    }
    double used_so_far = router.control_cpu();
    unsigned idle = 0;
    const auto gone = [&] {
        if (restarts) {  // until the old speaker's tables are freed: nothing has been done for a while
            static_cast<void>(router.on_control([](Router& r) { return r.installed(); }));
            const double before = std::exchange(used_so_far, router.control_cpu());
            idle = used_so_far - before < kIdle ? idle + 1 : 0;
            return idle > kIdleSteps;
        }
        return router.on_control([](Router& r) { return r.installed(); }) ==
               wanted - options.ip4 - options.ip6;
    };
    if (!peers.until(gone, kStep, kLimit)) {
        return false;
    }
    return report(fmt::format(
        R"("first_ms": {:.3f}, "last_s": {:.3f}, "all_s": {:.3f}, "cpu_s": {:.3f}, {}, "gone_s": {:.3f}, "gone": {{{}}})",
        since(begin, router.fabric().first_of(0)) * 1000,
        since(begin, router.fabric().first_of(1)),
        since(begin, all_at),
        used,
        load_turns,
        since(lost, now()),
        turns_json(router)));
}

/// FIB entries written so far, and when that was asked.
struct Written {
    std::int64_t at = 0;
    std::uint64_t changes = 0;
};

Written written(Router& router) {
    return router.on_control([](Router& r) { return Written{now(), r.fib_changes()}; });
}

/// Nothing is written to the FIB any more; when the last entry was.
std::optional<Written> settled(Router& router, Peers& peers, std::vector<Written>& samples) {
    constexpr std::int64_t kQuiet = 300'000'000;
    Written last = written(router);
    const auto quiet = [&] {
        const Written next = written(router);
        samples.push_back(next);
        if (next.changes != last.changes) {
            last = next;
        }
        return next.at - last.at > kQuiet;
    };
    if (!peers.until(quiet, std::chrono::milliseconds{0}, std::chrono::seconds{60})) {
        return std::nullopt;
    }
    return last;
}

bool measure_loss(Eal& eal, const Options& options) {
    constexpr unsigned kLost = kLossPeers - 1;
    Router router{eal, kLossPeers};
    Peers peers{kLossPeers, false};
    std::vector<std::vector<std::uint8_t>> tables;
    for (unsigned peer = 0; peer < kLossPeers; ++peer) {
        tables.push_back(table_of(options, peer));
    }
    std::vector<test::Frame> probes;
    for (std::size_t i = 0; i < kProbes; ++i) {
        const auto route = static_cast<std::uint32_t>(i * 2654435761U % options.ip4);
        probes.push_back(
            probe_to<V4>(Ip4{kFirstRoute.value() + route}, static_cast<std::uint16_t>(4 + i)));
    }
    if (!router.start()) {
        return false;
    }
    peers.connect();
    constexpr std::chrono::milliseconds kStep{5};
    if (!peers.until([&] { return peers.all_established(); }, kStep, std::chrono::seconds{20})) {
        return false;
    }
    for (unsigned peer = 0; peer < kLossPeers; ++peer) {
        peers.send(peer, tables[peer]);
    }
    std::vector<Written> samples;
    if (!settled(router, peers, samples)) {
        return false;
    }
    router.fabric().send(probes, 8);
    // All four are in use.
    const auto used = [&] {
        for (unsigned peer = 0; peer < kLossPeers; ++peer) {
            if (router.fabric().last_to(peer) == 0) {
                return false;
            }
        }
        return true;
    };
    if (!peers.until(used, kStep, std::chrono::seconds{10})) {
        return false;
    }
    samples.clear();
    const Written before = written(router);
    const std::uint64_t missing = router.fabric().missing();
    forget_turns(router);
    const std::int64_t begin = now();
    if (options.event == "session") {
        peers[kLost].reset();
    } else {
        static_cast<void>(router.on_control([](Router& r) {
            r.set_station(kLost, false);
            r.commit();
            return true;
        }));
    }
    const auto end = settled(router, peers, samples);
    if (!end) {
        return false;
    }
    const std::int64_t silent = router.fabric().last_to(kLost);
    const auto after =
        std::ranges::find_if(samples, [&](const Written& sample) { return sample.at >= silent; });
    const std::uint64_t until_silent =
        (after == samples.end() ? end->changes : after->changes) - before.changes;
    return report(fmt::format(
        R"("silent_ms": {:.3f}, "missing": {}, "fib_changes_until_silent": {}, "fib_changes": {}, "settled_ms": {:.3f}, {})",
        std::max(0.0, since(begin, silent) * 1000),
        router.fabric().missing() - missing,
        until_silent,
        end->changes - before.changes,
        end->changes == before.changes ? 0.0 : since(begin, end->at) * 1000,
        turns_json(router)));
}

bool measure_ways(Eal& eal, const Options& options) {
    Router router{eal, 2};
    Peers peers{1, false};
    Writer table;
    std::vector<test::Frame> probes;
    for (unsigned at = 0; at < options.ip4; ++at) {
        encode_update(
            Announcement{
                .first = Ip4{kFirstRoute.value() + at},
                .count = 1,
                .next_hop = Ip4{kFirstFarHop.value() + at},
                .as_path = {kPeerAsn},
                .community = 0xfde90000U},
            table);
        probes.push_back(probe_to<V4>(Ip4{kFirstRoute.value() + at}, 0));
    }
    const std::vector<std::uint8_t> octets = table.release();
    router.lead_over(0);
    const std::size_t wanted = router.installed() + options.ip4;
    if (!router.start()) {
        return false;
    }
    peers.connect();
    constexpr std::chrono::milliseconds kStep{5};
    constexpr std::chrono::seconds kLimit{60};
    if (!peers.until([&] { return peers.all_established(); }, kStep, kLimit)) {
        return false;
    }
    forget_turns(router);
    peers.send(0, octets);
    const auto installed = [](Router& r) { return r.installed(); };
    if (!peers.until([&] { return router.on_control(installed) == wanted; }, kStep, kLimit)) {
        return false;
    }
    const std::string load_turns = turns_json(router);
    router.fabric().send(probes, 8);
    if (!peers.until([&] { return router.fabric().last_to(0) != 0; }, kStep, kLimit)) {
        return false;
    }
    forget_turns(router);
    const std::int64_t begin = now();
    static_cast<void>(router.on_control([](Router& r) {
        r.lead_over(1);
        return true;
    }));
    constexpr std::int64_t kQuiet = 500'000'000;
    const auto quiet = [&] { return now() - std::max(begin, router.fabric().last_to(0)) > kQuiet; };
    if (!peers.until(quiet, kStep, kLimit) || router.fabric().last_to(1) == 0) {
        return false;
    }
    const std::string move_turns = turns_json(router);
    forget_turns(router);
    const std::int64_t lost = now();
    peers[0].reset();
    const auto gone = [&] { return router.on_control(installed) == wanted - options.ip4; };
    if (!peers.until(gone, kStep, kLimit)) {
        return false;
    }
    return report(fmt::format(
        R"("moved_ms": {:.3f}, {}, "load": {{{}}}, "gone_s": {:.3f}, "gone": {{{}}})",
        std::max(0.0, since(begin, router.fabric().last_to(0)) * 1000),
        move_turns,
        load_turns,
        since(lost, now()),
        turns_json(router)));
}

int run_mode(const std::string& mode, const Options& options) {
    log::start(log::Level::Error);
    Config config;
    config.node = "perf";
    config.eal = {"--no-huge"};
    config.workers.lcores = {static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN) - 1)};
    auto eal = Eal::start(config, getpid());
    if (!eal) {
        fmt::print(stderr, "bgp_fib: {}\n", eal.error().text);
        return 1;
    }
    const bool good = mode == "table"  ? measure_table(**eal, options)
                      : mode == "loss" ? measure_loss(**eal, options)
                                       : measure_ways(**eal, options);
    if (!good) {
        fmt::print(stderr, "bgp_fib: not all came in time\n");
    }
    return good ? 0 : 1;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::Options options;
    CLI::App app{"How soon packets follow what BGP peers say"};
    app.require_subcommand(1);
    auto* table = app.add_subcommand("table", "a table comes and goes");
    table->add_option("--ip4", options.ip4, "routes of IPv4");
    table->add_option("--ip6", options.ip6, "routes of IPv6");
    table->add_option("--prefix-length", options.prefix_length, "of those of IPv6")
        ->check(CLI::IsMember({64, 128}));
    table->add_option("--event", options.event, "what ends the session")
        ->check(CLI::IsMember({"session", "restart"}));
    auto* loss = app.add_subcommand("loss", "one of four next hops is lost");
    loss->add_option("--ip4", options.ip4, "routes that share them")->required();
    loss->add_option("--event", options.event, "what is lost")
        ->check(CLI::IsMember({"session", "station"}));
    auto* ways = app.add_subcommand("ways", "the route to all next hops changes");
    ways->add_option("--ip4", options.ip4, "routes, each with a next hop of its own")
        ->required()
        ->check(CLI::Range(1, 16384));
    CLI11_PARSE(app, argc, argv);
    return vr::perf::run_mode(
        table->parsed()  ? "table"
        : loss->parsed() ? "loss"
                         : "ways",
        options);
}
