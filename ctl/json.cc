// SPDX-License-Identifier: Apache-2.0
#include "ctl/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cassert>
#include <cctype>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace vr::ctl {

namespace json = boost::json;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

/// SOURCE_BGP of enum Source is "bgp": the type's name is every value's prefix.
std::string enum_text(const EnumValueDescriptor& value) {
    std::string text = value.name().substr(value.type()->name().size() + 1);
    for (char& c : text) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
}

json::value singular(const Message& message, const FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    if (field.has_presence() && !reflection.HasField(message, &field)) {
        return nullptr;
    }
    switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
            return reflection.GetInt32(message, &field);
        case FieldDescriptor::CPPTYPE_UINT32:
            return reflection.GetUInt32(message, &field);
        case FieldDescriptor::CPPTYPE_INT64:
            return reflection.GetInt64(message, &field);
        case FieldDescriptor::CPPTYPE_UINT64:
            return reflection.GetUInt64(message, &field);
        case FieldDescriptor::CPPTYPE_DOUBLE:
            return reflection.GetDouble(message, &field);
        case FieldDescriptor::CPPTYPE_FLOAT:
            return reflection.GetFloat(message, &field);
        case FieldDescriptor::CPPTYPE_BOOL:
            return reflection.GetBool(message, &field);
        case FieldDescriptor::CPPTYPE_ENUM:
            return json::value(enum_text(*reflection.GetEnum(message, &field)));
        case FieldDescriptor::CPPTYPE_STRING:
            return json::value(reflection.GetString(message, &field));
        case FieldDescriptor::CPPTYPE_MESSAGE:
            return to_json(reflection.GetMessage(message, &field));
    }
    return nullptr;
}

json::value repeated(const Message& message, const FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    json::array values;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
        switch (field.cpp_type()) {
            case FieldDescriptor::CPPTYPE_STRING:
                values.emplace_back(reflection.GetRepeatedString(message, &field, i));
                break;
            case FieldDescriptor::CPPTYPE_MESSAGE:
                values.push_back(to_json(reflection.GetRepeatedMessage(message, &field, i)));
                break;
            default:
                assert(false && "vrouter.proto repeats only strings and messages");
        }
    }
    return values;
}

json::value field_json(const Message& message, const FieldDescriptor& field) {
    return field.is_repeated() ? repeated(message, field) : singular(message, field);
}

void append(std::string& text, std::string_view separator, const std::string& part) {
    if (!part.empty()) {
        text += text.empty() ? "" : separator;
        text += part;
    }
}

/// What a person reads where a script reads `value`.
std::string plain(const json::value& value) {
    std::string text;
    switch (value.kind()) {
        case json::kind::string:
            return std::string(value.get_string());
        case json::kind::bool_:
            return value.get_bool() ? "yes" : "no";
        case json::kind::int64:
            return std::to_string(value.get_int64());
        case json::kind::uint64:
            return std::to_string(value.get_uint64());
        case json::kind::double_:
            return std::to_string(value.get_double());
        case json::kind::array:
            for (const auto& element : value.get_array()) {
                append(text, ", ", plain(element));
            }
            return text;
        case json::kind::object:
            for (const auto& member : value.get_object()) {
                append(text, " ", plain(member.value()));
            }
            return text;
        case json::kind::null:
            break;
    }
    return text;
}

}  // namespace

json::value to_json(const Message& message) {
    const auto& descriptor = *message.GetDescriptor();
    json::object object;
    for (int i = 0; i < descriptor.field_count(); ++i) {
        const auto& field = *descriptor.field(i);
        object.emplace(field.name(), field_json(message, field));
    }
    return object;
}

std::string field_text(const Message& message, const FieldDescriptor& field) {
    return plain(field_json(message, field));
}

std::string field_text(const Message& message, std::string_view field) {
    const auto* found = message.GetDescriptor()->FindFieldByName(std::string(field));
    return found == nullptr ? std::string{} : field_text(message, *found);
}

}  // namespace vr::ctl
