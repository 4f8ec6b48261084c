// bgp_load: loads a BGP speaker from many sessions and times what comes back; prints one JSON object.
//
// Senders (AS 65001, 10.99.1.1 and up) announce host routes from 20.0.0.0 on, each UPDATE with an AS
// path and a community of its own, and at the end one sentinel below 99.0.0.0/8 each.  A receiver is
// told the sentinels only (--receiver 10.99.0.2) or everything (10.99.0.3): the speaker's configuration
// says which.  UPDATEs are encoded before the clock starts.  perf/bgp.py configures speakers and runs
// this beside each of them.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <sstream>

#include <CLI/CLI.hpp>

#include "perf/bgp/churn.h"
#include "perf/bgp/session.h"

namespace vr::perf {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::uint32_t kFirstRoute = 0x14000000;     // 20.0.0.0
constexpr std::uint32_t kFirstSentinel = 0x63000000;  // 99.0.0.0
constexpr std::uint32_t kFirstSender = 0x0a630101;    // 10.99.1.1
constexpr std::uint32_t kSenderAsn = 65001;

struct Options {
    std::string speaker = "10.99.0.1";
    std::string receiver = "10.99.0.3";
    std::uint32_t receiver_asn = 65101;
    std::string late_receiver;  ///< empty: none comes late
    std::uint32_t late_asn = 65102;
    unsigned senders = 1;
    unsigned prefixes = 10000;  ///< of each sender
    unsigned group = 20;        ///< prefixes per UPDATE
    bool same = false;          ///< all senders announce the same prefixes
    bool sentinels_only = false;
    double churn = 0;    ///< seconds in which single routes come and go
    double rate = 1000;  ///< such changes a second
    bool withdraw = false;
    double idle = 0;
    double limit = 120;
    int pid = 0;
};

/// What the speaker's process uses, from /proc.
struct Usage {
    double cpu = 0;       ///< seconds
    double resident = 0;  ///< MB
    double peak = 0;
};

Usage usage_of(int pid) {
    Usage usage;
    std::ifstream status(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(status, line);) {
        std::istringstream words(line);
        std::string key;
        double kilobytes = 0;
        words >> key >> kilobytes;
        if (key == "VmRSS:") {
            usage.resident = kilobytes / 1024;
        } else if (key == "VmHWM:") {
            usage.peak = kilobytes / 1024;
        }
    }
    std::ifstream stat(fmt::format("/proc/{}/stat", pid));
    std::string text;
    std::getline(stat, text);
    std::istringstream words(text.substr(std::min(text.size(), text.rfind(')') + 2)));
    std::string skipped;
    for (int field = 3; field < 14; ++field) {
        words >> skipped;
    }
    double user = 0;
    double system = 0;
    words >> user >> system;
    usage.cpu = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
    return usage;
}

/// What a receiver has heard.
struct Heard {
    explicit Heard(std::size_t expected) : known(expected) {}

    std::vector<bool> known;
    std::size_t routes = 0;
    std::size_t sentinels = 0;
    std::size_t messages = 0;
    std::optional<Clock::time_point> first;
    std::function<void(std::size_t route, bool announced)> on_change;

    void update(Bytes body) {
        ++messages;
        if (!first && body.size() > 4) {
            first = Clock::now();
        }
        for_each_route(body, [this](Ip4 address, bool announced) { route(address, announced); });
    }

    void route(Ip4 address, bool announced) {
        if (address.value() >= kFirstSentinel) {
            sentinels += announced ? 1 : -1UL;
            return;
        }
        const std::size_t index = address.value() - kFirstRoute;
        if (index < known.size() && known[index] != announced) {
            known[index] = announced;
            routes += announced ? 1 : -1UL;
            if (on_change) {
                on_change(index, announced);
            }
        }
    }
};

class Load {
  public:
    explicit Load(const Options& options)
        : options_(options),
          epoll_(epoll_create1(EPOLL_CLOEXEC)),
          expected_(
              std::size_t{options.prefixes} *
              (options.same || options.senders == 0 ? 1 : options.senders)) {}

    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    Load(Load&&) = delete;
    Load& operator=(Load&&) = delete;

    ~Load() { close(epoll_); }

    int run();

  private:
    struct Line {
        std::unique_ptr<Session> session;
        std::vector<std::uint8_t> updates;
        bool gone = false;  ///< on purpose
    };

