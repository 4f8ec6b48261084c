// Messages of vrouter.proto as JSON and as text, by their descriptors: no message has code of its own.
//
// JSON: keys are the field names, every field is always there, integers are numbers, enums are their
// value's name without the prefix in lower case ("bgp"), an absent sub-message is null.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace vr::ctl {

[[nodiscard]] boost::json::value to_json(const google::protobuf::Message& message);

/// One field as a person reads it: "up" of a state, "yes" of a bool, repeated values joined by ", ",
/// a sub-message as its non-empty fields; empty for an empty string.
[[nodiscard]] std::string field_text(
    const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

/// The same for a field by name; empty when the message has no such field.
[[nodiscard]] std::string field_text(
    const google::protobuf::Message& message, std::string_view field);

}  // namespace vr::ctl
