// vrouterd: reads its arguments and its config, then runs the daemon until it is told to stop.
//
// SIGINT and SIGTERM say goodbye to BGP peers; SIGUSR2 does not, since it comes back: graceful restart.  SIGHUP takes
// up what the config says of BGP now.
// Exit codes: 0 stopped as told, 1 could not start, 2 wrong usage.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iterator>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/daemon/config.h"
#include "vrouter/daemon/daemon.h"
#include "vrouter/net/log.h"
#include "vrouter/preflight.h"
#include "vrouter/turns.h"

namespace {

/// For peers to read our last words.
constexpr std::chrono::milliseconds kFarewell{200};

int run(vr::daemon::Config config) {
    boost::asio::io_context loop{1};
    vr::LoopTimes times;
    boost::asio::signal_set signals{loop, SIGINT, SIGTERM, SIGUSR2};
    boost::asio::steady_timer farewell{loop};
    vr::daemon::Daemon daemon{loop, times, std::move(config)};
    if (const auto started = daemon.start(); !started) {
        vr::log::error("{}", started.error().text);
        return 1;
    }
    signals.async_wait([&](const boost::system::error_code& error, int signal) {
        if (error) {
            return;
        }
        vr::log::info("stopping: signal {}", signal);
        if (signal == SIGUSR2) {
            loop.stop();  // peers keep the routes of who goes without a word (RFC 4724)
            return;
        }
        daemon.stop();
        farewell.expires_after(kFarewell);
        farewell.async_wait([&](const boost::system::error_code&) { loop.stop(); });
    });
    boost::asio::signal_set reload{loop, SIGHUP};
    const std::function<void()> reload_when_told = [&] {
        reload.async_wait([&](const boost::system::error_code& error, int /*signal*/) {
            if (error) {
                return;
            }
            daemon.reload_bgp([](const auto& reloaded) {
                if (!reloaded) {
                    vr::log::error("SIGHUP: {}", reloaded.error().text);
                }
            });
            reload_when_told();
        });
    };
    reload_when_told();
    vr::run(loop, times);
    return 0;
}

/// The file is right; says what this machine lacks for it.
int check_machine(const std::string& path, const vr::Config& config) {
    auto problems = vr::machine_problems(config, vr::allowed_cpus());
    std::ranges::copy(vr::file_problems(config), std::back_inserter(problems));
    for (const std::string& problem : problems) {
        std::fprintf(stderr, "vrouterd: %s: %s\n", path.c_str(), problem.c_str());
    }
    std::printf(
        "%s: the config is right%s\n",
        path.c_str(),
        problems.empty() ? "" : ", but this machine lacks what it names");
    return problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"vrouterd: Calico's network as one userspace router"};
    std::string path = "/etc/vrouter/vrouter.yaml";
    bool check = false;
    app.add_option("-c,--config", path, "config file")->capture_default_str();
    app.add_flag("--check", check, "say what is wrong with the config, or missing here, and end");
    app.set_version_flag("--version", VROUTER_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    auto config = vr::daemon::load_config(path);
    if (!config) {
        std::fprintf(stderr, "vrouterd: %s\n", config.error().text.c_str());
        return 1;
    }
    if (check) {
        return check_machine(path, *config);
    }
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);  // until there is something to take up
    vr::log::start(config->log_level);
    return run(std::move(*config));
}
