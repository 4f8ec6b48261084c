// What rows of the table of commands are made of: columns and arguments.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "ctl/argument.h"
#include "ctl/commands.h"
#include "ctl/table.h"

namespace vr::ctl {

/// A column of one field.
constexpr Column field(std::string_view title, std::string_view name) {
    return {.title = title, .field = name};
}

/// The same, in the wide form only.
constexpr Column wide(std::string_view title, std::string_view name) {
    return {.title = title, .field = name, .wide = true};
}

/// A column made from several fields.
constexpr Column made(
    std::string_view title, std::string (*text)(const google::protobuf::Message&)) {
    return {.title = title, .field = {}, .text = text};
}

constexpr Argument positional(
    std::string_view name, const ArgumentType& type, std::string_view help) {
    return {.name = name, .flags = {}, .type = &type, .help = help};
}

constexpr Argument option(
    std::string_view name,
    std::string_view flags,
    const ArgumentType& type,
    std::string_view help) {
    return {.name = name, .form = Form::Option, .flags = flags, .type = &type, .help = help};
}

constexpr Argument flag(std::string_view name, std::string_view flags, std::string_view help) {
    return {.name = name, .form = Form::Flag, .flags = flags, .help = help};
}

constexpr Argument required(Argument argument) {
    argument.required = true;
    return argument;
}

constexpr Argument several(Argument argument) {
    argument.several = true;
    return argument;
}

inline Layout always_details(const Values& /*values*/) {
    return Layout::Details;
}

}  // namespace vr::ctl
