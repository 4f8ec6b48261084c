// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>

#include <algorithm>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "ctl/json.h"
#include "ctl/yaml_json.h"

namespace vr::ctl {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

constexpr std::string_view kGap = "  ";
constexpr std::string_view kEmpty = "-";

const FieldDescriptor* rows_field(const Message& message) {
    const auto* field = message.GetDescriptor()->FindFieldByName("rows");
    return field != nullptr && field->is_repeated() ? field : nullptr;
}

bool is_numeric(const Message& row, const Column& column) {
    if (column.text != nullptr) {
        return false;
    }
    const auto* field = row.GetDescriptor()->FindFieldByName(std::string(column.field));
    if (field == nullptr) {
        return false;
    }
    switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
        case FieldDescriptor::CPPTYPE_INT64:
        case FieldDescriptor::CPPTYPE_UINT32:
        case FieldDescriptor::CPPTYPE_UINT64:
            return true;
        default:
            return false;
    }
}

/// Columns seen, not bytes: continuation bytes of UTF-8 take no room.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

/// A line for each field; those of a message inside it carry its name: "ipv4 received: 3".
void append_details(const Message& message, const std::string& prefix, std::string& text) {
    const auto& descriptor = *message.GetDescriptor();
    for (int i = 0; i < descriptor.field_count(); ++i) {
        const auto& field = *descriptor.field(i);
        std::string name = prefix + field.name();
        std::ranges::replace(name, '_', ' ');
        if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated()) {
            append_details(message.GetReflection()->GetMessage(message, &field), name + " ", text);
            continue;
        }
        const std::string value = field_text(message, field);
        text += name + ": " + (value.empty() ? std::string(kEmpty) : value) + "\n";
    }
}

/// A row as JSON; a resource's document becomes part of it instead of YAML in a string.
boost::json::value row_json(const Message& row) {
    boost::json::value value = to_json(row);
    if (row.GetDescriptor() == pb::Resource::descriptor()) {
        auto& document = value.as_object()["document"];
        document = yaml_to_json(std::string_view(document.as_string()));
    }
    return value;
}

}  // namespace

const Message* body(const pb::Response& response) {
    const auto* oneof = pb::Response::descriptor()->FindOneofByName("body");
    const auto& reflection = *response.GetReflection();
    const auto* field = reflection.GetOneofFieldDescriptor(response, oneof);
    return field == nullptr ? nullptr : &reflection.GetMessage(response, field);
}

std::vector<const Message*> rows(const pb::Response& response) {
    const Message* message = body(response);
    if (message == nullptr) {
        return {};
    }
    const auto* field = rows_field(*message);
    if (field == nullptr) {
        return {message};
    }
    const auto& reflection = *message->GetReflection();
    std::vector<const Message*> found;
    found.reserve(static_cast<std::size_t>(reflection.FieldSize(*message, field)));
    for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
        found.push_back(&reflection.GetRepeatedMessage(*message, field, i));
    }
    return found;
}

std::vector<std::string> problems_beside_rows(const pb::Response& response) {
    const Message* message = body(response);
    if (message == nullptr || rows_field(*message) == nullptr) {
        return {};
    }
    const auto* field = message->GetDescriptor()->FindFieldByName("problems");
    if (field == nullptr || !field->is_repeated() ||
        field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
        return {};
    }
    const auto problems =
        message->GetReflection()->GetRepeatedFieldRef<std::string>(*message, field);
    return {problems.begin(), problems.end()};
}

Table::Table(std::span<const Column> columns, bool wide, Sink sink) : sink_(std::move(sink)) {
    std::ranges::copy_if(columns, std::back_inserter(columns_), [&](const Column& column) {
        return wide || !column.wide;
    });
}

void Table::print(const pb::Response& frame) {
    std::vector<Cells> lines;
    const auto found = rows(frame);
    std::ranges::transform(
        found, std::back_inserter(lines), [this](const Message* row) { return cells(*row); });
    if (lines.empty() && frame.more()) {
        return;  // its widths would be nobody's
    }
    if (!begun_) {
        Cells titles;
        for (const Column& column : columns_) {
            titles.emplace_back(column.title);
            numeric_.push_back(!found.empty() && is_numeric(*found.front(), column));
        }
        widths_.assign(columns_.size(), 0);
        widen(titles);
        std::ranges::for_each(lines, [this](const Cells& line) { widen(line); });
        write(titles);
        begun_ = true;
    }
    std::ranges::for_each(lines, [this](const Cells& line) { write(line); });
}

Table::Cells Table::cells(const Message& row) const {
    Cells line;
    for (const Column& column : columns_) {
        line.push_back(column.text != nullptr ? column.text(row) : field_text(row, column.field));
        if (line.back().empty()) {
            line.back() = kEmpty;
        }
    }
    return line;
}

void Table::widen(const Cells& line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
        widths_[i] = std::max(widths_[i], width_of(line[i]));
    }
}

void Table::write(const Cells& line) const {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const std::size_t width = width_of(line[i]);
        const std::string padding(widths_[i] - std::min(width, widths_[i]), ' ');
        text += i == 0 ? std::string_view{} : kGap;
        text += numeric_[i] ? padding + line[i] : line[i] + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    sink_(text + "\n");
}

JsonLines::JsonLines(Sink sink) : sink_(std::move(sink)) {}

void JsonLines::print(const pb::Response& frame) {
    const Message* message = body(frame);
    if (message == nullptr) {
        return;
    }
    if (rows_field(*message) == nullptr) {
        sink_(boost::json::serialize(to_json(*message)) + "\n");
        return;
    }
    for (const Message* row : rows(frame)) {
        sink_((begun_ ? ",\n " : "[\n ") + boost::json::serialize(row_json(*row)));
        begun_ = true;
    }
    if (!frame.more()) {
        sink_(begun_ ? "\n]\n" : "[]\n");
    }
}

std::string details(const pb::Response& frame) {
    std::string text;
    for (const Message* row : rows(frame)) {
        text += text.empty() ? "" : "\n";
        append_details(*row, "", text);
    }
    return text;
}

}  // namespace vr::ctl
