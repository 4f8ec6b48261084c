// vrouter-policyd: reads its arguments and its config, then watches the datastore and streams to every
// host what it needs, until it is told to stop.
//
// Exit codes: 0 stopped as told, 1 could not start or nobody answers, 2 wrong usage.
// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <expected>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <policyd.pb.h>

#include "policy/policyd/config.h"
#include "policy/policyd/program.h"
#include "policy/policyd/recording.h"
#include "policy/policyd/status.h"
#include "vrouter/net/log.h"

namespace {

int show_status(const std::string& socket, bool as_json) {
    auto text = vr::policyd::ask_status(socket);
    if (text && !as_json) {
        text = vr::policyd::status_text(*text);
    }
    if (!text) {
        std::fprintf(stderr, "vrouter-policyd: %s\n", text.error().text.c_str());
        return 1;
    }
    std::fputs(text->c_str(), stdout);
    return 0;
}

/// What `host` was told, empty: all hosts were.
int show_recording(const std::string& path, const std::string& host) {
    using Entry = vr::policyd::pb::Recorded;
    const auto shown = vr::policyd::play(path, [&](const Entry& entry) -> vr::Result<void> {
        if (host.empty() || entry.host() == host) {
            const auto lines = vr::policyd::json_lines(entry);
            if (!lines) {
                return std::unexpected(lines.error());
            }
            std::fputs(lines->c_str(), stdout);
        }
        return {};
    });
    if (!shown) {
        std::fflush(stdout);
        std::fprintf(stderr, "vrouter-policyd: %s\n", shown.error().text.c_str());
        return 1;
    }
    return 0;
}

/// Where the vrouter-policyd of the config at `path` is asked.
vr::Result<std::string> socket_of(const std::string& path) {
    auto config = vr::policyd::load_config(path);
    return config ? vr::Result<std::string>{std::move(config->control_socket)}
                  : std::unexpected(std::move(config).error());
}

/// The file is right; says what this machine lacks for it.
int check_machine(const std::string& path, const vr::policyd::PolicydConfig& config) {
    const auto problems = vr::policyd::machine_problems(config);
    for (const std::string& problem : problems) {
        std::fprintf(stderr, "vrouter-policyd: %s: %s\n", path.c_str(), problem.c_str());
    }
    std::printf(
        "%s: the config is right%s\n",
        path.c_str(),
        problems.empty() ? "" : ", but this machine lacks what it names");
    return problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"vrouter-policyd: streams to every host the policy that it needs"};
    std::string path = "/etc/vrouter/policyd.yaml";
    std::string recording;
    std::string socket;
    bool check = false;
    bool as_json = false;
    auto* given = app.add_option("-c,--config", path, "config file")->capture_default_str();
    app.add_flag("--check", check, "say what is wrong with the config, or missing here, and end");
    app.add_option("--record", recording, "write everything that hosts are told to this file");
    auto* asked =
        app.add_option("--socket", socket, "status: the control socket, if not --config's");
    auto* json = app.add_flag("--json", as_json, "status: as JSON");
    app.set_version_flag("--version", VROUTER_VERSION);
    auto* status = app.add_subcommand("status", "what the running vrouter-policyd does");
    status->fallthrough();  // options may stand behind it
    std::string played;
    std::string host;
    auto* play = app.add_subcommand(
        "play",
        "what hosts were told, of a file that --record wrote: JSON, a line for each update");
    play->add_option("FILE", played, "the recording")->required();
    play->add_option("--host", host, "of this host alone");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (status->parsed()) {
        if (socket.empty()) {
            auto named = socket_of(path);
            if (!named && given->count() > 0) {
                std::fprintf(stderr, "vrouter-policyd: %s\n", named.error().text.c_str());
                return 1;
            }
            socket = named.value_or(vr::policyd::PolicydConfig{}.control_socket);
        }
        return show_status(socket, as_json);
    }
    if (play->parsed()) {
        return show_recording(played, host);
    }
    if (asked->count() + json->count() > 0) {
        std::fputs("vrouter-policyd: --socket and --json belong to 'status'\n", stderr);
        return 2;
    }
    auto config = vr::policyd::load_config(path);
    if (!config) {
        std::fprintf(stderr, "vrouter-policyd: %s\n", config.error().text.c_str());
        return 1;
    }
    if (check) {
        return check_machine(path, *config);
    }
    config->server.recording = recording;
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);  // the config is read at start: nothing to do, no reason to end
    vr::log::start(config->log_level);
    return vr::policyd::run(*config);
}
