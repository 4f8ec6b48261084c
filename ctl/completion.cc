// The bash completion script, made from the same rows as the grammar.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "ctl/grammar.h"

namespace vr::ctl {

namespace {

/// Offered words by the words before the cursor: "" -> {show, get, ...}, "show" -> {ports, ...}.
using Offers = std::map<std::string, std::set<std::string>>;

/// Calls `use` for "-n" and "--namespace" of "-n,--namespace".
template <typename Use>
void for_each_flag(std::string_view flags, Use use) {
    while (!flags.empty()) {
        const auto comma = flags.find(',');
        use(std::string(flags.substr(0, comma)));
        flags = comma == std::string_view::npos ? std::string_view{} : flags.substr(comma + 1);
    }
}

void offer_words(const Command& command, Offers& offers) {
    std::string path;
    std::string_view rest = command.words;
    while (!rest.empty()) {
        const auto space = rest.find(' ');
        const std::string word(rest.substr(0, space));
        offers[path].insert(word);
        path += (path.empty() ? "" : " ") + word;
        rest = space == std::string_view::npos ? std::string_view{} : rest.substr(space + 1);
    }
}

void offer_arguments(const Command& command, Offers& offers) {
    auto& words = offers[std::string(command.words)];
    for (const Argument& argument : command.arguments) {
        for_each_flag(argument.flags, [&](const std::string& flag) { words.insert(flag); });
        if (argument.form == Form::Positional && argument.type->words != nullptr) {
            for (const auto word : argument.type->words()) {
                words.emplace(word);
            }
        }
    }
}

bool takes_files(const Command& command) {
    return std::ranges::any_of(command.arguments, [](const Argument& argument) {
        return argument.form == Form::Positional &&
               (argument.type == &kFile || argument.type == &kLargeFile ||
                argument.type == &kDirectory);
    });
}

std::string joined(const std::set<std::string>& words) {
    std::string text;
    for (const auto& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

/// Options that take a value, with the words offered for it (none: bash offers file names for files).
struct Valued {
    std::map<std::string, std::set<std::string>> words;
    std::set<std::string> files;

    void add(const Argument& argument) {
        if (argument.form != Form::Option) {
            return;
        }
        for_each_flag(argument.flags, [&](const std::string& flag) {
            auto& offered = words[flag];
            if (argument.type->words != nullptr) {
                for (const auto word : argument.type->words()) {
                    offered.emplace(word);
                }
            }
            if (argument.type == &kFile || argument.name == "socket") {
                files.insert(flag);
            }
        });
    }
};

std::string value_cases(const Valued& valued) {
    std::string text;
    for (const auto& [flag, words] : valued.words) {
        const std::string generate =
            valued.files.contains(flag)
                ? "compgen -f -- \"$current\""
                : fmt::format("compgen -W \"{}\" -- \"$current\"", joined(words));
        text += fmt::format("        {}) COMPREPLY=($({})); return ;;\n", flag, generate);
    }
    return text;
}

std::string skip_pattern(const Valued& valued) {
    std::string text;
    for (const auto& [flag, words] : valued.words) {
        text += (text.empty() ? "" : "|") + flag;
    }
    return text;
}

}  // namespace

std::string bash_completion() {
    Offers offers;
    Valued valued;
    std::set<std::string> everywhere{"--help"};
    offers[""].insert("--version");
    for (const Argument& option : global_options()) {
        valued.add(option);
        for_each_flag(option.flags, [&](const std::string& flag) { everywhere.insert(flag); });
    }
    for (const Command& command : commands()) {
        offer_words(command, offers);
        offer_arguments(command, offers);
        for (const Argument& argument : command.arguments) {
            valued.add(argument);
        }
    }
    std::set<std::string> with_files;
    for (const Command& command : commands()) {
        if (takes_files(command)) {
            with_files.emplace(command.words);
        }
    }
    std::string paths;
    for (const auto& [path, words] : offers) {
        paths += fmt::format(
            "        \"{}\") words=\"{}\"{} ;;\n",
            path,
            joined(words),
            with_files.contains(path) ? "; files=-f" : "");
    }
    std::string verbs;
    for (const auto& [path, words] : offers) {
        verbs += path.empty() ? "" : fmt::format("|{}|", path);
    }
    return fmt::format(
        R"(# bash completion for vrouterctl, made by `vrouterctl completion bash`
_vrouterctl() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    local path="" word next words="" files="" i
    case "$previous" in
{}    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        case "$word" in
            {}) ((i++)); continue ;;
            -*) continue ;;
        esac
        next="${{path:+$path }}$word"
        case "{}" in *"|$next|"*) path="$next" ;; esac
    done
    case "$path" in
{}    esac
    COMPREPLY=($(compgen -W "$words {}" $files -- "$current"))
}}
complete -F _vrouterctl vrouterctl
)",
        value_cases(valued),
        skip_pattern(valued),
        verbs,
        paths,
        joined(everywhere));
}

}  // namespace vr::ctl
