// vrouter-policyd: reads its arguments and its config, then watches the datastore and streams to every
// host what it needs, until it is told to stop.
//
// Exit codes: 0 stopped as told, 1 could not start or nobody answers, 2 wrong usage.
// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "policy/policyd/config.h"
#include "policy/policyd/program.h"
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

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"vrouter-policyd: streams to every host the policy that it needs"};
    std::string path = "/etc/vrouter/policyd.yaml";
    std::string recording;
    std::string socket = vr::policyd::PolicydConfig{}.control_socket;
    bool check = false;
    bool as_json = false;
    app.add_option("-c,--config", path, "config file")->capture_default_str();
    app.add_flag("--check", check, "read the config file, say what is wrong with it, and end");
    app.add_option("--record", recording, "write everything that hosts are told to this file");
    app.set_version_flag("--version", VROUTER_VERSION);
    auto* status = app.add_subcommand("status", "what the running vrouter-policyd does");
    status->add_flag("--json", as_json, "as JSON");
    status->add_option("--socket", socket, "its control socket")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (status->parsed()) {
        return show_status(socket, as_json);
    }
    auto config = vr::policyd::load_config(path);
    if (!config) {
        std::fprintf(stderr, "vrouter-policyd: %s\n", config.error().text.c_str());
        return 1;
    }
    if (check) {
        std::printf("%s: the config is right\n", path.c_str());
        return 0;
    }
    config->server.recording = recording;
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);  // the config is read at start: nothing to do, no reason to end
    vr::log::start(config->log_level);
    return vr::policyd::run(*config);
}
