// vrouterctl: argv -> grammar -> request -> client ~ socket ~ vrouterd -> answer -> table, JSON or text.
// Offline commands answer by themselves.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/client.h"
#include "ctl/grammar.h"
#include "ctl/table.h"

namespace vr::ctl {
namespace {

constexpr std::string_view kDefaultSocket = "/run/vrouter/vrouter.sock";
constexpr std::chrono::milliseconds kRetry{50};

void out(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(std::string_view text) {
    std::fflush(stdout);
    std::fwrite(text.data(), 1, text.size(), stderr);
}

Result<std::string> read_file(const std::string& name) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened{
        name == "-" ? nullptr : std::fopen(name.c_str(), "re"),
        [](std::FILE* file) { return file == nullptr ? 0 : std::fclose(file); }};
    std::FILE* file = name == "-" ? stdin : opened.get();
    const auto reason = [] { return std::generic_category().message(errno); };
    if (file == nullptr) {
        return fail("cannot read " + name + ": " + reason());
    }
    std::string text;
    std::array<char, 65536> piece{};
    std::size_t n = 0;
    while ((n = std::fread(piece.data(), 1, piece.size(), file)) > 0) {
        text.append(piece.data(), n);
    }
    if (std::ferror(file) != 0) {
        return fail("cannot read " + name + ": " + reason());
    }
    return text;
}

std::optional<std::vector<std::string>> list_directory(const std::string& name) {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator at(name, error), end; !error && at != end; at.increment(error)) {
        names.push_back(at->path().filename().string());
    }
    if (error) {
        return std::nullopt;
    }
    std::ranges::sort(names);
    return names;
}

/// Shows the frames of one answer and remembers what they mean for the exit code.
class Answer {
  public:
    explicit Answer(const Invocation& invocation)
        : invocation_(invocation),
          layout_(layout_of(*invocation.command, invocation.values)),
          table_(invocation.command->columns, invocation.values.text("output") == "wide", out),
          json_(out) {}

    void show(const pb::Response& frame) {
        const Command& command = *invocation_.command;
        if (frame.has_error()) {
            complain("vrouterctl: " + frame.error().text() + "\n");
            exit_ = Exit::Refused;
            return;
        }
        if (body(frame) == nullptr) {
            return;  // the router is not done yet
        }
        if (invocation_.json) {
            json_.print(frame);
        } else if (layout_ == Layout::Text) {
            out(command.text(frame));
        } else if (layout_ == Layout::Details) {
            out(details(frame));
        } else {
            table_.print(frame);
        }
        if (command.exit != nullptr && exit_ == Exit::Ok) {
            exit_ = command.exit(frame);
        }
    }

    [[nodiscard]] Exit exit() const noexcept { return exit_; }

  private:
    const Invocation& invocation_;
    Layout layout_;
    Table table_;
    JsonLines json_;
    Exit exit_ = Exit::Ok;
};

Result<Client> connect(const Invocation& invocation) {
    const auto end = std::chrono::steady_clock::now() + invocation.timeout;
    while (true) {
        auto client = Client::connect(invocation.socket, invocation.timeout);
        if (client || !invocation.command->waits || std::chrono::steady_clock::now() >= end) {
            return client;
        }
        std::this_thread::sleep_for(kRetry);
    }
}

/// Commands that need no router.
Exit perform_here(const Invocation& invocation) {
    const Command& command = *invocation.command;
    if (command.answer == nullptr) {
        out(bash_completion());
        return Exit::Ok;
    }
    const auto found = command.answer(invocation.values, {read_file, list_directory});
    if (!found) {
        complain(fmt::format("vrouterctl: {}: {}\n", command.words, found.error().text));
        return Exit::Usage;
    }
    Answer answer{invocation};
    answer.show(*found);
    return answer.exit();
}

Exit perform(const Invocation& invocation) {
    if (invocation.command->request == nullptr) {
        return perform_here(invocation);
    }
    auto client = connect(invocation);
    Answer answer{invocation};
    auto called =
        client ? client->call(
                     invocation.request, [&](const pb::Response& frame) { answer.show(frame); })
               : fail(client.error().text);
    if (!called) {
        complain("vrouterctl: " + called.error().text + "\n");
        return Exit::Unreachable;
    }
    return answer.exit();
}

Exit run(int argc, char** argv) {
    const char* socket = std::getenv("VROUTER_SOCKET");
    auto parsed = parse(
        {argv + 1, argv + argc},
        socket != nullptr && *socket != '\0' ? socket : std::string(kDefaultSocket),
        read_file);
    if (const auto* notice = std::get_if<Notice>(&parsed)) {
        if (notice->exit == Exit::Ok) {
            out(notice->text);
        } else {
            complain(notice->text);
        }
        return notice->exit;
    }
    return perform(std::get<Invocation>(parsed));
}

}  // namespace
}  // namespace vr::ctl

int main(int argc, char** argv) {
    const auto exit = vr::ctl::run(argc, argv);
    return std::fflush(stdout) == 0 ? static_cast<int>(exit) : EXIT_FAILURE;
}
