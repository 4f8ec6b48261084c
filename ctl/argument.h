// Arguments of commands: what may be typed, and what was.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vr::ctl {

/// A kind of value.  `expects` ends the sentence "... is not".
struct ArgumentType {
    std::string_view placeholder;
    std::string_view expects;
    bool (*accepts)(std::string_view text);
    /// Words that completion offers, if the choice is small.
    std::vector<std::string_view> (*words)() = nullptr;
};

extern const ArgumentType kAddress;
extern const ArgumentType kAddressOrAll;
extern const ArgumentType kPrefixOrAddress;
extern const ArgumentType kProtocol;
extern const ArgumentType kPortNumber;
extern const ArgumentType kByte;
extern const ArgumentType kSize;
extern const ArgumentType kSeconds;
extern const ArgumentType kName;
extern const ArgumentType kKind;
extern const ArgumentType kFormat;
/// The named file's content (`-`: standard input) goes into the request.
extern const ArgumentType kFile;

enum class Form { Positional, Option, Flag };

struct Argument {
    std::string_view name;  ///< key of the value: "prefix", "namespace"
    Form form = Form::Positional;
    std::string_view flags;  ///< "-n,--namespace" for options and flags
    const ArgumentType* type = &kName;
    std::string_view help;
    bool required = false;
};

struct File {
    std::string name;
    std::string text;
};

/// What was typed for one command, already checked against its types.
struct Values {
    std::map<std::string, std::string, std::less<>> texts;
    std::vector<File> files;

    [[nodiscard]] bool has(std::string_view name) const { return texts.contains(name); }

    /// Empty when not given.
    [[nodiscard]] std::string text(std::string_view name) const {
        const auto found = texts.find(name);
        return found == texts.end() ? std::string{} : found->second;
    }

    /// 0 when not given.
    [[nodiscard]] std::uint32_t number(std::string_view name) const {
        const std::string digits = text(name);
        std::uint32_t value = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
    }
};

}  // namespace vr::ctl