    static Ip4 sender_address(unsigned index) {
        return Ip4{kFirstSender + index / 254 * 256 + index % 254};
    }

    Line& add(Ip4 local, std::uint32_t asn, std::shared_ptr<Heard> heard);
    /// Routes of a sender with attributes that the tag makes.
    static void announce(
        unsigned sender, Ip4 first, unsigned count, std::uint32_t tag, Writer& out);
    [[nodiscard]] std::vector<std::uint8_t> encode(unsigned sender) const;
    void call(Line& line);
    void turn(Clock::duration wait);
    void watch(Line& line, int operation);
    bool call_all();
    template <typename Done>
    bool until(Done done);
    void wait(double seconds);
    bool load();
    void meet_late_peer();
    bool churn();
    void tell_change(std::size_t route, Churn& churn);
    bool withdraw();

    void report(const char* key, double value) {
        json_ += fmt::format("{}\"{}\": {:.4f}", json_.empty() ? "" : ", ", key, value);
    }

    Options options_;
    int epoll_;
    std::size_t expected_;
    std::vector<std::unique_ptr<Line>> lines_;
    std::shared_ptr<Heard> heard_;
    std::string json_;
};

Load::Line& Load::add(Ip4 local, std::uint32_t asn, std::shared_ptr<Heard> heard) {
    auto line = std::make_unique<Line>();
    line->session = std::make_unique<Session>(
        Endpoint{.local = local, .remote = *Ip4::parse(options_.speaker), .asn = asn},
        [heard](Bytes body) {
            if (heard) {
                heard->update(body);
            }
        });
    return *lines_.emplace_back(std::move(line));
}

void Load::announce(unsigned sender, Ip4 first, unsigned count, std::uint32_t tag, Writer& out) {
    encode_update(
        Announcement{
            .first = first,
            .count = count,
            .next_hop = sender_address(sender),
            .as_path = {kSenderAsn, 100000 + tag, 200000 + sender},
            .community = 0xfde90000U | (tag & 0xffffU)},
        out);
}

std::vector<std::uint8_t> Load::encode(unsigned sender) const {
    Writer out;
    const std::uint32_t first = kFirstRoute + (options_.same ? 0 : sender * options_.prefixes);
    for (unsigned at = 0; at < options_.prefixes; at += options_.group) {
        const unsigned count = std::min(options_.group, options_.prefixes - at);
        announce(sender, Ip4{first + at}, count, at / options_.group, out);
    }
    announce(sender, Ip4{kFirstSentinel + sender}, 1, 0, out);
    return out.release();
}

void Load::call(Line& line) {
    line.session->connect();
    if (line.session->descriptor() >= 0) {
        watch(line, EPOLL_CTL_ADD);
    }
}

void Load::watch(Line& line, int operation) {
    epoll_event event{};
    event.events = EPOLLIN | (line.session->wants_to_write() ? EPOLLOUT : 0U);
    event.data.ptr = &line;
    epoll_ctl(epoll_, operation, line.session->descriptor(), &event);
}

/// Waits for events at most so long and handles them.
void Load::turn(Clock::duration wait) {
    std::array<epoll_event, 256> events{};
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    const int count = epoll_wait(
        epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(milliseconds));
    for (int i = 0; i < count; ++i) {
        Line& line = *static_cast<Line*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (line.session->descriptor() < 0) {
            continue;
        }
        const bool wanted = line.session->wants_to_write();
        if (line.session->poll(events[static_cast<std::size_t>(i)].events) &&
            line.session->wants_to_write() != wanted) {
            watch(line, EPOLL_CTL_MOD);
        }
    }
    const auto now = Clock::now();
    for (const auto& line : lines_) {
        line->session->keep_alive(now);
    }
}

template <typename Done>
bool Load::until(Done done) {
    const auto end =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds{options_.limit});
    while (!done()) {
        if (Clock::now() > end) {
            return false;
        }
        turn(std::chrono::milliseconds(5));
    }
    return true;
}

void Load::wait(double seconds) {
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds{seconds});
    while (Clock::now() < end) {
        turn(std::chrono::milliseconds(50));
    }
}

