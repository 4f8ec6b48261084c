// The rows become a CLI11 application; what CLI11 reports becomes one sentence of ours.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <ranges>

#include <CLI/CLI.hpp>

namespace vr::ctl {

namespace {

/// Where CLI11 keeps what it read for the arguments of one command.
struct Typed {
    std::map<const Argument*, CLI::Option*> options;
    std::deque<std::string> single;
    std::deque<std::vector<std::string>> several;
};

/// What --help says of an argument: a small choice is listed.
std::string help_of(const Argument& argument) {
    std::string help(argument.help);
    if (argument.type->words != nullptr) {
        help += fmt::format(": {}", fmt::join(argument.type->words(), ", "));
    }
    return help;
}

void add(CLI::App& app, const Argument& argument, Typed& typed) {
    const std::string help = help_of(argument);
    const std::string name(argument.form == Form::Positional ? argument.name : argument.flags);
    auto& option = typed.options[&argument];
    if (argument.form == Form::Flag) {
        option = app.add_flag(name, help);
        return;
    }
    if (argument.type == &kFile || argument.several) {
        option = app.add_option(name, typed.several.emplace_back(), help);
        option->allow_extra_args(argument.form == Form::Positional);
    } else {
        option = app.add_option(name, typed.single.emplace_back(), help);
    }
    option->type_name(std::string(argument.type->placeholder));
    option->required(argument.required);
}

/// How the argument is called in messages: "--dport", "PREFIX|ADDRESS".
std::string name_of(const Argument& argument) {
    if (argument.form == Form::Positional) {
        return std::string(argument.type->placeholder);
    }
    return std::string(argument.flags.substr(0, argument.flags.find(',')));
}

/// What was typed, as it can be printed.
std::string shown(std::string text) {
    if (!is_utf8(text)) {
        std::ranges::replace_if(text, [](char each) { return (each & 0x80) != 0; }, '?');
    }
    return text;
}

/// Checks what was typed for one argument against its type and takes it over.
Result<void> take(
    const Argument& argument, const std::string& text, const ReadFile& read, Values& values) {
    if (!argument.type->accepts(text)) {
        return fail(fmt::format(
            "{}: '{}' is not {}", name_of(argument), shown(text), argument.type->expects));
    }
    if (argument.several) {
        values.lists[std::string(argument.name)].push_back(text);
        return {};
    }
    if (argument.type != &kFile) {
        values.texts.emplace(argument.name, text);
        return {};
    }
    auto content = read(text);
    if (!content) {
        return fail(std::move(content).error(), name_of(argument));
    }
    values.files.push_back({.name = text, .text = std::move(*content)});
    return {};
}

/// The same for all arguments of a command.
Result<void> take(
    const std::vector<Argument>& arguments,
    const Typed& typed,
    const ReadFile& read,
    Values& values) {
    for (const Argument& argument : arguments) {
        const CLI::Option& option = *typed.options.at(&argument);
        if (argument.form == Form::Flag) {
            if (option.count() > 0) {
                values.texts.emplace(argument.name, "yes");
            }
            continue;
        }
        for (const std::string& text : option.results()) {
            if (auto taken = take(argument, text, read, values); !taken) {
                return taken;
            }
        }
    }
    return {};
}

std::string exit_codes() {
    std::string text = "Exit codes:\n";
    for (const auto& [code, meaning] : kExitMeanings) {
        text += fmt::format("  {}  {}\n", static_cast<int>(code), meaning);
    }
    return text;
}

/// The CLI11 application made from the table, and where it stores what it reads.
class Application {
  public:
    Application() {
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.set_version_flag("--version", VROUTER_VERSION);
        app_.footer("--socket, --json and --timeout go with every command: vrouterctl --help");
        for (const Argument& option : global_options()) {
            add(app_, option, globals);
        }
        for (const Command& command : commands()) {
            auto* node = &parent_of(command);
            node = node->add_subcommand(std::string(last_word(command)), std::string(command.help));
            node->require_subcommand(0);
            if (!command.example.empty()) {
                node->footer(fmt::format("Example: {}\n{}", command.example, app_.get_footer()));
            }
            for (const Argument& argument : command.arguments) {
                add(*node, argument, typed[&command]);
            }
            nodes_.emplace(node, &command);
        }
        app_.footer(exit_codes());  // on the first page only: the commands have the line above
    }

    CLI::App& app() { return app_; }

