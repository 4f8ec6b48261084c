// The table of vrouterctl's commands.  A row carries everything of its command: words, help, arguments,
// the request it becomes and how its answer is shown.  Parsing, --help, usage errors and shell
// completion are made from the rows; nothing of a command is written down twice.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vrouter.pb.h>

#include "ctl/argument.h"
#include "ctl/exit_code.h"
#include "ctl/table.h"
#include "vrouter/net/result.h"

namespace vr::ctl {

/// How an answer is shown to a person.
enum class Layout {
    Table,    ///< `columns`, one line a row
    Details,  ///< every field on its own line
    Text,     ///< what `text` makes of it
};

/// Reads the next octets of a file; 0 at its end.
using ReadPiece = std::function<Result<std::size_t>(std::span<std::uint8_t> room)>;

/// The files of this machine, for commands that need no router.
struct Files {
    /// `-`: standard input.
    std::function<Result<std::string>(const std::string& name)> read;
    /// The same, for files that may be larger than memory.
    std::function<Result<ReadPiece>(const std::string& name)> open;

    struct Entry {
        enum class Type : std::uint8_t { File, Directory, Other };

        std::string name;
        Type type = Type::File;  ///< links are followed; Other where one leads nowhere
    };

    /// What is in a directory, by name; nothing when `name` is no directory.
    std::function<std::optional<std::vector<Entry>>(const std::string& name)> list;
};

struct Command {
    std::string_view words;  ///< "show routes"
    std::string_view help;
    // GCC wants `{}` where a row leaves it out.
    std::vector<Argument> arguments{};
    /// The request that the typed values become; null: vrouterctl answers by itself.
    Result<pb::Request> (*request)(const Values& values) = nullptr;
    /// Its answer then, or why the command line is wrong; all null: the completion script.
    Result<pb::Response> (*answer)(const Values& values, const Files& files) = nullptr;
    /// The same, where the answer is long.
    Result<void> (*frames)(
        const Values& values,
        const Files& files,
        const std::function<void(const pb::Response& frame)>& show) = nullptr;
    /// Many requests, one after the other, made from files; the answer to all of them, or the router's refusal of one.
    /// An error: the command line is wrong.
    Result<pb::Response> (*conversation)(
        const Values& values,
        const Files& files,
        const std::function<Result<pb::Response>(const pb::Request& request)>& ask) = nullptr;
    std::string_view example{};  ///< how it is typed, for --help and the README
    std::span<const Column> columns{};
    std::string (*text)(const pb::Response& frame) = nullptr;
    Layout (*layout)(const Values& values) = nullptr;   ///< null: Text if there is one, else Table
    Exit (*exit)(const pb::Response& frame) = nullptr;  ///< null: Ok
    bool waits = false;  ///< tries again until the router can be reached ...
    bool (*ready)(const pb::Response& frame) =
        nullptr;          ///< ... and answers so; null: any answer will do
    bool octets = false;  ///< its text is a file of octets: neither JSON nor for a terminal
    /// It is carried out to its end, seen or not: the answer is waited for without --timeout, too, and a terminal
    /// shows for how long.
    bool lasts = false;
};

[[nodiscard]] const std::vector<Command>& commands();

/// Help of a word that has commands below it: "show".
[[nodiscard]] std::string_view verb_help(std::string_view verb);

/// Options that every command takes.
[[nodiscard]] const std::vector<Argument>& global_options();

[[nodiscard]] Layout layout_of(const Command& command, const Values& values);

}  // namespace vr::ctl