/// Brings every session up; who is refused or not answered calls again, as routers do.
bool Load::call_all() {
    constexpr std::chrono::milliseconds kAgain{100};
    constexpr std::chrono::seconds kPatience{10};
    const auto begin = Clock::now();
    for (const auto& line : lines_) {
        call(*line);
    }
    const bool up = until([&] {
        const auto now = Clock::now();
        bool all = true;
        for (const auto& line : lines_) {
            const Session& session = *line->session;
            const auto since = now - session.called_at();
            const bool closed = session.state() == Session::State::Closed;
            if ((closed && since > kAgain) ||
                (session.state() == Session::State::OpenSent && since > kPatience)) {
                call(*line);
            }
            all = all && session.state() == Session::State::Established;
        }
        return all;
    });
    report("up_s", Seconds(Clock::now() - begin).count());
    return up;
}

bool Load::load() {
    const Usage before = usage_of(options_.pid);
    heard_->messages = 0;
    heard_->first.reset();
    const auto begin = Clock::now();
    for (const auto& line : lines_) {
        line->session->send(line->updates);
        watch(*line, EPOLL_CTL_MOD);
    }
    std::optional<Clock::time_point> sent;
    const bool done = until([&] {
        if (!sent && std::ranges::all_of(
                         lines_, [](const auto& line) { return line->session->all_sent(); })) {
            sent = Clock::now();
        }
        return heard_->sentinels >= options_.senders &&
               (options_.sentinels_only || heard_->routes >= expected_);
    });
    const auto end = Clock::now();
    report("sent_s", Seconds(sent.value_or(end) - begin).count());
    report("done_s", Seconds(end - begin).count());
    report("cpu_s", usage_of(options_.pid).cpu - before.cpu);
    report("messages", static_cast<double>(heard_->messages));
    if (!done) {
        fmt::print(
            stderr,
            "bgp_load: {} of {} routes and {} of {} sentinels in time\n",
            heard_->routes,
            expected_,
            heard_->sentinels,
            options_.senders);
    }
    wait(1);
    const Usage after = usage_of(options_.pid);
    report("rss_mb", after.resident);
    report("peak_mb", after.peak);
    return done;
}

/// How long a peer that comes to a full table waits for its first and last route.
void Load::meet_late_peer() {
    const auto heard = std::make_shared<Heard>(expected_);
    Line& line = add(*Ip4::parse(options_.late_receiver), options_.late_asn, heard);
    call(line);
    if (!until([&] { return heard->routes >= expected_; })) {
        fmt::print(stderr, "bgp_load: the late peer has {} routes\n", heard->routes);
    }
    const auto up = line.session->established_at();
    if (up && heard->first) {
        report("first_update_ms", 1000 * Seconds(*heard->first - *up).count());
        report("whole_table_s", Seconds(Clock::now() - *up).count());
    }
    line.session->reset();
    lines_.pop_back();
    wait(0.5);
}

/// Single routes of random peers come and go; in the end the receiver knows those that are there.
bool Load::churn() {
    Churn churn{expected_};
    heard_->on_change = [&churn](std::size_t route, bool announced) {
        churn.heard(route, announced, Clock::now());
    };
    std::minstd_rand random{1};  // the same changes for every speaker
    const Usage before = usage_of(options_.pid);
    const auto begin = Clock::now();
    for (std::size_t told = 0;;) {
        const Seconds passed = Clock::now() - begin;
        if (passed.count() >= options_.churn) {
            break;
        }
        for (; static_cast<double>(told) < passed.count() * options_.rate; ++told) {
            tell_change(random() % expected_, churn);
        }
        turn(std::chrono::milliseconds(1));
    }
    const bool done = until([&] { return churn.all_heard(); });
    const Seconds passed = Clock::now() - begin;
    heard_->on_change = nullptr;
    if (!done || churn.changes() == 0) {
        fmt::print(stderr, "bgp_load: changes were not heard in time\n");
        return false;
    }
    const Usage after = usage_of(options_.pid);
    const auto milliseconds = [&churn](double share) {
        return 1000 * Seconds(churn.lag(share)).count();
    };
    report("changes_rate", static_cast<double>(churn.changes()) / passed.count());
    report("lag_p50_ms", milliseconds(0.5));
    report("lag_p99_ms", milliseconds(0.99));
    report("lag_max_ms", milliseconds(1));
    report("churn_cpu_percent", 100 * (after.cpu - before.cpu) / passed.count());
    report("churn_rss_mb", after.resident);
    return true;
}

