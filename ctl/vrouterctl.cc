// vrouterctl: argv -> grammar -> request -> client ~ socket ~ vrouterd -> answer -> table, JSON or text.
// Offline commands answer by themselves.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <unistd.h>

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

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "ctl/client.h"
#include "ctl/grammar.h"
#include "ctl/table.h"
#include "ctl/waiting_line.h"

namespace vr::ctl {
namespace {

constexpr std::string_view kDefaultSocket = "/run/vrouter/vrouter.sock";
constexpr std::chrono::milliseconds kRetry{50};

void out(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

/// Says on standard error why a command failed: as JSON where JSON was asked for.
class Complaints {
  public:
    explicit Complaints(bool as_json) : as_json_(as_json) {}

    /// `text` is for people, with the program's name in front and a line's end.
    void say(Exit exit, std::string_view text) const {
        std::fflush(stdout);
        std::string line(text);
        if (as_json_) {
            constexpr std::string_view kProgram = "vrouterctl: ";
            text.remove_prefix(text.starts_with(kProgram) ? kProgram.size() : 0);
            text.remove_suffix(text.ends_with('\n') ? 1 : 0);
            const boost::json::object error{{"error", text}, {"exit", static_cast<int>(exit)}};
            line = boost::json::serialize(error) + "\n";
        }
        std::fwrite(line.data(), 1, line.size(), stderr);
    }

  private:
    bool as_json_;
};

Result<ReadPiece> open_file(const std::string& name) {
    const auto failed = [name] {
        return fail("cannot read " + name + ": " + std::generic_category().message(errno));
    };
    const std::shared_ptr<std::FILE> file{
        name == "-" ? stdin : std::fopen(name.c_str(), "re"), [](std::FILE* opened) {
            if (opened != nullptr && opened != stdin) {
                std::fclose(opened);
            }
        }};
    if (file == nullptr) {
        return failed();
    }
    if (std::error_code ignored; std::filesystem::is_directory(name, ignored)) {
        errno = EISDIR;
        return failed();
    }
    return ReadPiece{[file, failed](std::span<std::uint8_t> room) -> Result<std::size_t> {
        const std::size_t size = std::fread(room.data(), 1, room.size(), file.get());
        if (size == 0 && std::ferror(file.get()) != 0) {
            return failed();
        }
        return size;
    }};
}

/// As much as a router reads of a file of objects.
constexpr std::size_t kMaxText = 64U << 20U;

Result<std::string> read_file(const std::string& name) {
    const auto read = open_file(name);
    if (!read) {
        return fail(read.error().text);
    }
    std::string text;
    std::vector<std::uint8_t> piece(65536);
    while (true) {
        const auto size = (*read)(piece);
        if (!size) {
            return fail(size.error().text);
        }
        if (*size == 0) {
            return text;
        }
        if (text.size() + *size > kMaxText) {
            return fail(fmt::format("{}: larger than {} MiB", name, kMaxText >> 20U));
        }
        text.append(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(*size));
    }
}

std::optional<std::vector<Files::Entry>> list_directory(const std::string& name) {
    namespace fs = std::filesystem;
    using Type = Files::Entry::Type;
    std::error_code error;
    std::vector<Files::Entry> entries;
    for (fs::directory_iterator at(name, error), end; !error && at != end; at.increment(error)) {
        std::error_code lost;
        const fs::file_status status = at->status(lost);
        entries.push_back(
            {at->path().filename().string(),
             fs::is_regular_file(status) ? Type::File
             : fs::is_directory(status)  ? Type::Directory
                                         : Type::Other});
    }
    if (error) {
        return std::nullopt;
    }
    std::ranges::sort(entries, {}, &Files::Entry::name);
    return entries;
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
            exit_ = Exit::Refused;
            Complaints{invocation_.json}.say(exit_, "vrouterctl: " + frame.error().text() + "\n");
            return;
        }
        if (body(frame) == nullptr) {
            return;  // the router is not done yet
        }
        if (invocation_.json) {
            json_.print(frame);
            for (const std::string& problem : problems_beside_rows(frame)) {
                Complaints{true}.say(Exit::Refused, problem);
            }
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

using Clock = std::chrono::steady_clock;

/// Asks once.  The answer of a command that waits is looked at first: false, and nothing is shown, while
/// it is not the one that is waited for, unless `last`.
Result<bool> ask(const Invocation& invocation, Answer& answer, bool last) {
    auto client = Client::connect(invocation.socket, invocation.timeout, invocation.answer);
    if (!client) {
        return fail(client.error().text);
    }
    std::optional<WaitingLine> waiting;
    if (invocation.command->lasts && !invocation.json && ::isatty(STDERR_FILENO) == 1) {
        waiting.emplace(fmt::format("vrouterctl: {}", invocation.command->words), stderr);
    }
    bool ready = true;
    auto called = client->call(invocation.request, [&](const pb::Response& frame) {
        waiting.reset();
        const auto is_ready = invocation.command->ready;
        ready = is_ready == nullptr || frame.has_error() || is_ready(frame);
        if (ready || last) {
            answer.show(frame);
        }
    });
    return called ? Result<bool>{ready} : fail(called.error().text);
}

Files files_here() {
    return {.read = read_file, .open = open_file, .list = list_directory};
}

/// Commands that need no router.
Exit perform_here(const Invocation& invocation) {
    const Command& command = *invocation.command;
    const Files files = files_here();
    Answer answer{invocation};
    Result<void> shown;
    if (command.frames != nullptr) {
        shown = command.frames(
            invocation.values, files, [&](const pb::Response& frame) { answer.show(frame); });
    } else if (command.answer != nullptr) {
        const auto found = command.answer(invocation.values, files);
        if (found) {
            answer.show(*found);
        } else {
            shown = fail(found.error().text);
        }
    } else {
        out(bash_completion());
    }
    if (!shown) {
        Complaints{invocation.json}.say(
            Exit::Usage, fmt::format("vrouterctl: {}: {}\n", command.words, shown.error().text));
        return Exit::Usage;
    }
    return answer.exit();
}

/// Commands that ask a router many things about files of this machine.
Exit converse(const Invocation& invocation) {
    const Complaints complaints{invocation.json};
    auto client = Client::connect(invocation.socket, invocation.timeout, invocation.answer);
    bool reached = client.has_value();
    const auto ask_once = [&](const pb::Request& request) -> Result<pb::Response> {
        pb::Response answer;
        const auto called =
            client->call(request, [&](const pb::Response& frame) { answer = frame; });
        reached = called.has_value();
        return called ? Result<pb::Response>{std::move(answer)} : fail(called.error().text);
    };
    const auto said =
        client ? invocation.command->conversation(invocation.values, files_here(), ask_once)
               : Result<pb::Response>{fail(client.error().text)};
    if (!said) {
        const Exit exit = reached ? Exit::Usage : Exit::Unreachable;
        const std::string what =
            reached ? fmt::format("{}: ", invocation.command->words) : std::string{};
        complaints.say(exit, fmt::format("vrouterctl: {}{}\n", what, said.error().text));
        return exit;
    }
    Answer answer{invocation};
    answer.show(*said);
    return answer.exit();
}

Exit perform(const Invocation& invocation) {
    const Command& command = *invocation.command;
    if (command.octets && ::isatty(STDOUT_FILENO) == 1) {
        Complaints{invocation.json}.say(
            Exit::Usage,
            fmt::format(
                "vrouterctl: {}: a terminal cannot show it: {}\n", command.words, command.example));
        return Exit::Usage;
    }
    if (command.conversation != nullptr) {
        return converse(invocation);
    }
    if (command.request == nullptr) {
        return perform_here(invocation);
    }
    const auto end = Clock::now() + invocation.timeout;
    const Complaints complaints{invocation.json};
    Answer answer{invocation};
    while (true) {
        const bool last = Clock::now() >= end;
        const auto ready = ask(invocation, answer, last);
        // Who waits also waits for a router that is not there yet, or that is just going.
        if (!ready && (last || !command.waits)) {
            complaints.say(Exit::Unreachable, "vrouterctl: " + ready.error().text + "\n");
            return Exit::Unreachable;
        }
        if (ready && *ready) {
            return answer.exit();
        }
        if (last) {
            complaints.say(Exit::Unreachable, "vrouterctl: not ready in time\n");
            return Exit::Unreachable;
        }
        std::this_thread::sleep_for(kRetry);
    }
}

Exit run(int argc, char** argv) {
    const char* socket = std::getenv("VROUTER_SOCKET");
    const std::vector<std::string> words{argv + 1, argv + argc};
    auto parsed = parse(
        words,
        socket != nullptr && *socket != '\0' ? socket : std::string(kDefaultSocket),
        read_file);
    if (const auto* notice = std::get_if<Notice>(&parsed)) {
        if (notice->exit == Exit::Ok) {
            out(notice->text);
        } else {
            // Nothing was understood: the word itself is all that is known.
            Complaints{std::ranges::count(words, "--json") != 0}.say(notice->exit, notice->text);
        }
        return notice->exit;
    }
    return perform(std::get<Invocation>(parsed));
}

}  // namespace
}  // namespace vr::ctl

int main(int argc, char** argv) {
    const auto exit = vr::ctl::run(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
        return static_cast<int>(exit);
    }
    std::perror("vrouterctl: not all could be written");
    return EXIT_FAILURE;
}