    /// The command whose words were read last; null for a verb alone.
    [[nodiscard]] const Command* chosen() const {
        const CLI::App* node = deepest();
        const auto found = nodes_.find(node);
        return found == nodes_.end() ? nullptr : found->second;
    }

    /// The words read so far: "show routes", for messages.
    [[nodiscard]] std::string path() const {
        std::string words;
        const CLI::App* node = &app_;
        while (!node->get_subcommands().empty()) {
            node = node->get_subcommands().back();
            words += (words.empty() ? "" : " ") + node->get_name();
        }
        return words;
    }

    Typed globals;
    std::map<const Command*, Typed> typed;

  private:
    static std::string_view last_word(const Command& command) {
        return command.words.substr(command.words.rfind(' ') + 1);
    }

    CLI::App& parent_of(const Command& command) {
        const auto space = command.words.find(' ');
        if (space == std::string_view::npos) {
            return app_;
        }
        const std::string verb(command.words.substr(0, space));
        auto*& node = verbs_[verb];
        if (node == nullptr) {
            node = app_.add_subcommand(verb, std::string(verb_help(verb)));
            node->require_subcommand(1);
        }
        return *node;
    }

    [[nodiscard]] const CLI::App* deepest() const {
        const CLI::App* node = &app_;
        while (!node->get_subcommands().empty()) {
            node = node->get_subcommands().back();
        }
        return node;
    }

    CLI::App app_{"Asks and commands a running vrouterd", "vrouterctl"};
    std::map<std::string, CLI::App*> verbs_;
    std::map<const CLI::App*, const Command*> nodes_;
};

Notice usage(const std::string& path, const std::string& problem) {
    const std::string command = path.empty() ? "vrouterctl" : "vrouterctl " + path;
    return {
        .exit = Exit::Usage,
        .text = fmt::format(
            "vrouterctl: {}{}{} ('{} --help' tells more)\n",
            path,
            path.empty() ? "" : ": ",
            problem,
            command)};
}

/// CLI11's complaint in our words.
std::string complaint(const CLI::ParseError& error, const std::vector<std::string>& extras) {
    const bool no_command = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
                            std::string_view(error.what()).starts_with("A subcommand");
    const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    if ((no_command || unknown) && !extras.empty()) {
        return fmt::format("'{}' is not understood", extras.front());
    }
    return no_command ? "a command is missing" : error.what();
}

std::variant<Invocation, Notice> invoke(Application& application, const ReadFile& read) {
    const Command* command = application.chosen();
    const std::string path = application.path();
    if (command == nullptr) {
        return usage(path, "a command is missing");
    }
    Invocation invocation;
    invocation.command = command;
    Values globals;
    auto taken = take(global_options(), application.globals, read, globals);
    if (taken) {
        taken = take(command->arguments, application.typed[command], read, invocation.values);
    }
    if (!taken) {
        return usage(path, taken.error().text);
    }
    if (command->request != nullptr) {
        auto request = command->request(invocation.values);
        if (!request) {
            return usage(path, request.error().text);
        }
        invocation.request = std::move(*request);
    }
    invocation.socket = globals.text("socket");
    invocation.json = globals.has("json") || invocation.values.text("output") == "json";
    if (invocation.json && command->octets) {
        return usage(path, "--json: what it writes is no text");
    }
    if (globals.has("timeout")) {
        invocation.timeout = std::chrono::seconds{globals.number("timeout")};
        invocation.answer = invocation.timeout;
    } else if (command->lasts) {
        invocation.answer = std::chrono::seconds{0};
    }
    return invocation;
}

}  // namespace

std::variant<Invocation, Notice> parse(
    std::vector<std::string> words, const std::string& default_socket, const ReadFile& read) {
    Application application;
    try {
        std::ranges::reverse(words);  // CLI11 takes them from the back
        application.app().parse(words);
    } catch (const CLI::CallForHelp&) {
        return Notice{.exit = Exit::Ok, .text = application.app().help()};
    } catch (const CLI::CallForVersion&) {
        return Notice{.exit = Exit::Ok, .text = std::string(VROUTER_VERSION) + "\n"};
    } catch (const CLI::ParseError& error) {
        return usage(application.path(), complaint(error, application.app().remaining(true)));
    }
    auto parsed = invoke(application, read);
    if (auto* invocation = std::get_if<Invocation>(&parsed);
        invocation != nullptr && invocation->socket.empty()) {
        invocation->socket = default_socket;
    }
    return parsed;
}

}  // namespace vr::ctl