/// A sender whose last change is not sent yet, or a route of which nobody has heard, sits one out.
void Load::tell_change(std::size_t route, Churn& churn) {
    const auto sender = static_cast<unsigned>(route / options_.prefixes);
    Line& line = *lines_[1 + sender];  // the first is the receiver's
    if (!line.session->all_sent()) {
        return;
    }
    const auto present = churn.flip(route, Clock::now());
    if (!present) {
        return;
    }
    const Ip4 address{kFirstRoute + static_cast<std::uint32_t>(route)};
    Writer out;
    if (*present) {
        announce(sender, address, 1, static_cast<std::uint32_t>(churn.changes()), out);
    } else {
        encode_withdrawal(address, out);
    }
    line.updates = out.release();
    line.session->send(line.updates);
    watch(line, EPOLL_CTL_MOD);
}

bool Load::withdraw() {
    const auto begin = Clock::now();
    for (const auto& line : lines_) {
        if (!line->updates.empty()) {
            line->session->reset();
        }
    }
    const bool gone = until([&] { return heard_->routes == 0; });
    report("gone_s", Seconds(Clock::now() - begin).count());
    if (!gone) {
        fmt::print(stderr, "bgp_load: {} routes are left\n", heard_->routes);
    }
    return gone;
}

int Load::run() {
    heard_ = std::make_shared<Heard>(expected_);
    add(*Ip4::parse(options_.receiver), options_.receiver_asn, heard_);
    for (unsigned i = 0; i < options_.senders; ++i) {
        Line& line = add(sender_address(i), kSenderAsn, nullptr);
        if (options_.prefixes != 0) {
            line.updates = encode(i);
        }
    }
    bool good = call_all();
    wait(2);
    const Usage idle = usage_of(options_.pid);
    report("idle_rss_mb", idle.resident);
    if (good && options_.idle > 0) {
        wait(options_.idle);
        report("idle_cpu_percent", 100 * (usage_of(options_.pid).cpu - idle.cpu) / options_.idle);
    }
    if (good && options_.prefixes != 0) {
        good = load();
        if (good && !options_.late_receiver.empty()) {
            meet_late_peer();
        }
        if (good && options_.churn > 0) {
            good = churn();
        }
        if (good && options_.withdraw) {
            good = withdraw();
        }
    }
    for (const auto& line : lines_) {
        if (line->session->state() == Session::State::Closed && !line->session->trouble().empty() &&
            line->session->trouble() != "reset") {
            fmt::print(stderr, "bgp_load: a session: {}\n", line->session->trouble());
            break;
        }
    }
    fmt::print("{{{}}}\n", json_);
    return good ? 0 : 1;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::Options options;
    CLI::App app{"Loads a BGP speaker and times what comes back"};
    app.add_option("--speaker", options.speaker, "the speaker's address");
    app.add_option("--receiver", options.receiver, "address of the peer that listens");
    app.add_option("--receiver-as", options.receiver_asn, "its AS");
    app.add_option(
        "--late", options.late_receiver, "address of a peer that comes when all is told");
    app.add_option("--late-as", options.late_asn, "its AS");
    app.add_option("--senders", options.senders, "peers that announce");
    app.add_option("--prefixes", options.prefixes, "that each announces");
    app.add_option("--group", options.group, "prefixes per UPDATE")->check(CLI::Range(1, 700));
    auto* same = app.add_flag("--same", options.same, "all announce the same prefixes");
    auto* few =
        app.add_flag("--sentinels-only", options.sentinels_only, "the receiver is told no more");
    auto* churn = app.add_option(
        "--churn", options.churn, "seconds in which single routes come and go afterwards");
    churn->excludes(same)->excludes(few);
    app.add_option("--rate", options.rate, "such changes a second")->needs(churn);
    app.add_flag("--withdraw", options.withdraw, "reset the senders at the end");
    app.add_option("--idle", options.idle, "seconds of idleness to measure first");
    app.add_option("--limit", options.limit, "seconds that a phase may take");
    app.add_option("--pid", options.pid, "the speaker's process")->required();
    CLI11_PARSE(app, argc, argv);
    return vr::perf::Load{options}.run();
}
